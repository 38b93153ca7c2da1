"""Which items a list of inputs stands for, what they are called, and which names are turned away."""

import io
import os
from pathlib import Path

import pytest

from shapetool.errors import ConfigError
from shapetool.runner.items import Collection, collect

SUFFIXES = frozenset({".obj", ".stl"})


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def ids(found: Collection) -> list[str]:
    return [item.id for item in found.items]


def problems(found: Collection) -> dict[str, str]:
    return {item.source: item.problem for item in found.items if item.problem}


def test_a_folder_is_searched_and_its_items_are_named_by_their_place_without_suffix(tmp_path: Path) -> None:
    write(tmp_path, "b.obj", "chair/1a2b.OBJ", "chair/notes.txt", ".hidden.obj", "a.b.stl")
    found = collect([str(tmp_path)], SUFFIXES)
    assert ids(found) == ["a.b", "b", "chair/1a2b"]
    assert [item.source for item in found.items] == ["a.b.stl", "b.obj", "chair/1a2b.OBJ"]
    assert found.ignored == 2
    assert not problems(found)


def test_two_files_that_share_an_id_keep_their_suffix_and_others_do_not(tmp_path: Path) -> None:
    write(tmp_path, "a.obj", "a.stl", "b.obj")
    assert ids(collect([str(tmp_path)], SUFFIXES)) == ["a.obj", "a.stl", "b"]


def test_ids_stay_unique_when_a_name_looks_like_another_with_its_suffix(tmp_path: Path) -> None:
    write(tmp_path, "a.obj", "a.stl", "a.obj.stl")
    assert len(set(ids(collect([str(tmp_path)], SUFFIXES)))) == 3


def test_folders_with_equal_paths_are_told_apart_by_their_names(tmp_path: Path) -> None:
    write(tmp_path, "chairs/x.obj", "tables/x.obj", "tables/y.obj")
    found = collect([str(tmp_path / "chairs"), str(tmp_path / "tables")], SUFFIXES)
    assert ids(found) == ["chairs/x", "tables/x", "y"]


def test_folders_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "one/m/x.obj", "two/m/x.obj")
    with pytest.raises(ConfigError, match=r"m/x\.obj: two inputs hold this path"):
        collect([str(tmp_path / "one/m"), str(tmp_path / "two/m")], SUFFIXES)


def test_a_file_named_twice_is_one_item(tmp_path: Path) -> None:
    write(tmp_path, "a.obj")
    assert ids(collect([str(tmp_path), str(tmp_path / "a.obj"), str(tmp_path / "*.obj")], SUFFIXES)) == ["a"]


def test_a_file_named_on_the_command_line_is_an_item_whatever_its_suffix(tmp_path: Path) -> None:
    write(tmp_path, "a.weird")
    assert ids(collect([str(tmp_path / "a.weird")], SUFFIXES)) == ["a"]


def test_a_glob_names_items_below_its_fixed_part(tmp_path: Path) -> None:
    write(tmp_path, "m/chair/a.obj", "m/table/b.obj", "m/table/c.stl")
    assert ids(collect([str(tmp_path / "m/*/*.obj")], SUFFIXES)) == ["chair/a", "table/b"]
    assert ids(collect([str(tmp_path / "**/*.obj")], SUFFIXES)) == ["m/chair/a", "m/table/b"]


def test_a_list_is_read_from_a_file_or_from_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "m/a.obj", "m/b.obj")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("m/a.obj\n\nm/b.obj\n")
    assert ids(collect(["@list.txt"], SUFFIXES)) == ["m/a", "m/b"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/m/a.obj\n{tmp_path}/m/b.obj\n"))
    assert ids(collect(["-"], SUFFIXES)) == ["a", "b"]


def test_a_list_beside_its_meshes_works_from_anywhere(tmp_path: Path) -> None:
    write(tmp_path, "a.obj")
    (tmp_path / "list.txt").write_text("a.obj\n")
    found = collect([f"@{tmp_path / 'list.txt'}"], SUFFIXES)
    assert ids(found) == ["a"]
    assert not problems(found)


def test_a_missing_file_in_a_list_is_one_failed_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.obj")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a.obj\ngone.obj\n../outside.obj\n")
    found = collect(["@list.txt"], SUFFIXES)
    assert {item.source: item.status for item in found.items if item.problem} == {
        "gone.obj": "failed",
        "../outside.obj": "invalid",
    }
    assert "'..'" in problems(found)["../outside.obj"]


@pytest.mark.parametrize(
    "name", ["a..b.obj", "new\nline.obj", "tab\t.obj", "[red]x.obj", "x[/].obj", "\u202eturned.obj"]
)
def test_a_name_that_is_not_safe_is_one_invalid_item(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "good.obj")
    found = collect([str(tmp_path)], SUFFIXES)
    assert list(problems(found)) == [name]
    assert len(found.items) == 2


@pytest.mark.parametrize("name", ["chair [1].obj", "Stuhl für zwei.obj", "椅子.obj", 'it\'s, "odd" & 100%.obj'])
def test_names_that_are_merely_unusual_are_fine(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    assert not problems(collect([str(tmp_path)], SUFFIXES))


def test_a_name_that_is_not_utf8_is_one_invalid_item(tmp_path: Path) -> None:
    try:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.obj"))).write_text("x")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (item,) = collect([str(tmp_path)], SUFFIXES).items
    assert item.problem is not None
    item.id.encode("utf-8")


def test_links_that_leave_the_root_are_invalid_and_links_inside_are_not(tmp_path: Path) -> None:
    write(tmp_path, "root/a.obj", "secret.obj", "elsewhere/b.obj")
    (tmp_path / "root/inner.obj").symlink_to(tmp_path / "root/a.obj")
    (tmp_path / "root/outer.obj").symlink_to(tmp_path / "secret.obj")
    (tmp_path / "root/folder").symlink_to(tmp_path / "elsewhere")
    found = collect([str(tmp_path / "root")], SUFFIXES)
    assert ids(found) == ["a", "folder", "inner", "outer"]
    assert set(problems(found)) == {"folder", "outer.obj"}
    assert all("leaves the input root" in reason for reason in problems(found).values())


def test_a_root_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    write(tmp_path, "real/a.obj")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    found = collect([str(tmp_path / "link")], SUFFIXES)
    assert ids(found) == ["a"]
    assert not problems(found)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.obj")
    assert "plain file" in problems(collect([str(tmp_path)], SUFFIXES))["pipe.obj"]


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: write(folder, "notes.txt")])
def test_nothing_to_do_is_an_error(tmp_path: Path, make) -> None:
    make(tmp_path)
    with pytest.raises(ConfigError, match="at least one mesh file"):
        collect([str(tmp_path)], SUFFIXES)


@pytest.mark.parametrize("word", ["missing.obj", "*.nothing", "@missing.txt"])
def test_an_input_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError, match=r"missing|nothing"):
        collect([str(tmp_path / word) if word[0] != "@" else f"@{tmp_path}/missing.txt"], SUFFIXES)
