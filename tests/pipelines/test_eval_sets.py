"""`eval --sets`: the scores of folders against those of the functions, categories, bad input and the page."""

import csv
import json
import re

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.errors import ConfigError
from shapetool.metrics.emd import emd
from shapetool.metrics.sets import jsd, set_scores
from shapetool.pipelines.eval_sets import evaluate_sets
from shapetool.recipes.evaluation import SetRecipe

POINTS = 40


def ellipsoid(rng: np.random.Generator, count: int = POINTS) -> np.ndarray:
    points = rng.normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True) * rng.uniform(0.1, 0.45, 3)


@pytest.fixture
def folders(tmp_path):
    """Two categories of clouds on both sides, seven predictions and six truths each."""
    rng = np.random.default_rng(5)
    for side, count in (("pred", 7), ("true", 6)):
        for category in ("chair", "mug"):
            (tmp_path / side / category).mkdir(parents=True)
            for index in range(count):
                np.save(tmp_path / side / category / f"{index}.npy", ellipsoid(rng))
    return tmp_path / "pred", tmp_path / "true"


def clouds(folder, pattern: str = "**/*.npy") -> list[np.ndarray]:
    return [np.load(path) for path in sorted(folder.glob(pattern))]


def chamfer(a: np.ndarray, b: np.ndarray) -> float:
    sq = ((a[:, None] - b) ** 2).sum(axis=2)
    return float(sq.min(axis=1).mean() + sq.min(axis=0).mean())


DISTANCES = {"chamfer_l2sq_sum": chamfer, "emd": lambda a, b: emd(a, b).value}


def test_folders_have_the_scores_of_their_clouds_and_of_each_category(folders):
    pred, true = folders
    found = evaluate_sets(pred, true, SetRecipe(samples=POINTS), threads=2)
    for told, pattern in (
        (found.summary["sets"], "**/*.npy"),
        (found.summary["categories"]["chair"], "chair/*.npy"),
        (found.summary["categories"]["mug"], "mug/*.npy"),
    ):
        samples, references = clouds(pred, pattern), clouds(true, pattern)
        for key, distance in DISTANCES.items():
            expected = set_scores(samples, references, distance)
            assert told[key]["mmd"]["value"] == pytest.approx(expected.mmd, rel=1e-12)
            assert told[key]["coverage"]["value"] == expected.coverage
            assert told[key]["nearest_accuracy"]["value"] == expected.nearest_accuracy
            for score in ("mmd", "coverage", "nearest_accuracy"):
                assert told[key][score]["low"] <= told[key][score]["value"] <= told[key][score]["high"]
        assert told["emd"]["measured"] < told["emd"]["pairs"]
        assert told["jsd"]["value"] == pytest.approx(jsd(samples, references), abs=1e-15)
    assert found.summary["sets"]["chance"] == pytest.approx((14 * 13 + 12 * 11) / (26 * 25))
    assert found.exit_code == 0


def test_rows_say_which_shape_of_the_other_set_is_nearest(folders):
    pred, true = folders
    found = evaluate_sets(pred, true, SetRecipe(("chamfer",), POINTS))
    row = next(row for row in found.rows if row["set"] == "reference" and row["shape_id"] == "mug/3")
    own = np.load(true / "mug/3.npy")
    distances = {
        path.relative_to(pred).with_suffix("").as_posix(): chamfer(np.load(path), own) for path in pred.glob("*/*")
    }
    assert row["nearest_by_chamfer_l2sq_sum"] == min(distances, key=distances.__getitem__)
    assert row["nearest_chamfer_l2sq_sum"] == pytest.approx(min(distances.values()), rel=1e-12)
    others = [chamfer(np.load(path), own) for path in true.glob("*/*") if path != true / "mug/3.npy"]
    assert row["own_is_nearer_by_chamfer_l2sq_sum"] == (min(others) < min(distances.values()))


def test_threads_and_reruns_change_nothing(folders):
    pred, true = folders
    one, three = (evaluate_sets(pred, true, SetRecipe(samples=30), threads=threads) for threads in (1, 3))
    assert one.summary == three.summary
    assert one.rows == three.rows
    assert one.summary != evaluate_sets(pred, true, SetRecipe(samples=30), seed=1).summary  # another draw of 30 of 40


def test_frames_take_size_and_place_away(folders, tmp_path):
    pred, _ = folders
    for path in pred.glob("*/*"):
        moved = tmp_path / "moved" / path.relative_to(pred)
        moved.parent.mkdir(parents=True, exist_ok=True)
        np.save(moved, 7 * np.load(path) + 3)
    plain = evaluate_sets(pred, tmp_path / "moved", SetRecipe(("chamfer",), POINTS)).summary["sets"]
    framed = evaluate_sets(pred, tmp_path / "moved", SetRecipe(("chamfer",), POINTS, "box")).summary["sets"]
    assert plain["chamfer_l2sq_sum"]["mmd"]["value"] > 1
    assert framed["chamfer_l2sq_sum"]["mmd"]["value"] < 1e-20
    assert framed["chamfer_l2sq_sum"]["coverage"]["value"] == 1
    assert plain["jsd"]["scale"] < 0.2  # 7 times the size and moved, they reach far out of the ball


def test_the_command_prints_scores_and_writes_rows_summary_and_page(folders, tmp_path, capsys):
    words = ["eval", *map(str, folders), "--sets", "--samples", str(POINTS), "--out", str(tmp_path / "out")]
    assert main([*words, "--up", "y", "--worst", "2"]) == 0
    said = capsys.readouterr()
    assert re.search(r"all +1-NNA by emd +\S+ \(chance: 0.4831\) +\S+ to \S+", said.out)
    assert "14 predictions and 12 truths" in said.err
    with (tmp_path / "out/per_shape.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 26
    summary = json.loads((tmp_path / "out/summary.json").read_text(encoding="utf-8"))
    assert summary["recipe"]["samples"] == POINTS
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "MMD" in page
    assert "As the author" not in page
    assert len(re.findall(r'<article id="shape-', page)) == 2


def test_bad_input_is_named(folders, tmp_path, capsys):
    pred, true = folders
    np.save(pred / "mug/9.npy", np.zeros((5, 3)))
    with pytest.raises(ConfigError, match=r"mug/9.npy: expected at least 40 points.*found 5. Pass --samples 5"):
        evaluate_sets(pred, true, SetRecipe(samples=POINTS))
    (pred / "mug/9.npy").write_bytes(b"nothing")
    (true / "lamp").mkdir()
    np.save(true / "lamp/0.npy", ellipsoid(np.random.default_rng(0)))
    words = ["eval", str(pred), str(true), "--sets", "--samples", str(POINTS), "-j", "1"]
    assert main(words) == 3
    said = capsys.readouterr().err
    assert "sample mug/9 is in no set" in said
    assert "1 categories of truths alone, without scores of their own: lamp" in said
    for more, message in (
        (["--metrics", "iou"], "--metrics iou: sets are compared by chamfer and emd only"),
        (["--normalize", "bax"], "--normalize bax: unknown; did you mean 'box'"),
        (["--emd-rtol", "1"], "--emd-rtol 1.0: expected a share"),
        (["--align", "icp"], "--align: is for pairs of shapes"),
        (["--up", "x"], "--up x: expected y or z"),
    ):
        assert main([*words, *more]) == 1
        assert message in capsys.readouterr().err
    assert main(["eval", str(pred), str(true), "--normalize", "box"]) == 1
    assert "which is for --sets" in capsys.readouterr().err


def test_a_dry_run_counts_and_measures_nothing(folders, tmp_path, capsys):
    assert main(["eval", *map(str, folders), "--sets", "--dry-run", "--out", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["samples"], told["references"]) == (14, 12)
    assert not (tmp_path / "out").exists()
