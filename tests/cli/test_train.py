"""`shapetool train` on the command line: exit codes, signals, kills, what is printed where, and several processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shapetool.cli._training import TrainingProgress
from shapetool.cli.app import main
from shapetool.cli.train import read_duration
from shapetool.data.reading import open_dataset
from shapetool.errors import ConfigError
from shapetool.training import batches
from shapetool.training.checkpoint import load
from shapetool.training.log import read_log
from shapetool.training.runs import read_recipe
from tests.rights import heed_permissions
from tests.trained import TINY, content, words

pytestmark = pytest.mark.usefixtures("no_curves")

LOUD = {"ema": 0.9, "dropout": 0.3}
KILLED = """
import os, signal, sys
from shapetool.cli.app import main
from shapetool.training import batches
draw = batches.Batches.draw
def dying(self, step):
    if step == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(self, step)
batches.Batches.draw = dying
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def signalled(monkeypatch) -> Callable[..., None]:
    """Has the drawing of a step's batch send signals to this process, once."""

    def at(step: int, *names: str) -> None:
        draw, left = batches.Batches.draw, list(names)

        def interrupting(self, number):
            while number == step and left:
                os.kill(os.getpid(), getattr(signal, left.pop(0)))
            return draw(self, number)

        monkeypatch.setattr(batches.Batches, "draw", interrupting)

    return at


@pytest.mark.parametrize("settings", [{}, pytest.param(LOUD, marks=pytest.mark.slow)], ids=["plain", "ema dropout"])
def test_a_kill_after_ten_steps_and_the_same_command_again_are_the_bits_of_twenty(sampled, tmp_path, settings):
    asked = words(sampled, tmp_path / "killed", "-q", "-j", "0", **settings)
    done = subprocess.run([sys.executable, "-c", KILLED, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert load(tmp_path / "killed/last", {}).step == 10
    assert main(asked) == 0
    assert main(words(sampled, tmp_path / "whole", "-q", "-j", "2", **settings)) == 0
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_signal_saves_and_the_same_command_goes_on_to_the_same_bits(sampled, tmp_path, signalled, capsys, name, code):
    asked = words(sampled, tmp_path / "stopped", "-j", "0")
    signalled(13, name)
    assert main(asked) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1] == (
        f"shapetool: stopped by {name} at step 14, which is saved; run the same command again to go on."
    )
    assert load(tmp_path / "stopped/last", {}).step == 14
    assert main([*asked, "--resume"]) == 0
    assert main(words(sampled, tmp_path / "whole", "-q")) == 0
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_a_second_ctrl_c_ends_on_the_spot_with_the_checkpoint_of_before(sampled, tmp_path, signalled, capsys):
    asked = words(sampled, tmp_path / "run", "-j", "0")
    signalled(13, "SIGINT", "SIGINT")
    assert main(asked) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err
    assert load(tmp_path / "run/last", {}).step == 10
    assert main([*asked, "-q"]) == 0


def test_a_run_says_what_it_did_on_stderr_and_nothing_on_stdout(sampled, tmp_path, capsys):
    assert main(words(sampled, tmp_path / "run", "-v")) == 0
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert re.fullmatch(r"shapetool: deepsdf, \d+ parameters, 6 shapes", lines[0])
    assert any(re.match(r"step 10 loss \S+ \S+/s ETA \S+ \S+ GiB", line) for line in lines)
    assert "step 20: saved, the best so far" in lines
    assert re.fullmatch(rf"shapetool: 20 steps in \S+ s, loss \S+\. Run: {tmp_path}/run", lines[-1])
    assert main(words(sampled, tmp_path / "run")) == 0
    assert "nothing left to do" in capsys.readouterr().err


def test_json_is_an_object_a_line_with_its_end(sampled, tmp_path, capsys):
    assert main(words(sampled, tmp_path / "run", "--json", "-q", shapes=50)) == 0
    said = capsys.readouterr()
    assert said.err == ""
    events = [json.loads(line) for line in said.out.splitlines()]
    assert [event["event"] for event in events] == ["start", "notice", "step", "saved", "step", "saved", "end"]
    end = events[-1]
    assert (end["step"], end["stopped"], end["run"]) == (20, None, str(tmp_path / "run"))
    assert end["loss"] == events[-3]["loss"]
    assert main(words(sampled, tmp_path / "run", "--json", "-q", shapes=50)) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["loss"] is None


def test_a_dry_run_writes_nothing(sampled, tmp_path, capsys):
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert main(words(sampled, tmp_path / "run", "--dry-run")) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["event"], said["shapes"], said["config"]["steps"]) == ("dry-run", 6, 20)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_file_holds_options_and_numbers_of_the_model_and_words_win(sampled, tmp_path, capsys):
    file = tmp_path / "train.toml"
    file.write_text(
        "seed = 5\n[train]\nsteps = 7\npictures = 0\n"
        '[model]\nconfig = "curriculum"\nwidth = 24\ndepth = 2\nskip = 0\none_sided = false\nlr = 0.01\n'
    )
    asked = ["train", "deepsdf", str(sampled), str(tmp_path / "run"), "--config", str(file), "--dry-run"]
    assert main([*asked, "--set", "width=32"]) == 0
    said = json.loads(capsys.readouterr().out)
    config = said["config"]
    assert (said["seed"], config["steps"], config["width"], config["depth"]) == (5, 7, 32, 2)
    assert (config["curriculum"], config["one_sided"], config["lr"]) == (True, False, 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nstep = 7\n", "'step' is no option of train; did you mean 'steps'"),
        ("[model]\nwidht = 7\n", "unknown setting 'widht'; did you mean 'width'"),
        ("model = 3\n", r"expected a table \[model\]"),
        ('[model]\nconfig = "other"\n', "--config other"),
        ("[model\n", "expected a TOML file"),
        ("[model]\nwidth = [1, 2]\n", "expected one number"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_line(sampled, tmp_path, capsys, text, said):
    (tmp_path / "train.toml").write_text(text)
    asked = ["train", "deepsdf", str(sampled), str(tmp_path / "run"), "--config", str(tmp_path / "train.toml")]
    assert main(asked) == 1
    err = capsys.readouterr().err
    assert re.search(said, err)
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_named_configuration_is_the_author_s(sampled, tmp_path, capsys):
    asked = ["train", "deepsdf", str(sampled), str(tmp_path / "run"), "--config", "reference", "--dry-run"]
    assert main([*asked, "--set", "width=264"]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["depth"], config["code_size"], config["points"], config["weight_norm"]) == (8, 256, 16384, True)


def test_a_split_is_taken_from_the_lists_of_the_command(sampled, tmp_path, capsys):
    split = ["split", str(sampled), "--train", "0.5", "--val", "0.5", "--out", str(tmp_path / "lists")]
    assert main([*split, "--seed", "1"]) == 0
    lists = json.loads((tmp_path / "lists/split.json").read_text())
    asked = words(sampled, tmp_path / "run", "--split", str(tmp_path / "lists"), "--dry-run")
    capsys.readouterr()
    assert main(asked) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["shapes"] + said["val_shapes"] == len(open_dataset(sampled))
    assert said["val_shapes"] == len(said["val_ids"]) > 0, lists


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--budget", "soon"), "--budget soon: expected a time such as 120s"),
        (("--budget", "0s"), "--budget 0s"),
        (("--budget", "3 weeks"), "--budget 3 weeks"),
        (("--set", "width"), "expected key=value"),
        (("--resume",), "expected a run to resume, found none"),
        (("--device", "cuda:9"), "--device cuda:9: expected auto, cpu, cuda"),
        (("--target", "gone"), "unknown setting 'target'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_words_that_make_no_sense_are_one_line_and_exit_1(sampled, tmp_path, capsys, more, said):
    assert main([*words(sampled, tmp_path / "run"), *more]) == 1
    err = capsys.readouterr().err
    assert err.startswith("shapetool: error: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "more", [("--steps", "0"), ("--steps", "many"), ("--seed", "-1"), ("-j", "-1"), ("--stepz", "1")]
)
def test_words_of_another_kind_are_exit_2(sampled, tmp_path, capsys, more):
    assert main([*words(sampled, tmp_path / "run"), *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("120s", 120), ("90", 90), ("1.5h", 5400), ("2 min", 120), ("3m", 180), ("0.5S", 0.5)]
)
def test_times_are_read(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-3s", "1d", "nan", "inf", "1e3s", "1 2s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="expected a time"):
        read_duration(text)


def test_a_budget_ends_the_command_in_time(sampled, tmp_path, capsys):
    asked = ["train", "deepsdf", str(sampled), str(tmp_path / "run"), "--pictures", "0", "--device", "cpu", "--json"]
    settings = [
        word for key in ("width", "depth", "skip", "code_size", "points") for word in ("--set", f"{key}={TINY[key]}")
    ]
    assert main([*asked, *settings, "--budget", "0.4s", "-q"]) == 0
    end = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0.4 <= end["seconds"] < 2
    assert read_recipe(tmp_path / "run").budget == 0.4


def test_a_full_disk_is_exit_74(sampled, small_disk, capsys):
    (small_disk / "filler").write_bytes(bytes(1000_000))
    assert main(words(sampled, small_disk / "run", width=128)) == 74
    assert "No space left on device" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_without_permission_is_one_line_and_exit_1(sampled, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    run = [sys.executable, "-c", "import sys; from shapetool.cli.app import main; sys.exit(main(sys.argv[1:]))"]
    write = [sys.executable, "-c", f"open({str(locked / 'x')!r}, 'w')"]
    if subprocess.run(write, check=False, capture_output=True, preexec_fn=heed_permissions).returncode == 0:
        pytest.skip("root cannot give up its right to write everywhere here")
    done = subprocess.run(
        [*run, *words(sampled, locked / "run")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=heed_permissions,
    )
    assert done.returncode == 1
    assert f"shapetool: error: {locked}/run: expected a place that can be written" in done.stderr
    assert list(locked.iterdir()) == []


def test_progress_on_no_terminal_is_a_line_every_thirty_seconds(capsys, monkeypatch):
    progress = TrainingProgress()
    clock = iter([100.0, 110.0, 125.0, 131.0, 150.0])
    monkeypatch.setattr("shapetool.cli._training.time.monotonic", lambda: next(clock))
    progress.last = 100.0
    for step in range(1, 6):
        progress({"event": "step", "step": step, "loss": 0.5, "seconds": step * 10.0, "progress": step / 10})
    assert [line.split(" loss")[0] for line in capsys.readouterr().err.splitlines()] == ["step 4"]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes of the command."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "shapetool"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*start, *arguments], capture_output=True, text=True, check=False, env=environment, timeout=280
    )


@pytest.mark.slow
def test_two_processes_follow_the_loss_of_one_and_write_one_folder(sampled, tmp_path):
    settings = {"clip": 0.5, "ema": 0.9, "lr": 1e-3}
    done = torchrun(*words(sampled, tmp_path / "two", "--json", **settings))
    assert done.returncode == 0, done.stderr
    assert main(words(sampled, tmp_path / "one", "-q", **settings)) == 0
    one, two = (read_log(tmp_path / name / "log.jsonl") for name in ("one", "two"))
    assert [entry["step"] for entry in two] == [10, 20]
    for mine, theirs in zip(one, two, strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
    a, b = (load(tmp_path / name / "last", {}) for name in ("one", "two"))
    for name, tensor in a.weights.items():
        assert tensor.flatten().tolist() == pytest.approx(b.weights[name].flatten().tolist(), abs=1e-3)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events == ["start", "step", "saved", "step", "saved", "end"]
    assert done.stderr.count("shapetool: 20 steps") == 1


@pytest.mark.slow
def test_what_the_first_process_refuses_ends_both(sampled, tmp_path):
    assert main(words(sampled, tmp_path / "run", "-q")) == 0
    done = torchrun(*words(sampled, tmp_path / "run", width=17))
    assert done.returncode == 1
    assert done.stderr.count("holds a run with other settings: width") == 1
    assert "defect" not in done.stderr


@pytest.mark.slow
def test_steps_that_cannot_be_shared_are_refused_by_both(sampled, tmp_path):
    done = torchrun(*words(sampled, tmp_path / "run", shapes=3))
    assert done.returncode == 1
    assert "expected a multiple of the 2 processes" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_torchrun_that_is_told_to_end_leaves_a_run_that_goes_on(sampled, tmp_path):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "shapetool"]
    asked = words(sampled, tmp_path / "run", "--steps", "1000000", checkpoint_every=1000000)
    process = subprocess.Popen([*start, *asked], stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        log = Path(tmp_path / "run/log.jsonl")
        for _ in range(1200):
            if log.exists() and log.stat().st_size:
                break
            assert process.poll() is None, process.stderr.read()
            signal.sigtimedwait([], 0.1)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=120)[1].decode()
    finally:
        process.kill()
    assert "which is saved; run the same command again" in said
    step = load(tmp_path / "run/last", {}).step
    assert step > 0
    assert (
        main([*words(sampled, tmp_path / "run", "-q", "--resume", checkpoint_every=1000000), "--steps", str(step + 2)])
        == 0
    )
