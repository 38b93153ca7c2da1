"""Whole runs: what is trained on what, what is refused before anything is written, and how a run goes on."""

import json
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from shapetool.data.shards import build_shard, open_dataset, publish
from shapetool.errors import CheckpointError, ConfigError, DataError
from shapetool.pipelines.train import plan, prepared, run
from shapetool.training.checkpoint import load
from shapetool.training.log import read_log
from shapetool.training.runs import open_run, read_recipe
from tests.trained import changed, content, order

pytestmark = pytest.mark.usefixtures("no_curves")

PNG = b"\x89PNG\r\n\x1a\n"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def done(sampled, tmp_path_factory) -> Path:
    """A run that is done; to be copied before it is changed."""
    folder = tmp_path_factory.mktemp("done") / "run"
    run(order(sampled, folder))
    return folder


@pytest.fixture
def copied(done, tmp_path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "copied"))


def test_a_run_leaves_everything_that_the_contract_names(sampled, tmp_path, monkeypatch):
    from shapetool.training.log import draw_curves

    monkeypatch.setattr("shapetool.pipelines.train_pictures.draw_curves", draw_curves)
    trained = run(order(sampled, tmp_path / "new/run", pictures=1, width=8, depth=2, skip=0))
    assert trained.ended.step == 20
    names = set(tree(tmp_path / "new/run"))
    weights = {f"{which}/{name}" for which in ("last", "best") for name in ("model.safetensors", "state.json")}
    assert names == weights | {
        *("recipe.json", "log.jsonl", "curves.png", "last/training.safetensors"),
        "samples/step-0000020.png",
    }
    for name in names:
        if name.endswith(".png"):
            assert (trained.folder / name).read_bytes().startswith(PNG)


def test_a_run_opens_as_the_model_that_was_trained(sampled, done):
    opened = open_run(done, "last")
    assert opened.step == 20
    assert opened.model.config.width == 16
    assert opened.recipe.facts.shape_ids == open_dataset(sampled).shape_ids
    assert opened.recipe.facts.half == 1.0
    kept = load(done / "last", {}).weights
    assert all(torch.equal(tensor, kept[name]) for name, tensor in opened.model.state_dict().items())


def test_a_run_whose_average_is_kept_opens_as_the_average(sampled, tmp_path):
    run(order(sampled, tmp_path / "run", ema=0.9))
    state = load(tmp_path / "run/last", {})
    opened = open_run(tmp_path / "run").model.state_dict()
    assert all(torch.equal(opened[name], tensor) for name, tensor in state.average.items())
    assert not torch.equal(opened["codes.weight"], state.weights["codes.weight"])


def test_the_same_order_is_the_same_run_and_a_second_one_changes_nothing(sampled, copied, tmp_path):
    before = content(copied)
    assert run(order(sampled, copied)).ended.step == 20
    run(order(sampled, tmp_path / "again"))
    assert content(copied) == before == content(tmp_path / "again")


def test_a_run_may_be_moved_and_goes_on_there_with_data_that_were_moved_too(sampled, copied, tmp_path):
    shard = Path(shutil.copy(sampled, tmp_path / "moved.h5"))
    run(replace(order(shard, copied, steps=30), resume=True))
    assert load(copied / "last", {}).step == 30
    assert read_recipe(copied).data == (str(shard),)


def test_resuming_with_more_steps_extends_and_needs_no_settings_again(sampled, copied):
    asked = replace(order(sampled, copied), settings={"steps": 25}, resume=True)
    assert run(asked).ended.step == 25
    assert read_recipe(copied).config.width == 16
    steps = [entry["step"] for entry in read_log(copied / "log.jsonl")]
    assert steps == [10, 20, 25]


def test_resuming_without_a_length_goes_on_to_the_length_of_the_run(sampled, tmp_path):
    asked = replace(order(sampled, tmp_path / "run"), budget=0.3)
    asked = replace(asked, settings={key: value for key, value in asked.settings.items() if key != "steps"})
    stopped = run(asked, stop=lambda: "SIGTERM").ended
    assert stopped.step == 1
    ended = run(replace(asked, budget=None, settings={}, resume=True)).ended
    assert ended.stopped is None
    assert 0.3 <= ended.seconds < 3
    assert read_recipe(tmp_path / "run").budget == 0.3


