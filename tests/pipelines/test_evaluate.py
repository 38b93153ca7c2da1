"""`eval` from files to rows and means: who is paired with whom, what failures cost, and that reruns change nothing."""

import csv
import json
import math

import numpy as np
import pytest

from shapetool.data.mesh_files import encode_mesh
from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh
from shapetool.pipelines.evaluate import EvalRecipe, evaluate, plan
from shapetool.pipelines.sample_occupancy import run as sample_occupancy
from shapetool.recipes import occupancy_recipe
from shapetool.recipes.evaluation import read_metrics
from shapetool.runner.job import Options
from tests.analytic import box_mesh

FEW = {"samples": 400, "volume_points": 2000}
ONE = Options(workers=1)


def cube(shift=(0.0, 0.0, 0.0), size=1.0):
    low = np.array(shift)
    vertices, faces = box_mesh(tuple(low), tuple(low + size))
    return Mesh(vertices, faces)


def write(path, mesh):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_mesh(mesh, path.suffix[1:]))


@pytest.fixture
def folders(tmp_path):
    """Three truths in each of two categories, and six kinds of predictions of them, one more that nobody asked for."""
    pred, true = tmp_path / "pred", tmp_path / "true"
    for name in ("a/good", "a/missing", "a/empty", "b/broken", "b/blank", "b/shifted"):
        write(true / f"{name}.ply", cube())
    write(pred / "a/good.obj", cube())
    write(pred / "b/shifted.off", cube((0.3, 0, 0)))
    write(pred / "a/more.obj", cube())
    (pred / "a/empty.obj").write_text("v 0 0 0\nv 1 0 0\n")
    (pred / "b/broken.ply").write_text("ply\nnot a header\n")
    (pred / "b/blank.obj").write_bytes(b"")
    return pred, true


