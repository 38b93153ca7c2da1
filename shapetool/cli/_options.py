"""The options that mean the same in every command, each declared once.

A value is looked for on the command line, then in the environment (`SHAPETOOL_SEED`, `SHAPETOOL_WORKERS`, ...), then in
the file given by `--config`, and is the default last. Nothing heavy is imported here: this file is read for `--help`.
"""

import tomllib
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shapetool import __version__
from shapetool.errors import ConfigError, suggestion

if TYPE_CHECKING:
    from shapetool.runner.engines.cluster import Cluster

MOST_DOTS = 1000  # in a line of a configuration file
# Options that a configuration file may not set: one names the file, the others print and leave.
NOT_FROM_A_FILE = {"config", "version", "help"}


def read_config(path: Path, command: str, known: set[str]) -> dict[str, Any]:
    """The defaults that a TOML file holds for `command`: the keys at its top, overridden by those of its own table.

    Keys are option names, with `-` or `_`. A key at the top may belong to another command and is passed over; a key in
    the command's own table must be one of `known`.

    Raises:
        ConfigError: the file is missing, is not TOML, or its table for this command has a key that is no option of it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise ValueError(f"a line with more than {MOST_DOTS} dots")  # tomllib takes their square in memory
        document = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: expected a TOML file with options, but: {reason}.") from error
    allowed = known - NOT_FROM_A_FILE
    shared = {_parameter(key): value for key, value in document.items() if not isinstance(value, dict)}
    tables = {key.replace("_", "-"): value for key, value in document.items() if isinstance(value, dict)}
    own = {_parameter(key): value for key, value in tables.get(command, {}).items()}
    for key in own:
        if key not in allowed:
            raise ConfigError(f"{path}: '{key}' is no option of {command}{suggestion(key, sorted(allowed))}")
    return {key: value for key, value in shared.items() if key in allowed} | own


def _parameter(key: str) -> str:
    name = key.replace("-", "_")
    return f"{name}_" if iskeyword(name) else name  # --from is from_ in Python


def _use_config(context: Any, path: Path | None) -> Path | None:
    """Eager callback: puts the file's values under the defaults, before the other options are looked up."""
    # The context is of the parser that typer carries, which is not the class that typer shows as typer.Context.
    if path is not None and not context.resilient_parsing:
        options = [parameter for parameter in context.command.params if parameter.param_type_name == "option"]
        known = {str(option.name) for option in options}
        found = read_config(path, context.info_name or "", known)
        context.default_map = {**(context.default_map or {}), **found}
    return path


def _choice(option: str, choices: tuple[str, ...], later: dict[str, str]) -> Any:
    """A callback that lets only `choices` pass; `later` says what brings the ones that are yet to come.

    Raises:
        ConfigError: from the callback, for any other.
    """

    def check(value: str) -> str:
        if value in later:
            raise ConfigError(f"{option} {value}: comes with {later[value]} in a later version. Use {choices[0]}.")
        if value not in choices:
            raise ConfigError(f"{option} {value}: expected {' or '.join([*choices, *later])}.")
        return value

    return check


def cluster(engine: str, where: str | None, workers: int | None, words: list[str] | None) -> "Cluster | None":
    """The cluster that the options ask for, None where this machine does the work.

    Raises:
        ConfigError: options of Dask without it, words that make no sense, or a package that is not installed.
    """
    if engine != "dask":
        if where is not None or workers is not None or words:
            raise ConfigError("--dask, --dask-workers and --dask-set want --engine dask.")
        return None
    from shapetool.runner.engines.cluster import check_installed, read_cluster

    chosen = read_cluster(where or "local", workers, words or [])
    check_installed(chosen)
    return chosen


def show_version(asked: bool) -> bool:
    """Eager callback: prints the version and leaves."""
    if asked:
        typer.echo(f"shapetool {__version__}")
        raise typer.Exit
    return asked


