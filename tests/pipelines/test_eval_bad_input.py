"""`eval` on shapes that are hardly any: what is refused, what is measured all the same, and what is said of it."""

import numpy as np
import pytest

from shapetool.cli.app import main
from shapetool.data.mesh_files import encode_mesh
from shapetool.errors import ConfigError
from shapetool.geometry.mesh import Mesh
from shapetool.pipelines.evaluate import EvalRecipe, evaluate
from shapetool.runner.job import Options
from tests.analytic import box_mesh

FEW = EvalRecipe(metrics=("chamfer", "hausdorff", "iou"), samples=400, volume_points=2000)
ONE = Options(workers=1)
CLOUD = np.random.default_rng(0).random((50, 3))


def cube(shift=(0.0, 0.0, 0.0), size=1.0, missing=0):
    low = np.array(shift)
    vertices, faces = box_mesh(tuple(low), tuple(low + size))
    return Mesh(vertices, faces[: len(faces) - missing])


def plate():
    return Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))


def write(path, shape):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(shape, Mesh):
        path.with_suffix(".ply").write_bytes(encode_mesh(shape, "ply"))
    elif isinstance(shape, str):
        path.with_suffix(".obj").write_text(shape)
    else:
        np.save(path.with_suffix(".npy"), shape)


@pytest.fixture
def scored(tmp_path):
    """The row of one pair."""

    def score(pred, true, recipe=FEW):
        write(tmp_path / "pred/x", pred)
        write(tmp_path / "true/x", true)
        (row,) = evaluate(tmp_path / "pred", tmp_path / "true", recipe, options=ONE).rows
        return row

    return score


FLAT = "v 0 0 0\nv 1 0 0\nv 2 0 0\nv 3 0 0\nf 1 2 3\nf 2 3 4\n"
NAN = "v 0 0 0\nv nan 0 1\nv 0 1 0\nv 1 1 1\nf 1 2 3\nf 1 3 4\n"


@pytest.mark.parametrize(
    ("shape", "status", "reason"),
    [
        (np.zeros((0, 3)), "empty", "x.npy: holds no point"),
        (np.where(np.arange(150).reshape(50, 3) == 22, np.nan, CLOUD), "unreadable", "nan, 0.647"),
        (np.where(np.arange(150).reshape(50, 3) == 22, np.inf, CLOUD), "unreadable", "in row 7. Remove it."),
        (FLAT, "unreadable", "x.obj: expected a surface with area, found 2 faces, all of zero area"),
        (NAN, "unreadable", "x.obj: expected finite coordinates of at most 1e+100, found 1 of 4 vertices outside that"),
    ],
    ids=["no point", "nan", "inf", "no area", "nan in a mesh"],
)
def test_a_shape_that_is_none_is_a_row_on_either_side(scored, shape, status, reason):
    row = scored(shape, CLOUD)
    assert row["status"] == status
    assert reason in row["reason"]
    assert "chamfer_l1_mean" not in row


@pytest.mark.parametrize("shape", [np.zeros((0, 3)), FLAT, NAN], ids=["no point", "no area", "nan"])
def test_a_truth_that_is_none_says_that_it_is_the_truth(scored, shape):
    row = scored(CLOUD, shape)
    assert row["status"] == "invalid"
    assert row["reason"].startswith("the truth cannot be used: x.")


def test_one_point_is_measured_and_has_no_interval(scored):
    row = scored(np.zeros((1, 3)), np.array([[3.0, 0, 0], [0, 4, 0]]))
    assert row["chamfer_l1_mean"] == (3 + 3.5) / 2
    assert row["hausdorff"] == 4
    assert row["chamfer_l1_mean_low"] is None
    assert "floor_chamfer_l1_mean" not in row
    assert row["warnings"] == "prediction: is a single point, so there is no interval and no floor"
    assert "truth: is a single point" in scored(CLOUD, np.zeros((1, 3)))["warnings"]


def test_points_at_one_place_are_counted(scored):
    row = scored(np.ones((40, 3)), CLOUD)
    assert row["status"] == "ok"
    assert row["warnings"] == "prediction: 40 points stand at 1 place"
    assert scored(CLOUD, np.concatenate([CLOUD, CLOUD[:2]]))["warnings"] == ""  # a few doubles are no fault


def test_a_spacing_of_a_thousandth_a_million_away_is_kept_in_double_and_told_in_single(scored):
    near = np.random.default_rng(1).integers(0, 1024, (200, 3)) / 1024  # exact at either place
    move, places = np.array([1.0, 0, 0]) / 1024, near + 2.0**20
    recipe = EvalRecipe(metrics=("chamfer", "hausdorff", "emd"), samples=400)
    here, there = scored(near + move, near, recipe), scored(places + move, places, recipe)
    assert here["status"] == there["status"] == "ok"
    for key in ("chamfer_l1_mean", "chamfer_l2sq_sum", "hausdorff", "emd", "chamfer_l1_mean_low"):
        assert there[key] == pytest.approx(here[key], rel=1e-9)
    assert there["emd"] == pytest.approx(1 / 1024, rel=1e-9)
    assert there["warnings"] == ""
    row = scored((places + move).astype(np.float32), places.astype(np.float32), recipe)
    assert "prediction: coordinates up to 1.05e+06 in single precision are 0.12 apart" in row["warnings"]
    assert "truth: coordinates up to 1.05e+06 in single precision are 0.12 apart" in row["warnings"]