def test_a_budget_extends_a_run_that_went_by_steps(sampled, copied):
    seconds = load(copied / "last", {}).seconds
    ended = run(replace(order(sampled, copied), settings={}, budget=seconds + 0.2, resume=True)).ended
    assert ended.step > 20
    assert ended.seconds >= seconds + 0.2


def test_a_budget_asks_for_as_many_steps_as_fit_unless_it_is_told(sampled, tmp_path):
    asked = replace(order(sampled, tmp_path / "run"), budget=1000.0)
    assert prepared(asked)[0].config.steps == 20
    free = replace(asked, settings={})
    assert prepared(free)[0].config.steps == 10**9


def test_fewer_shapes_than_a_step_has_are_all_taken_with_a_notice(sampled, tmp_path):
    events = []
    trained = run(order(sampled, tmp_path / "run", shapes=50, steps=2), events.append)
    assert read_recipe(tmp_path / "run").config.shapes == 6
    assert "6 shapes are fewer than the 50 of a step" in trained.note
    assert {"event": "notice", "text": trained.note} in events


def lists(folder: Path, **parts: tuple[str, ...]) -> Path:
    folder.mkdir()
    for part, names in parts.items():
        (folder / f"{part}.lst").write_text("\n".join(names))
    return folder


def test_a_split_trains_on_its_train_list_and_judges_by_its_val_list(sampled, tmp_path):
    ids = open_dataset(sampled).shape_ids
    split = lists(tmp_path / "split", train=ids[1:5], val=ids[5:], test=ids[:1])
    run(replace(order(sampled, tmp_path / "run"), split=split))
    recipe = read_recipe(tmp_path / "run")
    assert recipe.facts.shape_ids == ids[1:5]
    assert recipe.val_ids == ids[5:]
    log = read_log(tmp_path / "run/log.jsonl")
    scores = {entry["step"]: entry["val_loss"] for entry in log if "val_loss" in entry}
    best = json.loads((tmp_path / "run/best/state.json").read_text())
    assert set(scores) == {10, 20}
    assert best["best"] == min(scores.values())
    assert scores[best["step"]] == best["best"]
    assert load(tmp_path / "run/last", {}).weights["codes.weight"].shape == (4, 4)


def test_a_split_without_val_shapes_or_train_shapes(sampled, tmp_path):
    ids = open_dataset(sampled).shape_ids
    split = lists(tmp_path / "split", train=ids[:4], val=())
    run(replace(order(sampled, tmp_path / "run", steps=2), split=split))
    assert read_recipe(tmp_path / "run").val_ids == ()
    with pytest.raises(DataError, match="on the train list, found none"):
        run(replace(order(sampled, tmp_path / "x"), split=lists(tmp_path / "other", train=("strange",), val=ids[:1])))
    with pytest.raises(ConfigError, match="no such file or folder"):
        run(replace(order(sampled, tmp_path / "x"), split=tmp_path / "gone"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"model": "deepsfd"}, ConfigError, "unknown model 'deepsfd'; did you mean 'deepsdf'"),
        ({"config": "referense"}, ConfigError, "--config referense: deepsdf has none of this name; did you mean"),
        ({"settings": {"widht": 3}}, ConfigError, "unknown setting 'widht'; did you mean 'width'"),
        ({"settings": {"width": "wide"}}, ConfigError, "width is 'wide'; expected a number"),
        ({"settings": {"width": 0}}, ConfigError, "width is 0; expected a number above 0"),
        ({"settings": {"lr": float("nan")}}, ConfigError, "lr is nan"),
        ({"settings": {"skip": 6}}, ConfigError, "skip is 6"),
        ({"device": "tpu"}, ConfigError, "--device tpu: expected auto, cpu, cuda"),
        ({"precision": "f16"}, ConfigError, "--precision f16: expected f32 or bf16"),
        ({"data": Path("gone.h5")}, DataError, "gone.h5: expected a shard or a folder of shards, found no such path"),
        ({"views": Path("gone.h5")}, DataError, "gone.h5"),
        ({"resume": True}, CheckpointError, "expected a run to resume, found none"),
    ],
    ids=str,
)
def test_an_order_that_makes_no_sense_is_refused_before_anything_is_written(sampled, tmp_path, changes, kind, said):
    asked = replace(order(sampled, tmp_path / "run"), **changes)
    for attempt in (run, plan):
        with pytest.raises(kind, match=said):
            attempt(asked)
    assert not (tmp_path / "run").exists()


