"""The shell around the commands: wrong words, no words, and a reader that leaves early."""

import re
import subprocess
import sys

import pytest

from shapetool.cli.app import main

RUN = "import sys; from shapetool.cli.app import main; sys.exit(main())"


@pytest.mark.parametrize(
    "arguments",
    [["sample-sfd"], ["sample-sdf"], ["sample-sdf", "a", "b.h5", "--sed", "1"], ["info", "x", "--seed", "one"]],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_one_line_and_exit_2(arguments, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("shapetool: error: ")
    assert said.err.count("\n") == 1


def test_a_near_miss_is_offered(capsys):
    main(["sample-sdf", "a", "b.h5", "--sed", "1"])
    assert "--seed" in capsys.readouterr().err


def test_a_missing_word_is_followed_by_the_order_of_all(capsys):
    assert main(["sample-sdf", "meshes"]) == 2  # the parser takes the only word for OUT
    assert re.search(r"Missing argument 'INPUT'\. Usage: .*sample-sdf .*INPUT.*OUT", capsys.readouterr().err)


def test_no_words_show_the_help():
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "sample-sdf" in done.stdout + done.stderr
    assert "shapetool: error" not in done.stderr


def test_what_is_not_there_is_refused_in_one_line(tmp_path, capsys):
    assert main(["info", str(tmp_path / "gone.h5")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("shapetool: error: ")
    assert "gone.h5" in said
    assert said.count("\n") == 1


def test_a_reader_that_leaves_early_gets_no_trace():
    script = f"{sys.executable} -c '{RUN}' --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 74)  # 0 when the help was out before the reader left
    assert done.stderr == ""
