"""Lists by hash: what the shares say, and nothing that another shape could change."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shapetool.data.split import SplitRecipe, assign, list_files, match, part_at, position, prefix_of, read_lists
from shapetool.errors import ConfigError, DataError

B2SUM = "1ed768079dc1522f"
NAMES = st.sets(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), max_size=30)


def keys_of(names) -> dict[str, str]:
    return {name: name for name in names}


@given(NAMES, NAMES, st.integers(0, 3))
def test_more_shapes_never_move_an_old_one(old, new, seed):
    recipe = SplitRecipe(0.4, 0.3, 0.2, seed)
    before, after = assign(keys_of(old), recipe), assign(keys_of(old | new), recipe)
    assert {name: after[name] for name in old} == before


def test_a_position_is_the_one_of_the_first_day():
    # Made by hand with the b2sum tool: `printf 0:chair/1a2b | b2sum -l 64`. A change here moves everybody's shapes.
    assert position(0, "chair/1a2b") == (int(B2SUM, 16) >> 11) / 2**53


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.5, 0.0, 0.25), (0.0, 0.0, 1.0)])
def test_the_lists_have_their_shares(shares):
    found = list(assign(keys_of(f"chair/{number}" for number in range(20_000)), SplitRecipe(*shares)).values())
    wanted = dict(zip(("train", "val", "test"), shares, strict=True)) | {None: 1 - sum(shares)}
    for part, share in wanted.items():
        # Five standard deviations of a binomial count: less than once in a million.
        assert abs(found.count(part) - 20_000 * share) <= 5 * (20_000 * share * abs(1 - share)) ** 0.5 + 1e-9


def test_another_seed_deals_anew():
    keys = keys_of(map(str, range(100)))
    assert assign(keys, SplitRecipe(seed=1)) != assign(keys, SplitRecipe(seed=2))


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (0.7, 0.2, 0.1), (1 / 3, 1 / 3, 1 / 3), (0.1, 0.2, 0.7)])
def test_shares_that_add_up_to_one_leave_nothing_out(shares):
    assert part_at(1 - 2**-53, SplitRecipe(*shares)) == "test"


@pytest.mark.parametrize("shares", [(0.8, 0.2, 0.1), (-0.1, 0.5, 0.5), (float("nan"), 0.0, 0.0), (1.5, 0.0, 0.0)])
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(ConfigError, match="share"):
        SplitRecipe(*shares)


def test_unknown_words_are_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'similarity'"):
        SplitRecipe(group_by="similar")


@pytest.mark.parametrize(
    ("shape_id", "separator", "prefix"),
    [
        ("chair/1a2b_mirrored_2", "_", "chair/1a2b"),
        ("my_set/1a2b", "_", "my_set/1a2b"),
        ("a/_x", "_", "a/_x"),
        ("object12/view3", "/", "object12"),
        ("alone", "/", "alone"),
        ("a--1-2", "--", "a"),
    ],
)
def test_a_prefix_is_the_name_up_to_the_separator(shape_id, separator, prefix):
    assert prefix_of(shape_id, separator) == prefix


def test_list_files_hold_an_id_a_line_and_classes_have_their_own():
    parts = {"chair/b": "train", "chair/a": "train", "table/c": "test", "d": None}
    assert list_files(parts, "all") == {"train.lst": b"chair/a\nchair/b", "val.lst": b"", "test.lst": b"table/c"}
    by_class = list_files(parts, "class")
    assert (by_class["chair/train.lst"], by_class["table/test.lst"], by_class["train.lst"]) == (b"a\nb", b"c", b"")


@pytest.mark.parametrize("shape_id", ["../x", "a\nb"])
def test_an_id_that_leaves_the_folder_or_its_line_is_refused(shape_id):
    with pytest.raises(DataError, match="expected an id"):
        list_files({shape_id: "train"}, "class")


def test_lists_are_read_in_the_ways_of_the_field(tmp_path):
    (tmp_path / "train.lst").write_text("a\nb\n\n")
    (tmp_path / "sv2_chairs_test.json").write_text(json.dumps({"ShapeNetV2": {"03001627": ["c", "d"]}}))
    (tmp_path / "both.json").write_text(json.dumps({"train": ["e"], "val": ["f"]}))
    (tmp_path / "split.json").write_text(json.dumps({"settings": {}, "lists": {"val": ["g"]}}))
    found = read_lists(sorted(tmp_path.iterdir()))
    deepsdf = {"ShapeNetV2/03001627/c": "test", "ShapeNetV2/03001627/d": "test"}
    assert found == {"a": "train", "b": "train", "e": "train", "f": "val", "g": "val", **deepsdf}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("train.json", "{", "but:"),
        ("mine.lst", "a", "in its name"),
        ("train_and_test.lst", "a", "found 2"),
        ("train.json", '{"a": 3}', "lists of names"),
        ("train.json", "[[1]]", "lists of names"),
        ("both.json", '{"train": ["a"], "test": ["a"]}', "two lists"),
    ],
)
def test_a_file_that_is_no_list_is_refused_by_name(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=f"{name}.*{said}"):
        read_lists([tmp_path / name])
    with pytest.raises(DataError, match="No such file"):
        read_lists([tmp_path / "none.lst"])


def test_names_of_lists_answer_to_ids_with_less_before_and_after():
    lists = {"ShapeNetV2/chair/a": "train", "chair/b.npz": "val", "c.v1": "test", "gone": "test"}
    found, missing = match(["chair/a", "chair/b", "c.v1", "new"], lists)
    assert found == {"chair/a": "train", "chair/b": "val", "c.v1": "test", "new": None}
    assert missing == ["gone"]
    with pytest.raises(DataError, match="expected one list"):
        match(["a"], {"a": "train", "x/a": "test"})
