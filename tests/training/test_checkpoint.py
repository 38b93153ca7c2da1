"""Checkpoints: what is saved comes back, a kill leaves one whole, and nothing that is foreign or damaged is read."""

import json
import os
import pickle
import shutil
import struct

import pytest
import safetensors.torch
import torch

from shapetool.errors import CheckpointError
from shapetool.training import checkpoint
from shapetool.training.checkpoint import State, load, load_weights, read_numbers, save, tidy
from shapetool.training.log import Log, draw_curves, read_log

ABOUT = {"model": "Line"}


def state(step: int = 3) -> State:
    weights = {"weight": torch.full((2, 2), float(step)), "bias": torch.arange(2) + step}
    return State(step, 1.5, 0.25, weights, {}, {"all/adam/0/exp_avg": torch.ones(2, 2) / step})


def test_what_is_saved_comes_back(tmp_path):
    averaged = state(4)
    averaged.average = {name: tensor * 2 for name, tensor in averaged.weights.items()}
    for saved in (state(), averaged):
        save(tmp_path / "last", saved, ABOUT)
        found = load(tmp_path / "last", ABOUT)
        assert found.numbers() == saved.numbers()
        for part in ("weights", "average", "optimizer"):
            ours, theirs = getattr(saved, part), getattr(found, part)
            assert ours.keys() == theirs.keys()
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_model_of_a_run_with_averages_is_the_average(tmp_path):
    averaged = state(4)
    averaged.average = {name: tensor * 2 for name, tensor in averaged.weights.items()}
    save(tmp_path / "best", averaged, ABOUT)
    found = safetensors.torch.load_file(tmp_path / "best/model.safetensors")
    assert torch.equal(found["weight"], torch.full((2, 2), 8.0))


def test_tensors_that_share_memory_are_saved(tmp_path):
    whole = torch.arange(4.0)
    save(tmp_path / "last", State(weights={"a": whole, "b": whole[:2], "c": whole.view(2, 2).T}), ABOUT)
    found = safetensors.torch.load_file(tmp_path / "last/model.safetensors")
    assert found["b"].tolist() == [0, 1]
    assert found["c"].tolist() == [[0, 2], [1, 3]]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("calls", [1, 2])
def test_a_kill_between_the_two_names_of_a_checkpoint_leaves_the_one_before(tmp_path, monkeypatch, calls):
    save(tmp_path / "last", state(1), ABOUT)
    rename, seen = os.rename, []

    def killed(source, target):
        seen.append(target)
        if len(seen) == calls:
            raise Killed
        rename(source, target)

    monkeypatch.setattr(checkpoint.os, "rename", killed)
    with pytest.raises(Killed):
        save(tmp_path / "last", state(2), ABOUT)
    monkeypatch.undo()
    assert (tmp_path / "last").exists() == (calls == 1)
    assert load(tmp_path / "last", ABOUT).step == 1
    save(tmp_path / "last", state(3), ABOUT)
    assert load(tmp_path / "last", ABOUT).step == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_what_a_kill_left_half_written_is_no_checkpoint(tmp_path):
    (tmp_path / ".last.new").mkdir()
    (tmp_path / ".last.new/model.safetensors").write_bytes(b"half")
    with pytest.raises(CheckpointError, match="no such folder"):
        read_numbers(tmp_path / "last", ABOUT)
    save(tmp_path / "last", state(), ABOUT)
    assert load(tmp_path / "last", ABOUT).step == 3


@pytest.mark.parametrize("named", [True, False])
def test_what_kills_left_beside_a_checkpoint_goes_and_what_is_the_only_one_stays(tmp_path, named):
    save(tmp_path / ("last" if named else ".last.old"), state(1), ABOUT)
    if named:
        save(tmp_path / ".last.old", state(2), ABOUT)
    (tmp_path / ".last.new").mkdir()
    tidy(tmp_path / "last")
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert load(tmp_path / "last", ABOUT).step == 1


def test_a_disk_that_fails_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save(tmp_path / "last", state(1), ABOUT)

    def full(path, data):
        if path.name == "training.safetensors":
            raise OSError(28, "No space left on device", str(path))
        path.write_bytes(data)

    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "last", state(2), ABOUT)
    assert load(tmp_path / "last", ABOUT).step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


@pytest.fixture
def saved(tmp_path):
    save(tmp_path / "last", state(), ABOUT)
    return tmp_path / "last"


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "weights.bin", "state.pkl"])
def test_a_pickle_beside_is_named_and_nothing_is_read(saved, name):
    (saved / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match=f"{name}: expected safetensors, found a pickle"):
        load(saved, ABOUT)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors"])