def test_no_gpu_is_said_plainly(sampled, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="--device cuda: torch finds no CUDA device here"):
        run(replace(order(sampled, tmp_path / "run"), device="cuda"))
    assert not (tmp_path / "run").exists()


def test_data_of_another_kind_are_named_with_the_command_that_makes_them(sampled, tmp_path):
    rows = [open_dataset(sampled)[row] for row in range(3)]
    columns = {name: [row[name] for row in rows] for name in rows[0] if name != "distances"}
    columns["inside"] = [row["distances"] < 0 for row in rows]
    publish(tmp_path / "o.h5", build_shard("occupancy", {"name": "onet"}, 0, columns))
    with pytest.raises(DataError, match=r"o.h5: expected a shard of kind sdf, found kind 'occupancy'.*sample-sdf"):
        run(order(tmp_path / "o.h5", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_what_is_no_shard_is_refused(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"not HDF5")
    with pytest.raises(DataError, match=r"x\.h5"):
        run(order(tmp_path / "x.h5", tmp_path / "run"))


def test_a_column_that_is_missing_is_named(sampled, tmp_path, monkeypatch):
    from shapetool.models.deepsdf import DeepSdfConfig

    monkeypatch.setattr(DeepSdfConfig, "columns", ("points", "distances", "images"))
    with pytest.raises(DataError, match=r"expected the column 'images', found .*distances.*--views"):
        run(order(sampled, tmp_path / "run"))


def test_too_few_shapes_are_refused(sampled, tmp_path, monkeypatch):
    from shapetool.models.deepsdf import DeepSdfConfig

    monkeypatch.setattr(DeepSdfConfig, "least_shapes", 7)
    with pytest.raises(DataError, match="expected at least 7 shapes, found 6"):
        run(order(sampled, tmp_path / "run"))


@pytest.mark.parametrize("factor", [100, 0.001])
@pytest.mark.parametrize("with_surface", [True, False])
def test_millimetres_are_refused(sampled, tmp_path, factor, with_surface):
    def in_millimetres(columns, row):
        for name in ("points", "distances", "surface_points"):
            columns[name] = (columns[name] * factor).astype("f4")
        if not with_surface:
            for name in ("surface_points", "surface_normals"):
                columns[name] = columns[name][:0]

    shard = changed(sampled, tmp_path / "mm.h5", in_millimetres, recipe={"normalize": "none"})
    with pytest.raises(DataError, match="expected shapes in a unit frame, found coordinates up to"):
        run(order(shard, tmp_path / "run"))


def test_labels_on_one_side_are_refused_by_the_name_of_their_shape(sampled, tmp_path):
    def outside(columns, row):
        if row == 2:
            columns["distances"] = np.abs(columns["distances"]) + np.float32(1e-3)

    shard = changed(sampled, tmp_path / "out.h5", outside)
    name = open_dataset(sampled).shape_ids[2]
    with pytest.raises(DataError, match=f"{name}: expected points on both sides, found none inside"):
        run(order(shard, tmp_path / "run"))


def test_a_folder_that_holds_something_else_is_left_alone(sampled, tmp_path):
    for name, strange in (("a", "thesis.tex"), ("b", "samples"), ("c", "last")):
        (tmp_path / name / strange).mkdir(parents=True)
        for overwrite in (False, True):
            with pytest.raises(ConfigError, match=f"expected an empty folder or a run, found '{strange}'"):
                run(replace(order(sampled, tmp_path / name), overwrite=overwrite))
        assert (tmp_path / name / strange).exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="expected a folder for the run, found a file"):
        run(order(sampled, tmp_path / "file"))


def test_overwrite_begins_anew_and_leaves_what_is_hidden_and_not_its_own(sampled, copied):
    (copied / ".git").mkdir()
    (copied / ".last.old").mkdir()
    (copied / "samples").mkdir()
    run(replace(order(sampled, copied, width=8, steps=2), overwrite=True))
    assert read_recipe(copied).config.width == 8
    assert [entry["step"] for entry in read_log(copied / "log.jsonl")] == [2]
    assert {path.name for path in copied.iterdir()} == {
        *(".git", "recipe.json", "log.jsonl", "curves.png", "last", "best"),
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "tpu"},
        {"precision": "f16"},
        {"settings": {"width": 0}},
        {"model": "deepsfd"},
        {"data": Path("gone")},
        {"tensorboard": True},
    ],
    ids=str,
)
def test_overwrite_deletes_nothing_for_an_order_that_is_refused(sampled, copied, changes, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else find(name, *a))
    before = tree(copied)
    with pytest.raises((ConfigError, DataError)):
        run(replace(order(sampled, copied), overwrite=True, **changes))
    assert tree(copied) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 17}, "other settings: width"),
        ({"steps": 30}, r"other settings: steps.*--resume to go on with this one"),
        ({"seed": 3}, "other settings: seed"),
        ({"precision": "bf16"}, "other settings: precision"),
        ({"budget": 7.0}, r"other settings: budget.*--resume"),
    ],
    ids=str,
)
def test_a_run_with_other_settings_is_refused_and_stands(sampled, copied, changes, said):
    before = tree(copied)
    asked = order(sampled, copied)
    own = {key: value for key, value in changes.items() if key in ("seed", "precision", "budget")}
    asked = replace(asked, **own, settings={**asked.settings, **{k: v for k, v in changes.items() if k not in own}})
    for attempt in (run, plan):
        with pytest.raises(ConfigError, match=said):
            attempt(asked)
    assert tree(copied) == before