def test_a_mesh_a_million_away_has_the_scores_it_has_at_home(scored):
    recipe = EvalRecipe(metrics=("chamfer", "hausdorff", "iou", "surface"), samples=400)
    sixteenth = np.array([1 / 16, 0, 0])
    here = scored(cube(sixteenth), cube(), recipe)
    there = scored(cube(sixteenth + 2.0**20), cube((2.0**20,) * 3), recipe)
    for key in ("chamfer_l1_mean", "hausdorff", "iou", "surface_l1_mean"):
        assert there[key] == pytest.approx(here[key], rel=1e-6)
    assert there["iou"] == pytest.approx(15 / 17, rel=1e-9)


HOW = "has 4 open edges, so no exact boolean: inside is by winding number, on a lattice"


@pytest.mark.parametrize(
    ("pred", "true", "said"),
    [
        (2, 0, f"iou: the prediction {HOW}"),
        (0, 2, f"iou: the truth {HOW}"),
        (2, 2, f"iou: the prediction {HOW}; iou: the truth {HOW}"),
    ],
)
def test_the_iou_of_an_open_mesh_says_which_side_and_what_was_done(scored, pred, true, said):
    row = scored(cube(missing=pred), cube(missing=true))
    assert row["warnings"] == said
    assert row["iou_method"] == "lattice"
    assert row["iou"] == pytest.approx(1, abs=1e-3)  # half a lattice cell off a missing side


def test_the_iou_of_what_encloses_nothing_is_none_or_zero(scored):
    row = scored(plate(), plate())
    assert row["iou"] is None
    assert row["warnings"] == "iou: expected a solid with volume on one side at least, found none: IoU would be 0/0."
    assert scored(plate(), cube())["iou"] == 0


def test_clouds_of_other_sizes_say_how_many_points_were_matched(scored):
    row = scored(CLOUD[:20], CLOUD, EvalRecipe(metrics=("chamfer", "emd"), samples=400))
    assert (row["n_pred"], row["n_true"], row["emd_points"]) == (20, 50, 20)
    assert row["warnings"] == "emd: of 20 predicted and 50 true points 20 each were drawn and matched"


def test_a_category_without_a_truth_or_without_a_score_is_named(tmp_path, capsys):
    for name in ("a/x", "b/x"):
        write(tmp_path / "true" / name, CLOUD)
    for name in ("a/x", "c/x", "c/y"):
        write(tmp_path / "pred" / name, CLOUD)
    found = evaluate(tmp_path / "pred", tmp_path / "true", FEW, options=ONE)
    assert found.summary["categories"] == {"without_truth": ["c"], "without_score": ["b"]}
    assert found.summary["metrics"]["chamfer_l1_mean"]["macro"]["count"] == 1
    assert main(["eval", str(tmp_path / "pred"), str(tmp_path / "true"), "--samples", "100", "-j", "1"]) == 3
    said = capsys.readouterr().err
    assert "category c has predictions and no truth, so means by category leave it out" in said
    assert "category b has no shape with a score, so means by category leave it out" in said


def test_a_folder_that_exists_names_what_differs_and_nothing_else(tmp_path):
    for side in ("pred", "true"):
        write(tmp_path / side / "x", CLOUD)
    sides, out = (tmp_path / "pred", tmp_path / "true"), tmp_path / "out"
    first = evaluate(*sides, FEW, out=out, options=ONE)
    assert evaluate(*sides, FEW, out=out, options=ONE).rows == first.rows
    with pytest.raises(ConfigError) as raised:
        evaluate(*sides, EvalRecipe(metrics=("chamfer",), samples=400, volume_points=2000), out=out, options=ONE)
    assert str(raised.value) == (
        f'{out}/rows: exists and was made with other settings: metrics ["chamfer", "hausdorff", "iou"] -> ["chamfer"]. '
        "Use --overwrite to replace it, or choose another OUT."
    )
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match=r"taken: expected a folder, found a file\. Name another one for --out\."):
        evaluate(*sides, FEW, out=tmp_path / "taken", options=ONE)


def test_a_folder_without_shapes_says_what_would_be_one(tmp_path):
    (tmp_path / "none").mkdir()
    write(tmp_path / "true/x", CLOUD)
    for sides in (("none", "true"), ("true", "none")):
        with pytest.raises(ConfigError, match="none: expected at least one mesh, cloud or shard, found none"):
            evaluate(*(tmp_path / side for side in sides), FEW, options=ONE)
