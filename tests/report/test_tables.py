"""The numbers of a report: means, intervals and the choice of shapes, against scipy and against hand counts."""

import csv
import io
import math
import re

import numpy as np
import pytest
from scipy import stats

from shapetool.report import charts, tables
from shapetool.report.columns import category, choose, mean, measures, number, values

ROWS = [
    {"shape_id": f"{name}/{k}", "status": "ok", "chamfer_l1_mean": value, "fscore@0.01": 1 - value, "emd_lower": 0.1}
    for name, k, value in [("a", 0, 0.1), ("a", 1, 0.3), ("b", 0, 0.2), ("b", 1, 0.5), ("b", 2, 0.4)]
]
FAILED = {"shape_id": "b/3", "status": "missing", "error": "no file", "chamfer_l1_mean": 9.0}


def test_a_mean_and_its_interval_are_those_of_scipy():
    numbers = np.random.default_rng(0).normal(2, 3, 40).tolist()
    found = mean(numbers)
    low, high = stats.t.interval(0.95, 39, np.mean(numbers), stats.sem(numbers))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-4)
    assert found.median == pytest.approx(np.median(numbers), abs=1e-15)
    assert math.isnan(mean([1.0]).low)
    assert mean([]).count == 0


def test_no_interval_shows_a_share_above_one_or_a_length_below_zero():
    rows = [
        {"shape_id": f"{name}/{k}", "status": "ok", "iou": share, "emd": length}
        for name in ("a", "b")
        for k, (share, length) in enumerate([(0.999, 0.001), (0.998, 0.002), (0.4, 0.9)])
    ]
    for page in (tables.overall(rows, measures(rows), {}), tables.by_category(rows, measures(rows))):
        ends = [tuple(map(float, pair)) for pair in re.findall(r"([-\d.e]+) to ([-\d.e]+)", page)]
        assert len(ends) in (2, 6)
        assert all(0 <= low < high for low, high in ends)
        assert all(high <= 1 for _, high in ends[::2])  # of the IoU, which stands first


def test_measures_are_told_from_bounds_and_other_columns():
    keys = [
        measure.key for measure in measures([*ROWS, {"shape_id": "c", "seconds": 3.0, "iou": "", "hausdorff_90": 1}])
    ]
    assert keys == ["chamfer_l1_mean", "fscore@0.01", "hausdorff_90"]


def test_rows_read_back_from_csv_are_the_same_numbers():
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[*ROWS[0], "error"])
    writer.writeheader()
    writer.writerows([*ROWS, FAILED])
    back = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert values(back, "chamfer_l1_mean") == values([*ROWS, FAILED], "chamfer_l1_mean")
    assert math.isnan(number(back[-1], "fscore@0.01"))


def test_a_failed_row_has_no_part_in_a_mean():
    assert mean(values([*ROWS, FAILED], "chamfer_l1_mean")).value == pytest.approx(0.3, abs=1e-15)


def test_the_means_of_categories_and_of_shapes_differ_as_they_should():
    text = tables.by_category([*ROWS, FAILED], measures(ROWS)[:1])
    assert "<td>0.2000" in text  # of a
    assert "<td>0.3667" in text  # of b
    assert "<td>0.2833" in text  # (0.2 + 0.3667) / 2
    assert "<td>0.3000" in text  # of the five shapes
    assert '<td class="bad">1</td>' in text


def test_the_worst_come_first_whichever_way_is_better():
    assert choose(ROWS, worst=2, median=1) == [("b/1", "worst"), ("b/2", "worst"), ("a/1", "median")]
    assert choose(ROWS, worst=1, median=0, key="fscore@0.01") == [("b/1", "worst")]
    ids = [shape_id for shape_id, _ in choose(ROWS, worst=4, median=3)]
    assert len(ids) == len(set(ids)) == 5
    assert choose([FAILED]) == []


def test_the_column_of_the_category_goes_before_the_folder():
    assert category({"shape_id": "a/b", "category": "lamp"}) == "lamp"
    assert category({"shape_id": "a/b"}) == "a"
    assert category({"shape_id": "b"}) == "(no folder)"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0123456, "0.01235"),
        (1.0, "1.000"),
        (0.999999, "1.000"),
        (0.0, "0"),
        (1234567.0, "1.235e+06"),
        (1e-9, "1.000e-09"),
        (math.nan, "–"),
    ],
)
def test_numbers_have_four_digits(value, said):
    assert tables.digits(value) == said