def test_a_run_on_other_shapes_is_refused(sampled, copied, tmp_path):
    fewer = changed(sampled, tmp_path / "fewer.h5", lambda columns, row: None, rows=5)
    with pytest.raises(ConfigError, match="other settings: shape_ids"):
        run(order(fewer, copied))


def test_a_configuration_that_is_named_when_resuming_must_be_that_of_the_run(sampled, copied):
    with pytest.raises(ConfigError, match="holds a run with other settings"):
        run(replace(order(sampled, copied), config="curriculum", resume=True))


def test_settings_of_a_start_that_came_to_no_checkpoint_bind_nobody(sampled, tmp_path):
    shard = changed(sampled, tmp_path / "out.h5", lambda c, row: c.update(distances=np.abs(c["distances"]) + 1e-3))
    with pytest.raises(DataError):
        run(order(shard, tmp_path / "run", width=8))
    run(order(sampled, tmp_path / "run", steps=2))
    assert read_recipe(tmp_path / "run").config.width == 16


def edited(run_folder: Path, **values: object) -> None:
    place = run_folder / "recipe.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"layout": 99}, "expected shapetool-run of layout 1, found 'shapetool-run' of layout 99"),
        ({"format": "other"}, "found 'other'"),
        ({"model": "gone"}, "unknown model 'gone'"),
        ({"config": {"widht": 3}}, "unknown setting 'widht'"),
        ({"facts": {}}, "expected the recipe of a run"),
        ({"config": None}, "expected the recipe of a run"),
    ],
    ids=str,
)
def test_a_recipe_of_another_version_or_damaged_is_refused(sampled, copied, values, said):
    edited(copied, **values)
    for ask in (lambda: run(order(sampled, copied)), lambda: open_run(copied)):
        with pytest.raises(CheckpointError, match=said):
            ask()