def read_csv(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_mesh_is_exactly_itself(tmp_path):
    skew, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    mesh = Mesh(cube().vertices @ skew + 0.1, cube().faces)
    for side in ("pred", "true"):
        write(tmp_path / side / "one.ply", mesh)
    recipe = EvalRecipe(samples=5000, metrics=read_metrics("surface,iou"))
    evaluate(tmp_path / "pred", tmp_path / "true", recipe, out=tmp_path / "out", options=ONE)
    (row,) = read_csv(tmp_path / "out/per_shape.csv")
    assert (float(row["surface_l1_mean"]), float(row["iou"])) == (0.0, 1.0)


def test_every_truth_is_a_row_and_failures_say_why(folders, tmp_path):
    found = evaluate(*folders, EvalRecipe(**FEW), out=tmp_path / "out", options=ONE)
    rows = {row["shape_id"]: row for row in read_csv(tmp_path / "out/per_shape.csv")}
    statuses = {name: row["status"] for name, row in rows.items()}
    assert statuses == {
        "a/good": "ok",
        "a/missing": "missing",
        "a/empty": "empty",
        "b/blank": "empty",
        "b/broken": "unreadable",
        "b/shifted": "ok",
    }
    assert "header" in rows["b/broken"]["reason"]
    assert found.exit_code == 3
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["counts"] == {"total": 6, "empty": 2, "missing": 1, "ok": 2, "unreadable": 1}
    assert summary["unpaired"] == {"predictions": ["a/more"], "truths": ["a/missing"]}
    told = summary["metrics"]["chamfer_l1_mean"]
    values = [float(rows[name]["chamfer_l1_mean"]) for name in ("a/good", "b/shifted")]
    assert told["excluded"]["count"] == 2
    assert told["excluded"]["mean"] == pytest.approx(sum(values) / 2, rel=1e-15)
    assert told["penalised"]["count"] == 6
    assert told["penalised"]["mean"] == pytest.approx((sum(values) + 4 * math.sqrt(3)) / 6, rel=1e-15)
    assert summary["metrics"]["iou"]["penalised"]["mean"] == pytest.approx(
        (float(rows["a/good"]["iou"]) + float(rows["b/shifted"]["iou"])) / 6, rel=1e-15
    )


def test_the_numbers_of_shifted_cubes_are_the_closed_forms(folders, tmp_path):
    recipe = EvalRecipe(metrics=read_metrics("iou,surface"), samples=20_000, volume_points=100_000)
    rows = {row["shape_id"]: row for row in evaluate(*folders, recipe, options=ONE).rows}
    shifted, good = rows["b/shifted"], rows["a/good"]
    assert shifted["surface_l1_mean_low"] <= 0.106 <= shifted["surface_l1_mean_high"]
    assert shifted["iou"] == pytest.approx(0.7 / 1.3, rel=1e-6)  # the boolean works in float32 coordinates
    assert shifted["iou_method"] == "boolean"
    assert good["iou"] == 1
    assert good["surface_l1_mean"] == 0


def test_workers_and_reruns_change_no_byte(folders, tmp_path):
    recipe = EvalRecipe(protocol="onet", **FEW)
    for name, workers in (("one", 1), ("three", 3), ("one", 2)):  # the last is a rerun with nothing left to do
        evaluate(*folders, recipe, out=tmp_path / name, options=Options(workers=workers))
    for file in ("per_shape.csv", "summary.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "three" / file).read_bytes()


def test_other_predictions_are_not_taken_for_those_of_the_last_run(folders, tmp_path):
    evaluate(*folders, EvalRecipe(**FEW), out=tmp_path / "out", options=ONE)
    write(folders[0] / "a/missing.obj", cube())
    with pytest.raises(ConfigError, match="overwrite"):
        evaluate(*folders, EvalRecipe(**FEW), out=tmp_path / "out", options=ONE)
    options = Options(workers=1, overwrite=True)
    again = evaluate(*folders, EvalRecipe(**FEW), out=tmp_path / "out", options=options)
    assert again.summary["counts"]["ok"] == 3


def test_an_author_drops_the_failures_that_fixed_counts(folders):
    found = evaluate(*folders, EvalRecipe(protocol="onet", **FEW), options=ONE)
    told, rows = found.summary["onet"], {row["shape_id"]: row for row in found.rows}
    good, shifted = (rows[name]["onet.chamfer_l1"] for name in ("a/good", "b/shifted"))
    assert good == pytest.approx(rows["a/good"]["chamfer_l1_mean"], rel=1e-12)
    assert told["chamfer_l1"]["mean"] == pytest.approx((good + shifted) / 2, rel=1e-15)  # one in each category
    root = math.sqrt(3)
    fixed = ((good + 2 * root) / 3 + (shifted + 2 * root) / 3) / 2
    assert told["chamfer_l1.fixed"]["mean"] == pytest.approx(fixed, rel=1e-14)
    assert told["iou"]["count"] == 4  # two scored, and two empty ones at 0
    assert told["iou.fixed"]["count"] == 6


def test_two_predictions_are_compared_on_the_same_draws(folders, tmp_path):
    pred, true = folders
    found = evaluate(pred, true, EvalRecipe(**FEW), second=pred, out=tmp_path / "out", options=ONE)
    for told in found.summary["difference"].values():
        assert (told["count"], told["mean"]) == (2, 0)
    other = tmp_path / "other"
    write(other / "a/good.obj", cube((0.1, 0, 0)))
    write(other / "b/shifted.obj", cube((0.1, 0, 0)))
    difference = evaluate(pred, true, EvalRecipe(**FEW), second=other, options=ONE).summary["difference"]["hausdorff"]
    assert difference["count"] == 2
    assert difference["mean"] == pytest.approx((0.1 - 0.2) / 2, abs=0.06)  # the spacing of 400 points


@pytest.mark.parametrize("suffix", ["npy", "npz", "xyz", "ply"])
def test_clouds_are_scored_as_they_are(suffix, tmp_path):
    points = np.random.default_rng(0).random((50, 3))
    for side, cloud in (("pred", points + np.array([3.0, 0, 0])), ("true", points)):
        path = tmp_path / side / f"x.{suffix}"
        path.parent.mkdir()
        if suffix == "npy":
            np.save(path, cloud)
        elif suffix == "npz":
            np.savez(path, points=cloud)
        elif suffix == "xyz":
            np.savetxt(path, cloud, fmt="%.17g")
        else:
            head = "ply\nformat binary_little_endian 1.0\nelement vertex 50\n"
            head += "".join(f"property double {axis}\n" for axis in "xyz") + "end_header\n"
            path.write_bytes(head.encode() + cloud.astype("<f8").tobytes())
    found = evaluate(tmp_path / "pred", tmp_path / "true", EvalRecipe(samples=50), options=ONE)
    ((row,), every) = found.rows, np.linalg.norm(points[:, None] + np.array([3.0, 0, 0]) - points[None], axis=2)
    assert row["status"] == "ok"
    expected = (every.min(axis=1).mean() + every.min(axis=0).mean()) / 2
    assert row["chamfer_l1_mean"] == pytest.approx(expected, rel=1e-12)
    assert "iou" not in row


def test_a_shard_is_a_truth_with_labels_of_its_own(folders, tmp_path):
    true = tmp_path / "true/b/shifted.ply"
    recipe = occupancy_recipe("onet").replace(count=3000, surface_count=500)
    sample_occupancy([str(true)], tmp_path / "true.h5", recipe)
    pred = tmp_path / "alone"
    write(pred / "shifted.ply", cube((-0.5, -0.5, -0.5)))  # the truth in the frame of the recipe
    found = evaluate(pred, tmp_path / "true.h5", EvalRecipe(protocol="onet", **FEW), options=ONE)
    (row,) = found.rows
    assert row["status"] == "ok", row["reason"]
    assert row["onet.iou"] == 1
    assert row["n_true"] == 400


def test_alignment_keeps_the_raw_value_and_the_transform(folders):
    recipe = EvalRecipe(metrics=("surface", "iou"), align="similarity", **FEW)
    row = next(row for row in evaluate(*folders, recipe, options=ONE).rows if row["shape_id"] == "b/shifted")
    matrix = np.array([float(word) for word in row["transform"].split()]).reshape(4, 4)
    assert np.allclose(matrix, np.array([[1, 0, 0, -0.3], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), atol=1e-12)
    assert row["surface_l1_mean"] < 1e-12
    assert row["raw.surface_l1_mean"] > 0.05


def test_a_mesh_that_is_not_closed_is_said_to_be(tmp_path):
    open_cube = Mesh(cube().vertices, cube().faces[:-2])
    write(tmp_path / "pred/x.ply", open_cube)
    write(tmp_path / "true/x.ply", cube())
    (row,) = evaluate(tmp_path / "pred", tmp_path / "true", EvalRecipe(**FEW), options=ONE).rows
    said = "iou: the prediction has 4 open edges, so no exact boolean: inside is by winding number, on a lattice"
    assert said in row["warnings"]
    assert row["iou_method"] == "lattice"


def test_two_files_are_a_pair_whatever_they_are_called(tmp_path):
    write(tmp_path / "mine.ply", cube())
    write(tmp_path / "theirs.obj", cube())
    found = evaluate(tmp_path / "mine.ply", tmp_path / "theirs.obj", EvalRecipe(**FEW), options=ONE)
    assert [row["shape_id"] for row in found.rows] == ["theirs"]
    assert found.exit_code == 0


def test_what_makes_no_sense_is_refused(folders, tmp_path):
    pred, true = folders
    write(tmp_path / "strange/x.ply", cube())
    with pytest.raises(ConfigError, match="no shape id is in both"):
        evaluate(tmp_path / "strange", true)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("")
    with pytest.raises(ConfigError, match=r"found 'thesis\.tex'"):
        evaluate(pred, true, out=tmp_path / "full")
    for wrong in (
        {"protocol": "onett"},
        {"align": "turn"},
        {"samples": 1},
        {"thresholds": (0.0,)},
        {"metrics": ("f",)},
    ):
        with pytest.raises(ConfigError):
            EvalRecipe(**wrong)
    with pytest.raises(ConfigError, match="did you mean"):
        read_metrics("chamfr")
    assert read_metrics("chamfer_l1_mean,recall@0.01") == ("chamfer", "fscore")


def test_a_plan_names_what_has_no_partner_and_writes_nothing(folders, tmp_path):
    told = plan(*folders, out=tmp_path / "out")
    assert told["shapes"] == 6
    assert told["prediction"] == {"predictions": ["a/more"], "truths": ["a/missing"]}
    assert not (tmp_path / "out").exists()


def clouds(tmp_path, pred, true):
    for side, cloud in (("pred", pred), ("true", true)):
        (tmp_path / side).mkdir(exist_ok=True)
        np.save(tmp_path / side / "x.npy", cloud)
    return tmp_path / "pred", tmp_path / "true"


def test_a_shift_is_matched_at_its_length_far_from_the_origin_too(tmp_path):
    points = np.random.default_rng(1).integers(0, 1000, (64, 3)) / 1024.0 + 2.0**20  # exact at that distance
    recipe = EvalRecipe(metrics=("emd", "chamfer"), samples=64)
    (row,) = evaluate(*clouds(tmp_path, points + np.array([0.25, 0.5, 0.5]), points), recipe, options=ONE).rows
    assert row["emd"] == pytest.approx(0.75, rel=1e-9)
    assert row["emd_lower"] <= row["emd_upper"]
    assert row["emd_points"] == 64


@pytest.mark.parametrize(
    ("cloud", "status", "reason"),
    [
        (np.zeros((0, 3)), "empty", "holds no point"),
        (np.array([[0.0, 0, np.nan]]), "unreadable", "found [0.0, 0.0, nan] in row 0"),
        (np.zeros((4, 2)), "unreadable", "rows of 3 or 6"),
        (np.array([["a", "b", "c"]]), "unreadable", "expected numbers"),
    ],
)
def test_a_cloud_that_is_none_is_a_row_with_a_reason(cloud, status, reason, tmp_path):
    truth = np.random.default_rng(2).random((20, 3))
    (row,) = evaluate(*clouds(tmp_path, cloud, truth), EvalRecipe(**FEW), options=ONE).rows
    assert row["status"] == status
    assert reason in row["reason"]


def test_clouds_of_one_point_and_of_other_sizes_have_a_distance(tmp_path):
    one = np.zeros((1, 3))
    (row,) = evaluate(*clouds(tmp_path, one, one + np.array([0, 3.0, 4.0])), EvalRecipe(**FEW), options=ONE).rows
    assert (row["chamfer_l1_mean"], row["chamfer_l2sq_sum"], row["hausdorff"]) == (5, 50, 5)
    assert row["chamfer_l1_mean_low"] is None
    (row,) = evaluate(*clouds(tmp_path, one, np.array([[1.0, 0, 0], [3.0, 0, 0]])), EvalRecipe(**FEW), options=ONE).rows
    assert row["chamfer_l1_mean"] == 1.5  # 1 there, 2 back


def test_a_truth_that_cannot_be_read_is_a_row_too(folders):
    pred, true = folders
    (true / "a/good.ply").write_text("nothing")
    rows = {row["shape_id"]: row for row in evaluate(pred, true, EvalRecipe(**FEW), options=ONE).rows}
    assert rows["a/good"]["status"] == "invalid"
    assert "the truth cannot be used" in rows["a/good"]["reason"]


def test_disn_draws_vertices_and_convonet_forgets_what_sticks_out(tmp_path):
    write(tmp_path / "true/x.ply", cube())
    far = cube((5.0, 0, 0))
    both = Mesh(np.r_[cube().vertices, far.vertices], np.r_[cube().faces, far.faces + len(cube().vertices)])
    write(tmp_path / "pred/x.ply", both)
    sides = tmp_path / "pred", tmp_path / "true"
    (row,) = evaluate(*sides, EvalRecipe(protocol="convonet", **FEW), options=ONE).rows
    assert row["convonet.accuracy"] < 0.2 < 2 < row["convonet.accuracy.fixed"]
    (row,) = evaluate(*sides, EvalRecipe(protocol="disn", **FEW), options=ONE).rows
    assert row["disn.recall@0.5%"] == 1  # corners meet corners
    assert row["disn.recall@0.5%.fixed"] < 0.5


def test_deepsdf_measures_in_the_frame_the_truth_came_in(tmp_path):
    write(tmp_path / "x.ply", cube((0.0, 0, 0), size=4.0))
    recipe = occupancy_recipe("onet").replace(count=1000, surface_count=3000)
    sample_occupancy([str(tmp_path / "x.ply")], tmp_path / "true.h5", recipe)
    write(tmp_path / "pred/x.ply", cube((-0.5, -0.5, -0.5)))
    deepsdf = EvalRecipe(protocol="deepsdf", samples=3000, volume_points=1000)
    (row,) = evaluate(tmp_path / "pred", tmp_path / "true.h5", deepsdf, options=ONE).rows
    plain = EvalRecipe(samples=3000, volume_points=1000)
    (unit,) = evaluate(tmp_path / "pred", tmp_path / "true.h5", plain, options=ONE).rows
    assert row["deepsdf.chamfer"] == pytest.approx(16 * unit["chamfer_l2sq_sum"], rel=1e-5)
