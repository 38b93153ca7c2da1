# make demo    from nothing to a dataset and a picture of it, in demo/
# make test    style, types and tests
# make faults  the tests of kills, broken disks and damaged files, as often as they are to be tried: an hour on an idle core
# make fuzz    every parser for an hour of processor time each (SECONDS, JOBS)
# make audit   the packages of the environment against the known advisories, where a service can be reached
# make bench   the claims of the README, measured against the peers on this machine
# make verify  what each model learns, against its bars: two hours on two idle cores
# make clean   removes what the others made, the environment included

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DATA ?= ../shared/data
RUNS ?= 5
SEEDS ?= 0 1 2

INSTALLED := $(VENV)/.installed
PYSDF := $(VENV)/.pysdf
DASK := $(VENV)/.dask
PEERS := $(VENV)/.peers
MODULES := $(VENV)/.modules
NATIVE := CMakeLists.txt $(wildcard shapetool/native/*.cpp shapetool/native/*.hpp shapetool/native/*.inc)

.DELETE_ON_ERROR:
.PHONY: FORCE setup demo test lint faults audit fuzz bench verify clean

setup: $(INSTALLED)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# An editable install knows the modules by name: one that came, went or became a package is told to it.
$(MODULES): FORCE | $(BIN)/python
	@find shapetool -name '*.py' | LC_ALL=C sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

# Built in this environment rather than in one of its own, so that a changed kernel compiles in seconds, not minutes.
$(INSTALLED): pyproject.toml constraints.txt $(NATIVE) $(MODULES) | $(BIN)/python
	$(PIP) 'scikit-build-core>=0.10' 'nanobind>=2.4' cmake ninja
	$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

# pysdf compiles against Eigen, whose headers come as a package too, so nobody needs to be root.
$(PYSDF): $(INSTALLED)
	$(PIP) cmeel-eigen
	@CPLUS_INCLUDE_PATH="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cmeel.prefix/include/eigen3" \
	  $(PIP) 'pysdf>=0.1.9' && touch $@ || echo 'pysdf did not build here: the tests that need it will say so and skip'

# Nothing needs it but the tests of --engine dask, which skip without it.
$(DASK): $(INSTALLED)
	@$(PIP) --no-build-isolation -e '.[dask]' && touch $@ || echo 'Dask could not be installed here: its tests will skip'

$(PEERS): $(PYSDF)
	$(PIP) -e '.[bench]' --no-build-isolation
	@touch $@

demo: $(INSTALLED)
	rm -rf demo
	for family in chair gear knot lamp mug; do $(BIN)/shapetool make-shapes $$family demo/meshes/$$family --count 2 || exit 1; done
	$(BIN)/shapetool sample-sdf demo/meshes demo/sdf.h5 --count 100000
	$(BIN)/shapetool info demo/sdf.h5
	$(BIN)/shapetool verify demo/sdf.h5
	$(BIN)/python examples/picture.py demo/meshes demo/picture.png
	@echo 'demo/sdf.h5 holds the samples, demo/picture.png shows the shapes and a slice through their signed distance.'

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint $(PYSDF) $(DASK)
	$(BIN)/python -m pytest -n auto --maxprocesses 8

# One after the other: the deadlines by which processes must be gone are for a machine that is not full of others.
faults: $(DASK)
	mkdir -p fault-results
	rm -f fault-results/log.jsonl
	SHAPETOOL_FAULTS=long SHAPETOOL_FAULTS_LOG=$(CURDIR)/fault-results/log.jsonl \
	  $(BIN)/python -m pytest tests/faults -o timeout=7200 --durations=20

# Every parser of ours, fuzzed for SECONDS of processor time each, JOBS at a time; see docs/fuzzing.md.
fuzz: $(INSTALLED)
	$(PIP) 'atheris>=3'
	$(BIN)/python -m tests.fuzz.run all --seconds $(or $(SECONDS),3600) --jobs $(or $(JOBS),1)

# In an environment of its own, so that what is audited is what is used.
audit: $(INSTALLED)
	@test -x $(VENV)/audit/bin/pip-audit || { $(BIN)/python -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet 'pip-audit>=2.9'; }
	@$(BIN)/python .ci/audit.py $(VENV)/audit/bin/pip-audit \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

bench: $(PEERS) $(DASK)
	mkdir -p bench-results
	$(BIN)/python benchmarks/sdf.py --data $(DATA) --runs $(RUNS) --json bench-results/sdf.json
	$(BIN)/python benchmarks/occupancy.py --data $(DATA) --runs $(RUNS) --json bench-results/occupancy.json
	$(BIN)/python benchmarks/lattice.py --data $(DATA) --runs $(RUNS) --json bench-results/lattice.json
	$(BIN)/python benchmarks/views.py --data $(DATA) --runs $(RUNS) --json bench-results/views.json
	$(BIN)/python benchmarks/emd.py --data $(DATA) --runs $(RUNS) --json bench-results/emd.json
	$(BIN)/python benchmarks/points.py --runs $(RUNS) | tee bench-results/points.jsonl
	$(BIN)/python benchmarks/eval.py --runs $(RUNS) --json bench-results/eval.json
	$(BIN)/python benchmarks/sample_sdf.py $(DATA)/bones --runs $(RUNS) --json bench-results/sample_sdf.json
	$(BIN)/python benchmarks/loader.py --runs $(RUNS) --json bench-results/loader.json
	$(BIN)/python benchmarks/runner.py --meshes $(DATA)/bones --runs $(RUNS) --json bench-results/runner.json
	$(BIN)/python benchmarks/repair.py $(DATA)/dirty $(DATA)/chairs $(DATA)/tables --json bench-results/repair.jsonl
	$(BIN)/python benchmarks/repair.py $(DATA)/classic --force --json bench-results/repair-closed.jsonl
	$(BIN)/python benchmarks/from_views.py $(DATA)/classic --json bench-results/from_views.json
	$(BIN)/python benchmarks/extract.py --runs $(RUNS)

verify: $(INSTALLED)
	mkdir -p bench-results
	missed=; for model in deepsdf onet imnet levelset svr 'bones $(DATA)/bones'; do set -- $$model; name=$$1; shift; \
	  echo "verify_$$name"; $(BIN)/python benchmarks/verify_$$name.py "$$@" --seeds $(SEEDS) || missed="$$missed $$name"; \
	done; [ -z "$$missed" ] || { echo "missed a bar:$$missed"; exit 1; }

clean:
	rm -rf $(VENV) build demo bench-results fault-results