def place(metavar: str, help: str) -> Any:
    """The declaration of a path that stands in the command line by its position."""
    # Whether it can be read is said by what reads it, with the exit code of the contract.
    return typer.Argument(metavar=metavar, help=help, readable=False, show_default=False)


def _shared(name: str, *short: str, help: str, **more: Any) -> Any:
    """The declaration of an option that has one environment variable for all commands: SHAPETOOL_ and its name."""
    variable = f"SHAPETOOL_{name.upper().replace('-', '_')}"
    return typer.Option(f"--{name}", *short, help=help, envvar=variable, **more)


def _spoken(name: str, help: str, **more: Any) -> Any:
    """The declaration of an option that no environment variable sets: one forgotten there would do harm."""
    return typer.Option(f"--{name}", help=help, allow_from_autoenv=False, **more)


Inputs = Annotated[
    list[str], place("INPUT", "Mesh files, folders (searched recursively), globs, @list.txt, or - for paths on stdin.")
]
Out = Annotated[Path, place("OUT", "One file if it ends in .h5, a dataset folder otherwise.")]

Seed = Annotated[int, _shared("seed", help="Decides every random draw.", min=0)]
Workers = Annotated[
    int | None,
    _shared(
        "workers",
        "-j",
        help="Meshes at a time, each in a process of its own. Default: the cores this process may use.",
        min=1,
    ),
]
Shard = Annotated[
    str | None,
    _shared(
        "shard",
        metavar="i/n",
        help="Do the i-th of n parts, counted from 0. Default: from the Slurm array variables. OUT is then a folder.",
    ),
]
Device = Annotated[
    str,
    _shared(
        "device",
        metavar="auto|cpu|cuda",
        help="Where the numbers are computed; cuda comes with the gpu extra in a later version.",
        callback=_choice("--device", ("auto", "cpu"), {"cuda": "the gpu extra"}),
    ),
]
Engine = Annotated[
    str,
    _shared(
        "engine",
        metavar="local|dask",
        help="What runs the workers: this machine, or Dask on many (needs the dask extra).",
        callback=_choice("--engine", ("local", "dask"), {}),
    ),
]
Dask = Annotated[
    str | None,
    _shared(
        "dask",
        metavar="WHERE",
        help="For --engine dask: local (the default), slurm, pbs, lsf, sge, oar, moab or htcondor, the address of a "
        "scheduler, or its file.json.",
    ),
]
DaskWorkers = Annotated[
    int | None,
    _shared("dask-workers", help="Dask workers, or jobs, at most; each has -j processes. Default: 1.", min=1),
]
DaskSet = Annotated[
    list[str] | None,
    typer.Option("--dask-set", metavar="KEY=VALUE", help="For the jobs: queue=short, cores=8, walltime=02:00:00."),
]
Overwrite = Annotated[bool, _spoken("overwrite", "Replace what OUT holds.")]
DryRun = Annotated[bool, _spoken("dry-run", "Say what would be done and write nothing.")]
ItemTimeout = Annotated[
    float | None, _shared("item-timeout", metavar="SECONDS", help="Give a mesh up after so long.", min=0.001)
]
MaxFailures = Annotated[
    str | None,
    _shared("max-failures", metavar="N|P%", help="Stop when more meshes than this fail. Default: never."),
]
Retry = Annotated[
    str | None, _shared("retry", metavar="failed|timeout|all", help="On a rerun, try these again as well.")
]
Json = Annotated[bool, _shared("json", help="One JSON object a line on stdout.")]
Quiet = Annotated[bool, _shared("quiet", "-q", help="Errors only.")]
Verbose = Annotated[bool, _shared("verbose", "-v", help="Say more: every warning, every step.")]
Config = Annotated[
    Path | None,
    _shared(
        "config",
        metavar="FILE.toml",
        help="Options from a file; the command line and SHAPETOOL_* variables win.",
        is_eager=True,
        callback=_use_config,
        readable=False,  # as in `place`
    ),
]
Version = Annotated[bool, _spoken("version", "Print the version and leave.", is_eager=True, callback=show_version)]
