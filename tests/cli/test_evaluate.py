"""`shapetool eval` on the command line: exit codes, what is printed where, and explanations without shapes."""

import json
import re

import numpy as np

from shapetool.cli.app import main

CORNERS = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def folders(tmp_path, names=("x",)):
    for side in ("pred", "true"):
        (tmp_path / side).mkdir()
        for name in names:
            (tmp_path / side / f"{name}.obj").write_text(CORNERS)
    return [str(tmp_path / side) for side in ("pred", "true")]


def test_scores_go_to_stdout_and_the_rest_to_stderr(tmp_path, capsys):
    words = ["eval", *folders(tmp_path), "--samples", "200", "--out", str(tmp_path / "out"), "-j", "1"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "chamfer_l1_mean" in said.out
    assert "1 of 1 shapes scored" in said.err
    assert {"per_shape.csv", "summary.json", "report.html"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_the_page_draws_the_worst_shapes_and_leaves_out_what_has_none(tmp_path, capsys):
    pred, true = folders(tmp_path, ("same", "moved", "gone"))
    (tmp_path / "pred/moved.obj").write_text(CORNERS.replace("v 0 0 1", "v 0 0 1.5"))
    (tmp_path / "pred/gone.obj").unlink()
    words = ["eval", pred, true, "--samples", "200", "--out", str(tmp_path / "out"), "-j", "1", "-q", "--worst", "1"]
    assert main(words) == 3
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    cards = re.findall(r'<article id="shape-\d+"><h3><span class="tag (\w+)">.*?</h3>', page, re.DOTALL)
    assert cards == ["worst", "median"]
    first = page.index('<article id="shape-0"')
    assert "moved" in page[first : page.index('<article id="shape-1"')]
    assert "no prediction has this id" in page


def test_json_lines_end_with_the_summary(tmp_path, capsys):
    assert main(["eval", *folders(tmp_path), "--samples", "200", "--json", "-j", "1"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "summary"
    assert lines[-1]["counts"] == {"total": 1, "ok": 1}


def test_a_failure_is_exit_code_three_and_a_second_prediction_is_compared(tmp_path, capsys):
    pred, true = folders(tmp_path, ("x", "y"))
    (tmp_path / "pred/y.obj").unlink()
    assert main(["eval", pred, true, "--samples", "200", "-j", "1", "-q"]) == 3
    assert main(["eval", pred, pred, "--true", true, "--samples", "200", "-j", "1"]) == 3
    assert "second - first: chamfer_l1_mean" in capsys.readouterr().out


def test_an_explanation_needs_no_shapes(capsys):
    assert main(["eval", "--explain", "tatarchenko"]) == 0
    assert "names exchanged" in capsys.readouterr().out
    assert main(["eval", "--explain", "onett"]) == 1
    assert main(["eval"]) == 1
    assert "expected PRED and GT" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_compared(tmp_path, capsys):
    assert main(["eval", *folders(tmp_path), "--dry-run", "--out", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out)["shapes"] == 1
    assert not (tmp_path / "out").exists()


def test_emd_may_be_certified_to_a_share_and_pictures_turned(tmp_path, capsys):
    rng = np.random.default_rng(1)
    for side, size in (("pred", 0.3), ("true", 1.0)):
        np.save(tmp_path / f"{side}.npy", rng.random((600, 3)) ** 2 * size)
    words = ["eval", str(tmp_path / "pred.npy"), str(tmp_path / "true.npy"), "--metrics", "emd", "-j", "1", "-q"]
    gaps, pages = {}, {}
    for rtol, up in (("0", "z"), ("0.2", "y")):
        out = tmp_path / up
        assert main([*words, "--emd-rtol", rtol, "--up", up, "--out", str(out)]) == 0
        told = {
            key: found["excluded"]["mean"]
            for key, found in json.loads((out / "summary.json").read_text())["metrics"].items()
        }
        gaps[rtol], pages[up] = told["emd"], (out / "report.html").read_text(encoding="utf-8")
        lines = (out / "per_shape.csv").read_text().splitlines()
        row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
        assert float(row["emd_lower"]) <= float(row["emd"]) <= float(row["emd_upper"]) * (1 + 1e-15)
        assert 1 - float(row["emd_lower"]) / float(row["emd_upper"]) <= max(float(rtol), 1e-12)
    assert gaps["0"] < gaps["0.2"] <= gaps["0"] / 0.8
    assert '"up":"z"' in pages["z"]
    assert '"up":"y"' in pages["y"]
    assert main([*words, "--up", "x"]) == 1
    assert "--up x: expected y or z" in capsys.readouterr().err


def test_clouds_without_a_volume_have_no_iou(tmp_path, capsys):
    for side in ("pred", "true"):
        np.save(tmp_path / f"{side}.npy", np.random.default_rng(1).random((40, 3)))
    words = ["eval", str(tmp_path / "pred.npy"), str(tmp_path / "true.npy"), "-j", "1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "hausdorff" in said
    assert "iou" not in said