def test_a_pickle_named_safetensors_is_refused_unexecuted(saved, name, monkeypatch):
    monkeypatch.chdir(saved.parent)
    (saved / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match=f"{name}: expected safetensors"):
        load(saved, ABOUT)
    torch.save({"weight": torch.ones(2)}, saved / name)
    with pytest.raises(CheckpointError, match=f"{name}: expected safetensors"):
        load(saved, ABOUT)
    assert not (saved.parent / "exploded").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "state.json"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.98])
def test_a_file_cut_short_is_named(saved, name, share):
    whole = (saved / name).read_bytes()
    (saved / name).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match=name):
        load(saved, ABOUT)


@pytest.mark.parametrize("name", ["model.safetensors", "training.safetensors", "state.json"])
def test_a_file_that_is_missing_is_named(saved, name):
    (saved / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load(saved, ABOUT)


def test_a_header_that_claims_more_than_there_is_is_refused(saved):
    (saved / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(CheckpointError, match="expected safetensors"):
        load(saved, ABOUT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "found 'other'"),
        ({"layout": 2}, "of layout 2"),
        ({"model": "Circle"}, "expected the model 'Line', found 'Circle'"),
        ({"step": "three"}, "expected a number as step"),
        ({"step": None}, "expected a number as step"),
        ({"seconds": [1]}, "expected a number as seconds"),
        ({"best": "low"}, "expected a number as best"),
    ],
    ids=str,
)
def test_numbers_that_are_foreign_or_wrong_are_refused(saved, change, said):
    numbers = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps(numbers | change))
    with pytest.raises(CheckpointError, match=said):
        load(saved, ABOUT)


def test_numbers_that_are_missing_are_named(saved):
    (saved / "state.json").write_text(json.dumps({"format": checkpoint.FORMAT, "layout": 1, **ABOUT}))
    with pytest.raises(CheckpointError, match="expected a number as step"):
        load(saved, ABOUT)
    (saved / "state.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not an object"):
        load(saved, ABOUT)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"weight": torch.ones(1, 2)}, "found no 'bias'"),
        ({"weight": torch.ones(1, 2), "bias": torch.ones(1), "more": torch.ones(1)}, "found 'more'"),
        ({"weight": torch.ones(2, 2), "bias": torch.ones(1)}, r"weight of shape \(1, 2\), found \(2, 2\)"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path, weights, said):
    with pytest.raises(CheckpointError, match=said):
        load_weights(torch.nn.Linear(2, 1), weights, tmp_path)


def test_a_log_goes_on_after_the_step_of_the_checkpoint(tmp_path):
    log = Log(tmp_path / "log.jsonl", 0)
    for step in (10, 20, 30):
        log.write({"step": step, "loss": step / 10})
    log.close()
    with open(tmp_path / "log.jsonl", "ab") as file:
        file.write(b'{"step": 40, "lo')  # a kill
    log = Log(tmp_path / "log.jsonl", 20)
    log.write({"step": 25, "loss": float("nan")})
    log.close()
    assert read_log(tmp_path / "log.jsonl") == [
        {"step": 10, "loss": 1.0},
        {"step": 20, "loss": 2.0},
        {"step": 25, "loss": None},
    ]


def test_a_line_that_the_system_takes_in_pieces_is_whole(tmp_path, monkeypatch):
    log = Log(tmp_path / "log.jsonl", 0)
    whole = log._file

    class Few:
        def write(self, data):
            return whole.write(data[:7])

    monkeypatch.setattr(log, "_file", Few())
    log.write({"step": 10, "loss": 0.123456789})
    whole.close()
    assert read_log(tmp_path / "log.jsonl") == [{"step": 10, "loss": 0.123456789}]


def test_a_log_of_strangers_is_passed_over(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 10, "loss": 1}\n[1]\n{"loss": 2}\n')
    Log(tmp_path / "log.jsonl", 10).close()
    assert read_log(tmp_path / "log.jsonl") == [{"step": 10, "loss": 1}]


@pytest.mark.parametrize("entries", [[], [{"step": 1, "loss": 0.5}], [{"step": 1, "loss": None, "x": -1.0}]])
def test_curves_of_few_or_odd_numbers_are_drawn(entries):
    assert draw_curves(entries, "run").startswith(b"\x89PNG")


def test_a_checkpoint_folder_may_be_moved(tmp_path):
    save(tmp_path / "last", state(), ABOUT)
    shutil.move(tmp_path / "last", tmp_path / "kept")
    assert load(tmp_path / "kept", ABOUT).step == 3
