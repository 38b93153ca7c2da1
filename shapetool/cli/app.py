"""The `shapetool` command: gathers the subcommands and turns every error into one line and an exit code."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

from shapetool.cli import _options, _report, _streams
from shapetool.cli.convert import convert
from shapetool.cli.evaluate import evaluate
from shapetool.cli.extract import extract
from shapetool.cli.info import info
from shapetool.cli.make_shapes import make_shapes
from shapetool.cli.merge import merge
from shapetool.cli.render_views import render_views
from shapetool.cli.repair import repair
from shapetool.cli.sample_occupancy import sample_occupancy
from shapetool.cli.sample_sdf import sample_sdf
from shapetool.cli.selftest import selftest
from shapetool.cli.split import split
from shapetool.cli.train import train
from shapetool.cli.verify import verify
from shapetool.errors import Interrupted
from shapetool.pipelines.preload import PRELOAD
from shapetool.runner.warm import warm_up

TELLING = {"-h", "--help", "--version", "--dry-run", "dask"}  # with these a command has no workers here at once

app = typer.Typer(
    name="shapetool",
    help="From a folder of meshes to numbers a paper can print.",
    epilog="`shapetool COMMAND --help` lists the options of a command.",
    add_completion=False,
    rich_markup_mode=None,  # its panels cost 0.15 s of imports before the first letter of --help
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": "SHAPETOOL",
    },
)


@app.callback()
def _shapetool(version: _options.Version = False) -> None:
    """From a folder of meshes to numbers a paper can print."""


app.command("sample-sdf")(sample_sdf)
app.command("sample-occupancy")(sample_occupancy)
app.command("render-views")(render_views)
app.command("repair")(repair)
app.command("eval")(evaluate)
app.command("train")(train)
app.command("extract")(extract)
app.command("make-shapes")(make_shapes)
app.command("info")(info)
app.command("verify")(verify)
app.command("merge")(merge)
app.command("split")(split)
app.command("convert")(convert)
app.command("selftest")(selftest)


@contextmanager
def _leaving_on_signals() -> Iterator[None]:
    """While a command runs, SIGTERM and SIGUSR1 interrupt it, but where the runner listens to them itself."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Interrupted(f"stopped by {signal.Signals(number).name}; run the same command again to go on")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), leave) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _warm_up(words: Sequence[str]) -> None:
    """Lets the workers' modules load while the words are read: a command that has workers waits less for the first."""
    if words and words[0] in PRELOAD and not TELLING & set(words):
        warm_up(PRELOAD[words[0]])


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one run of the command line; errors are printed, never raised."""
    _streams.complete()
    words = list(sys.argv[1:] if arguments is None else arguments)
    _warm_up(words)
    try:
        with _leaving_on_signals():
            outcome = app(args=words or ["--help"], standalone_mode=False)
        sys.stdout.flush()
        if not words:
            return _report.USAGE
        return outcome if isinstance(outcome, int) else _report.OK
    except (BrokenPipeError, SystemExit):
        # The reader of our stdout left (`shapetool info x | head`): nobody is there to be told. The parser, which meets
        # this while it prints the help, asks to exit.
        _streams.let_go()
        return _report.IO_FAILED
    except typer.Exit as leave:
        return int(leave.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        code = _report.fail(error)
        _streams.let_go()
        return code
