"""Where an option's value comes from: the command line, then the environment, then a file, then the default."""

import re
from pathlib import Path

import pytest
import typer

from shapetool.cli import _options
from shapetool.cli._options import read_config
from shapetool.cli.app import app, main
from shapetool.errors import ConfigError
from shapetool.recipes import BACKENDS, DTYPES, FRAME_SIZES, SDF_RECIPES, SIGNS

KNOWN = {"config", "seed", "workers", "item_timeout"}
COMMANDS = typer.main.get_command(app).commands


def seed_of(arguments: list[str]) -> int:
    """The seed that a command sees that has the shared options and prints nothing."""
    seen = []
    app = typer.Typer(rich_markup_mode=None)

    @app.command("sample-sdf")
    def sample(seed: _options.Seed = 0, config: _options.Config = None) -> None:
        seen.append(seed)

    @app.command()
    def other() -> None:
        pass

    app(args=["sample-sdf", *arguments], standalone_mode=False)
    return seen[0]


@pytest.fixture
def toml(tmp_path) -> Path:
    path = tmp_path / "options.toml"
    path.write_text("seed = 1\n[sample-sdf]\nseed = 2\n[merge]\nanything = 3\n")
    return path


def test_the_default_comes_last(monkeypatch):
    monkeypatch.delenv("SHAPETOOL_SEED", raising=False)
    assert seed_of([]) == 0


def test_a_file_beats_the_default(toml, monkeypatch):
    monkeypatch.delenv("SHAPETOOL_SEED", raising=False)
    assert seed_of(["--config", str(toml)]) == 2


def test_the_environment_beats_a_file(toml, monkeypatch):
    monkeypatch.setenv("SHAPETOOL_SEED", "3")
    assert seed_of(["--config", str(toml)]) == 3


def test_the_command_line_beats_the_environment(toml, monkeypatch):
    monkeypatch.setenv("SHAPETOOL_SEED", "3")
    assert seed_of(["--seed", "4", "--config", str(toml)]) == 4


def test_keys_at_the_top_are_for_every_command_and_a_table_is_for_one(toml):
    assert read_config(toml, "sample-sdf", KNOWN) == {"seed": 2}
    assert read_config(toml, "verify", KNOWN) == {"seed": 1}


def test_dashes_and_underscores_are_one_in_a_file(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text("[sample_sdf]\nitem-timeout = 5\n")
    assert read_config(path, "sample-sdf", KNOWN) == {"item_timeout": 5}


def test_a_misspelt_key_is_refused_with_a_suggestion(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text("[sample-sdf]\nworker = 5\n")
    with pytest.raises(ConfigError, match=r"'worker' is no option of sample-sdf; did you mean 'workers'\?"):
        read_config(path, "sample-sdf", KNOWN)


@pytest.mark.parametrize(
    ("command", "key"),
    [("sample-sdf", "out"), ("make-shapes", "family"), ("merge", "folder"), ("info", "path"), ("verify", "config")],
)
def test_a_file_may_not_say_what_is_read_or_written(tmp_path, capsys, command, key):
    path = tmp_path / "options.toml"
    path.write_text(f"[{command}]\n{key} = 'x'\n")
    assert main([command, "--config", str(path)]) == 1
    assert f"'{key}' is no option of {command}" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_key_in_a_file_is_the_name_of_the_option(command):
    opts = [(option, parameter.name) for parameter in COMMANDS[command].params for option in parameter.opts]
    spoken = [(option, name.rstrip("_")) for option, name in opts if option.startswith("--")]
    assert [option for option, _ in spoken] == [f"--{name.replace('_', '-')}" for _, name in spoken]


def test_the_help_names_every_choice_that_a_recipe_has(capsys):
    main(["sample-sdf", "--help"])
    text = re.sub(r"-\s+", "-", capsys.readouterr().out)  # lines are broken at hyphens, too
    words = set(re.split(r"[\s|,.]+", text))
    assert {*SIGNS, *BACKENDS, *FRAME_SIZES, *DTYPES, *SDF_RECIPES} - words == set()


@pytest.mark.parametrize("content", [None, b"seed = ", b"\xff\xfe"])
def test_a_file_that_is_missing_or_not_toml_is_named(tmp_path, content):
    path = tmp_path / "options.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"options\.toml: expected a TOML file"):
        read_config(path, "sample-sdf", KNOWN)


@pytest.fixture
def without_packages(monkeypatch) -> None:
    """No package of an extra is found."""
    import importlib.util

    find = importlib.util.find_spec
    missing = {"distributed", "dask", "dask_jobqueue"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in missing else find(name, *a))


@pytest.mark.usefixtures("without_packages")
@pytest.mark.parametrize("command", ["sample-sdf", "sample-occupancy", "render-views", "repair", "eval"])
def test_without_dask_the_extra_is_named_and_nothing_is_written(command, tmp_path, capsys):
    (tmp_path / "a.off").write_text("OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n")
    places = [str(tmp_path / "a.off"), str(tmp_path / ("a.off" if command == "eval" else "out"))]
    assert main([command, *places, "--engine", "dask"]) == 1
    assert "distributed is not installed: pip install 'shapetool[dask]'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.off"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dask", "local"], "want --engine dask"),
        (["--engine", "dask", "--dask", "slurmm"], "did you mean 'slurm'"),
        (["--engine", "dask", "--dask", "tcp://127.0.0.1:1", "--dask-workers", "3"], "runs already"),
        (["--engine", "dask", "--dask-set", "cores"], "expected KEY=VALUE"),
        (["--engine", "dask", "--dask", "nowhere.json"], "no such file"),
        (["--engine", "ray"], "expected local or dask"),
    ],
    ids=str,
)
def test_options_of_dask_that_make_no_sense_are_refused_in_one_line(words, said, tmp_path, capsys):
    if words[1] != "ray" and "nowhere.json" in words:
        pytest.importorskip("distributed", reason="the extra dask is not installed")
    (tmp_path / "a.off").write_text("OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n")
    assert main(["sample-sdf", str(tmp_path / "a.off"), str(tmp_path / "out"), *words]) == 1
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors
