"""One fuzzer in one process: `python -m tests.fuzz.inside TARGET FOLDER SECONDS`, or `TARGET --one FILE` to replay.

`TARGET --leak FOLDER` says how much memory is not given back.
"""

import gc
import hashlib
import json
import os
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.mutations import mutated
from tests.fuzz.native_text import register
from tests.fuzz.run import MEMORY, TIMEOUT

NATIVE = "native-text"  # counted by the library itself
LEAK_INPUTS, LEAK_ROUNDS = 100, 20
HERE = Path(__file__).resolve().parents[2]
OURS = (str(HERE / "shapetool"), str(HERE / "tests" / "fuzz"))


class Watch:
    """Runs a target on one input after the other, keeps what raises, and ends the process when its time is used."""

    def __init__(self, target: Callable[[bytes], None], folder: Path, seconds: float) -> None:
        self.target, self.folder, self.seconds = target, folder, seconds
        self.executions, self.said = 0, 0.0
        self.shortest: dict[str, int] = {}

    def one(self, data: bytes) -> None:
        """Nothing, whatever the target raises."""
        self.executions += 1
        try:
            self.target(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.keep(data, error)
        if self.executions % 16 == 0:
            self.tell()

    def keep(self, data: bytes, error: BaseException) -> None:
        """Nothing; the input is a file under the name of the place that raised, if it is the shortest so far."""
        key = place(error)
        if len(data) >= self.shortest.get(key, sys.maxsize):
            return
        if key not in self.shortest:
            sys.stderr.write(f"FINDING {key}\n{''.join(traceback.format_exception(error))[-3000:]}\n")
        self.shortest[key] = len(data)
        (self.folder / "findings" / key).write_bytes(data)

    def tell(self) -> None:
        """Nothing; writes down how far the run is, every second, and ends it where its time is used."""
        used = time.process_time()
        if used - self.said < 1 and used < self.seconds:
            return
        self.said = used
        (self.folder / "state.json").write_text(json.dumps({"executions": self.executions, "cpu_seconds": used}))
        # What atheris adds to code leaks some hundred bytes an input; the run goes on in a new process.
        if used >= self.seconds or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MEMORY << 9:
            sys.stderr.flush()
            os._exit(0)


def place(error: BaseException) -> str:
    """The kind of an error and the last line of ours that it came through, as the name of a file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(OURS)]
    last = frames[-1] if frames else None
    where = f"{Path(last.filename).stem}-{last.name.strip('<>')}-{last.lineno}" if last else "nowhere"
    return f"{type(error).__name__}-{where}"


class OnlyKernel:
    """A finder of an editable install that is asked for the compiled kernel alone; atheris cannot use it for more."""

    def __init__(self, finder: Any) -> None:
        self.finder = finder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The kernel's place; None for any other module, which is then found in the checkout."""
        return self.finder.find_spec(name, path, target) if name.endswith("._kernel") else None


def found_in_checkout() -> None:
    """Nothing; what is Python comes from the checkout from now on."""
    sys.meta_path[:] = [
        OnlyKernel(f) if "editable" in type(f).__module__ or "Redirecting" in type(f).__name__ else f
        for f in sys.meta_path
    ]
    sys.path.insert(0, str(HERE))


def limit_memory() -> None:
    """Nothing; what the process maps beyond what it has now may be so much, and more is a MemoryError."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (MEMORY << 20), resource.RLIM_INFINITY))


def replay(name: str, path: Path) -> None:
    """Nothing, where the target passes the file."""
    from tests.fuzz.targets import TARGETS

    limit_memory()
    TARGETS[name](path.read_bytes())


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Three times of four what libFuzzer makes of the data, else what `mutations` does."""
    import atheris

    rng = random.Random(seed)
    return atheris.Mutate(data, longest) if rng.randrange(4) else mutated(data, rng)[:longest]


def leak(name: str, folder: Path) -> None:
    """Nothing; says by how many MiB the process grew over rounds of known inputs, without what atheris adds."""
    from tests.fuzz.targets import TARGETS

    found = [path.read_bytes() for path in sorted(folder.iterdir())][:LEAK_INPUTS]
    sizes = []
    for number in range(LEAK_ROUNDS):
        for data in found:
            TARGETS[name](data)
        gc.collect()
        if number in (LEAK_ROUNDS // 2, LEAK_ROUNDS - 1):
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20)
    print(round(sizes[1] - sizes[0], 1))  # noqa: T201 - a command


def begin(name: str, folder: Path, seconds: float) -> None:
    """Never returns: the fuzzer ends the process."""
    import atheris

    found_in_checkout()
    try:
        with atheris.instrument_imports(include=["shapetool"]):
            from tests.fuzz.targets import SEEDS, TARGETS, WORDS

            seeds = SEEDS[name]()
            for seed in seeds if name != NATIVE else ():  # also imports what is imported when it is needed
                TARGETS[name](seed)
    except Exception:
        traceback.print_exc()
        sys.exit(3)
    for seed in seeds:
        (folder / "corpus" / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    words = folder / "words.dict"
    words.write_text("".join('"' + "".join(rf"\x{byte:02x}" for byte in word) + '"\n' for word in WORDS[name]))
    limit_memory()
    watch = Watch(TARGETS[name], folder, seconds)
    options: dict[str, object] = {"dict": words} if WORDS[name] else {}
    options |= {
        "timeout": TIMEOUT, "rss_limit_mb": MEMORY, "max_len": max([4096, *(2 * len(seed) for seed in seeds)]),
        "artifact_prefix": f"{folder}/deaths/", "print_final_stats": 1,
        "seed": int.from_bytes(os.urandom(3), "big") + 1,
    }  # fmt: skip
    arguments = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(folder / "corpus")], watch.one, custom_mutator=mutate)
    if name == NATIVE:
        register(next(str(path) for path in Path(atheris.__file__).parent.glob("core_with_libfuzzer*")))
    atheris.Fuzz()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[2] == "--one":
        replay(sys.argv[1], Path(sys.argv[3]))
    elif sys.argv[2] == "--leak":
        leak(sys.argv[1], Path(sys.argv[3]))
    else:
        begin(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
