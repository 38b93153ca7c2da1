"""The page in a real Chromium: it draws, turns, fits narrow and wide, light and dark, and asks the network nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shapetool.errors import ConfigError, DataError
from shapetool.geometry.mesh import Mesh
from shapetool.report.columns import choose
from shapetool.report.page import render_report, write_report
from shapetool.report.pictures import Shown
from shapetool.sampling.surface import sample_surface
from tests.report.browser import Browser, find_browser
from tests.report.pairs import family_mesh, sample_pairs, shown_of

READY = "document.documentElement.dataset.ready === 'yes'"
SUMMARY = {"protocol": "default", "seed": 0, "recipe": {"align": "none"}, "penalised": {"chamfer_l1_mean": 0.25}}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    """A report of 27 pairs with two failures, three pictures of meshes and one of clouds."""
    rows, pairs = sample_pairs(each=9)
    shown = shown_of(choose(rows, worst=2, median=1), pairs)
    rng = np.random.default_rng(0)
    clouds = [sample_surface(mesh, 500, rng)[0] for mesh in pairs["mug/003"]]
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(out, SUMMARY, rows, [*shown, Shown("mug/003", "median", *clouds)])
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium on the path; install one, or name it in SHAPETOOL_CHROMIUM")
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def from_outside(browser: Browser) -> list[str]:
    """The addresses that were asked for, but for the file itself and what is written in it."""
    return [url[:200] for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_draws_itself_at_any_width_and_in_both_colour_schemes(browser, report, width, scheme):
    browser.open(report, width, scheme)
    browser.wait(READY)
    assert browser.errors == []
    assert from_outside(browser) == []
    assert browser.ask("document.documentElement.dataset.refused || ''") == ""
    assert browser.ask("document.documentElement.scrollWidth") <= width
    for chart in ("histogram", "boxes", "curves"):
        assert browser.ask(f"document.querySelectorAll('#{chart} .main-svg').length") > 0, chart
        assert browser.ask(f"document.querySelector('#{chart} .main-svg').clientWidth") <= width
    light = browser.ask("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert (light > 128) == (scheme == "light")
    assert browser.ask("[...document.images].every((image) => image.naturalWidth === 300)")


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 1400])
def test_a_page_of_sets_has_its_table_and_pictures_and_asks_for_nothing(browser, tmp_path, width):
    told = {"value": 0.25, "low": 0.2, "high": 0.3}
    by_emd = {"mmd": told, "coverage": told, "nearest_accuracy": told, "pairs": 6, "measured": 5}
    sets = {"samples": 2, "references": 2, "chance": 0.333, "emd": by_emd, "jsd": {**told, "scale": 1.0}}
    rows = [{"shape_id": f"a/{k}", "status": "ok", "set": side} for k in (0, 1) for side in ("sample", "reference")]
    clouds = np.random.default_rng(0).random((2, 300, 3))
    summary = {"sets": sets, "categories": {"<b>": sets}}
    write_report(tmp_path / "report.html", summary, rows, [Shown("a/0 and prediction a/1", "worst", *clouds)])
    browser.open(tmp_path / "report.html", width, "light")
    browser.wait(READY)
    assert browser.errors == []
    assert from_outside(browser) == []
    assert browser.ask("document.documentElement.scrollWidth") <= width
    lines = browser.ask(
        "[...document.querySelectorAll('tbody tr')].map((row) => row.innerText.split(/\\s+/).join(' '))"
    )
    assert len(lines) == 2
    assert lines[1] == "<b> emd 2 2" + " 0.2500 0.2000 to 0.3000" * 3 + " 0.3330 0.2500 0.2000 to 0.3000"
    assert browser.ask("document.images.length") == 4


@pytest.mark.slow
def test_a_shape_turns_in_one_view_at_a_time(browser, report):
    browser.open(report, 1400, "light")
    browser.wait(READY)
    canvases = "document.querySelectorAll('.stage:not([hidden]) canvas').length"
    for index in (0, 3):  # a mesh, a cloud
        browser.ask(f"document.querySelectorAll('.turn')[{index}].click()")
        browser.wait(f"{canvases} > 0")
        assert browser.ask("document.querySelectorAll('.stage:not([hidden])').length") == 1
    kinds = "document.querySelector('.stage:not([hidden]) .turned').data.map((trace) => trace.type).join()"
    assert browser.ask(kinds) == "scatter3d"
    before = browser.ask("document.querySelector('.stage:not([hidden]) .turned').data[0].x._inputArray.length")
    assert before == 500
    browser.ask("document.querySelectorAll('.turn')[3].click()")
    assert browser.ask(canvases) == 0
    assert browser.errors == []
    assert from_outside(browser) == []


@pytest.mark.slow
def test_another_measure_changes_the_distributions(browser, report):
    browser.open(report, 1400, "light")
    browser.wait(READY)
    title = "document.querySelector('#histogram .xtitle').textContent"
    assert browser.ask(title) == "chamfer_l1_mean"
    browser.ask("(() => { const s = document.getElementById('measure'); s.value = '2';"
                " s.dispatchEvent(new Event('change')); })()")  # fmt: skip
    browser.wait(f"{title} === 'hausdorff'")


@pytest.mark.slow
def test_no_tool_of_the_charts_leaves_the_machine(browser, report):
    browser.open(report, 1400, "light")
    browser.wait(READY)
    tools = browser.ask("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title || '').join('|')")
    assert "Download plot" in tools
    assert "loud" not in tools
    assert browser.ask("document.querySelectorAll('a[href]').length") == 0


@pytest.mark.slow
def test_the_policy_refuses_what_a_page_might_ask_for(browser, report, tmp_path):
    bad = tmp_path / "bad.html"
    asking = '<img src="http://example.invalid/x.png"><script>document.documentElement.dataset.ran = "yes"</script>'
    bad.write_text(report.read_text().replace("<main>", f"<main>{asking}"))
    browser.open(bad, 1400, "light")
    browser.wait(READY)
    assert browser.ask("document.documentElement.dataset.ran || 'no'") == "no"
    assert any("Content Security Policy" in error for error in browser.errors)
    bare = tmp_path / "bare.html"
    bare.write_text(asking)
    browser.open(bare, 1400, "light")
    assert from_outside(browser) == ["http://example.invalid/x.png"]  # so the check above can see a request


def test_the_page_names_nothing_outside_itself(report):
    text = report.read_text()
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert re.findall(r"(?:src|href|action)\s*=\s*\"(?!data:)", own) == []
    assert "url(" not in own
    assert "default-src 'none'" in text.split("<style>")[0]
    assert text.count("plotly.js v") <= 2  # once in the script; it names itself in its first lines


def test_names_and_reasons_are_text_and_never_markup(report):
    own = report.read_text()
    assert "<b>bold</b>" not in own
    assert "chair/&lt;b&gt;bold&lt;/b&gt;&amp;co" in own
    assert "found &lt;none&gt;." in own


def test_a_hostile_category_stays_inside_the_data():
    rows = [{"shape_id": "</script><script>alert(1)</script>/a", "status": "ok", "iou": 0.5}]
    text = render_report({}, rows)
    sent = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(sent)["distributions"][0]["groups"][0]["name"] == "<"
    assert "<script>alert" not in text


def test_the_same_rows_make_the_same_bytes():
    mesh = family_mesh("mug", 0)
    rows = [{"shape_id": "mug/0", "status": "ok", "chamfer_l1_mean": 0.0}]
    shown = [Shown("mug/0", "worst", mesh, mesh)]
    assert render_report(SUMMARY, rows, shown) == render_report(SUMMARY, rows, shown)


def test_bad_input_is_named():
    rows = [{"shape_id": "a", "status": "ok", "iou": 1.0}]
    mesh = family_mesh("mug", 0)
    with pytest.raises(DataError, match="at least one row"):
        render_report({}, [])
    with pytest.raises(DataError, match="0 points"):
        render_report({}, rows, [Shown("a", "worst", np.zeros((0, 3)), mesh)])
    with pytest.raises(DataError, match="at least one face"):
        render_report({}, rows, [Shown("a", "worst", Mesh(np.zeros((0, 3)), np.zeros((0, 3), int)), mesh)])
    with pytest.raises(DataError, match="1 of them not finite"):
        render_report({}, rows, [Shown("a", "worst", np.array([[0, 0, np.nan]]), mesh)])
    with pytest.raises(ConfigError, match="one of y, z"):
        render_report({}, rows, [Shown("a", "worst", mesh, mesh)], up="x")


def test_a_report_of_failures_alone_says_so():
    text = render_report({}, [{"shape_id": "a/b", "status": "missing", "error": "no file", "iou": 0.0}])
    assert "no file" in text
    assert 'id="histogram"' not in text
