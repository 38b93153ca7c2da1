"""Which part of a run is meant: from the option, or from Slurm."""

import pytest

from shapetool.errors import ConfigError
from shapetool.runner.parts import read_part


def test_the_option_wins_over_slurm() -> None:
    slurm = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "2"}
    assert read_part("3/8", slurm) == (3, 8)
    assert read_part(None, {}) is None


@pytest.mark.parametrize(("task", "first", "step", "part"), [(0, 0, 1, 0), (5, 1, 1, 4), (11, 1, 5, 2)])
def test_slurm_arrays_count_from_their_first_task_in_their_steps(task: int, first: int, step: int, part: int) -> None:
    slurm = {
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_STEP": str(step),
        "SLURM_ARRAY_TASK_COUNT": "6",
    }
    assert read_part(None, slurm) == (part, 6)


@pytest.mark.parametrize("text", ["", "1", "a/b", "-1/3", "3/3", "1/0"])
def test_a_part_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"SLURM|--shard"):
        read_part(text, {})


def test_half_a_slurm_array_is_refused() -> None:
    with pytest.raises(ConfigError, match="Give --shard"):
        read_part(None, {"SLURM_ARRAY_TASK_ID": "1"})