def test_curves_are_sorted_by_threshold_and_stay_in_range():
    rows = [{"shape_id": str(k), "status": "ok", "fscore@0.1": 0.9 + k / 10, "fscore@0.02": k / 10} for k in (0, 1)]
    (curve,) = charts.curves(rows, measures(rows))
    assert curve["x"] == [0.02, 0.1]
    assert curve["y"] == pytest.approx([0.05, 0.95])
    assert all(0 <= low < y < high <= 1 for low, y, high in zip(curve["low"], curve["y"], curve["high"], strict=True))


def test_a_distribution_of_many_values_keeps_its_ends_and_its_median(monkeypatch):
    monkeypatch.setattr(charts, "MOST_VALUES", 101)
    rows = [{"shape_id": f"a/{k}", "status": "ok", "iou": k / 10_000} for k in range(10_001)]
    kept = charts.distributions(rows, measures(rows))[0]["groups"][0]["values"]
    assert len(kept) == 101
    assert (kept[0], kept[50], kept[-1]) == (0.0, 0.5, 1.0)


def cells_of(text: str, name: str) -> list[str]:
    """The cells of the line whose first cell holds the name."""
    line = next(line for line in text.split("<tr>") if f">{name}</code>" in line)
    return re.findall(r"<td>(.*?)</td>", line)


def test_floors_and_what_is_left_without_them_stand_beside_the_mean():
    rows = [
        {"shape_id": f"a/{k}", "status": "ok", "chamfer_l1_mean": 0.2 + k / 10, "floor_chamfer_l1_mean": 0.05,
         "chamfer_l1_mean_debiased": 0.1 + k / 10, "fscore@0.01": 0.5, "ceiling_fscore@0.01": 0.9}
        for k in (0, 1)
    ]  # fmt: skip
    text = tables.overall(rows, measures(rows), {"chamfer_l1_mean": 0.7})
    assert [m.key for m in measures(rows)] == ["chamfer_l1_mean", "fscore@0.01"]
    assert cells_of(text, "chamfer_l1_mean")[3:] == ["0.2500", "0.7000", "0.05000", "0.1500"]
    assert cells_of(text, "fscore@0.01")[3:] == ["0.5000", "–", "0.9000", "–"]
    assert "Perfect shape" not in tables.overall(ROWS, measures(ROWS), {})


def test_the_means_of_a_protocol_and_the_corrected_ones_are_in_one_line():
    told = {"aggregation": "mean of shapes", "cd": {"mean": 0.5, "median": 0.4, "count": 3}, "cd.fixed": {"mean": 0.6}}
    text = tables.as_the_author({"protocol": "onet", "onet": told})
    assert cells_of(text, "cd") == ["0.5000", "0.4000", "3", "0.6000"]
    assert tables.as_the_author({"protocol": "default"}) == ""


def test_a_difference_says_whether_it_is_apart_from_zero():
    told = {
        "iou": {"count": 9, "mean": 0.2, "low": 0.1, "high": 0.3},
        "emd": {"count": 9, "mean": 0, "low": -1, "high": 1},
    }
    text = tables.difference({"difference": told})
    assert cells_of(text, "iou") == ["9", "0.2000", "0.1000 to 0.3000", "yes"]
    assert cells_of(text, "emd")[-1] == "no"


def test_names_without_a_partner_are_counted_and_escaped():
    text = tables.unpaired(
        {"unpaired": {"predictions": [f"<{k}>" for k in range(tables.MOST_NAMES + 5)], "truths": []}}
    )
    assert f"{tables.MOST_NAMES + 5} predictions without a partner: <code>&lt;0&gt;</code>" in text
    assert "and 5 more" in text
    assert "truths" not in text


def test_of_very_many_categories_the_largest_are_shown_and_all_are_counted():
    rows = [{"shape_id": f"{k:03d}/a", "status": "ok", "iou": k / 1000} for k in range(300)]
    rows += [{"shape_id": "299/b", "status": "ok", "iou": 0.3}]
    text = tables.by_category(rows, measures(rows))
    assert text.count("<tr>") == 1 + tables.MOST_CATEGORIES + 2
    assert ">299</th>" in text
    assert "100 smaller categories" in text
    (chart,) = charts.distributions(rows, measures(rows))
    assert len(chart["groups"]) == charts.MOST_GROUPS
    assert chart["groups"][-1] == {"name": "299", "values": [0.299, 0.3]}
    assert len(chart["all"]) == 301