def test_a_recipe_that_is_no_json_is_refused(sampled, copied):
    (copied / "recipe.json").write_text('{"format": ')
    with pytest.raises(CheckpointError, match="expected the recipe of a run"):
        run(order(sampled, copied))
    (copied / "recipe.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="expected the recipe of a run"):
        run(order(sampled, copied))


def test_a_run_of_another_model_is_named(sampled, copied, monkeypatch):
    from shapetool.models import MODELS

    monkeypatch.setitem(MODELS, "other", MODELS["deepsdf"])
    with pytest.raises(CheckpointError, match="expected a run of other, found one of deepsdf"):
        run(replace(order(sampled, copied), model="other", resume=True))
    with pytest.raises(ConfigError, match="other settings: model deepsdf -> other"):
        run(replace(order(sampled, copied), model="other"))


def test_a_damaged_checkpoint_stops_a_run_that_goes_on_and_stands(sampled, copied):
    (copied / "last/training.safetensors").write_bytes(b"x" * 100)
    before = tree(copied)
    with pytest.raises(CheckpointError, match=r"training\.safetensors: expected safetensors"):
        run(replace(order(sampled, copied), settings={"steps": 30}, resume=True))
    after = tree(copied)
    assert {name for name in before if after[name] != before[name]} <= {"recipe.json", "curves.png"}


def test_a_pickle_is_named_where_a_run_is_opened(copied, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match="found a pickle"):
        open_run(tmp_path / "model.pt")
    (copied / "best/model.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(CheckpointError, match=r"model\.pt: expected safetensors, found a pickle"):
        open_run(copied)
    with pytest.raises(CheckpointError, match="no such folder"):
        open_run(copied, "first")
    with pytest.raises(CheckpointError, match="expected a run folder with its recipe"):
        open_run(tmp_path / "gone")


def test_a_plan_writes_nothing_and_says_what_would_be_trained(sampled, tmp_path):
    said = plan(order(sampled, tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert (said["model"], said["shapes"], said["config"]["width"]) == ("deepsdf", 6, 16)
    layers = (4 + 3 + 1) * 16 + (16 + 1) * 16 + (16 + 7 + 1) * 16 + 17
    assert said["parameters"] == layers + 6 * 4
    assert json.loads(json.dumps(said))["data"] == [str(sampled)]


def test_a_disk_that_is_full_leaves_the_checkpoint_before_and_a_rerun_with_room_completes(
    sampled, small_disk, tmp_path
):
    folder, filler = small_disk / "run", small_disk / "filler"

    def fill(event):
        if event["event"] == "saved" and event["step"] == 10:
            with open(filler, "wb", buffering=0) as file, suppress(OSError):
                while file.write(bytes(4096)):
                    pass

    with pytest.raises(OSError, match="No space left"):
        run(order(sampled, folder, width=64), fill)
    assert load(folder / "last", {}).step == 10
    assert load(folder / "last", {}).weights["layers.0.weight"].shape == (64, 7)
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    run(order(sampled, folder, width=64))
    run(order(sampled, tmp_path / "other", width=64))
    assert content(folder) == content(tmp_path / "other")


def test_tensorboard_without_its_package_names_the_extra(sampled, tmp_path, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorboard" else find(name, *a))
    with pytest.raises(ConfigError, match=r"pip install 'shapetool\[tensorboard\]'"):
        run(replace(order(sampled, tmp_path / "run"), tensorboard=True))
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_the_scalars(sampled, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(replace(order(sampled, tmp_path / "run"), tensorboard=True))
    found = EventAccumulator(str(tmp_path / "run/tensorboard"))
    found.Reload()
    log = read_log(tmp_path / "run/log.jsonl")
    assert [scalar.step for scalar in found.Scalars("loss")] == [entry["step"] for entry in log]
    assert [scalar.value for scalar in found.Scalars("loss")] == pytest.approx([entry["loss"] for entry in log])
