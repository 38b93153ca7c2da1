"""Which part of a run this process does: `--shard i/n`, or what Slurm says about an array of jobs."""

from collections.abc import Mapping

from shapetool.errors import ConfigError


def read_part(text: str | None, environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The part (i, n) that `text` names; without one, the one that the Slurm array variables name; else None.

    Raises:
        ConfigError: the part cannot be read or does not exist.
    """
    if text is not None:
        left, slash, right = text.partition("/")
        if not slash or not left.strip().isdigit() or not right.strip().isdigit():
            raise ConfigError(f"--shard {text}: expected i/n with i from 0, for example 0/8.")
        return _checked(int(left), int(right), f"--shard {text}")
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    try:
        task = int(environment["SLURM_ARRAY_TASK_ID"])
        first = int(environment.get("SLURM_ARRAY_TASK_MIN", "0"))
        step = int(environment.get("SLURM_ARRAY_TASK_STEP") or 1)
        return _checked((task - first) // step, int(environment["SLURM_ARRAY_TASK_COUNT"]), "SLURM_ARRAY_TASK_ID")
    except (KeyError, ValueError) as error:
        raise ConfigError(f"the Slurm array variables cannot be read ({error}). Give --shard i/n instead.") from error


def _checked(part: int, parts: int, where: str) -> tuple[int, int]:
    if not 0 <= part < parts:
        raise ConfigError(f"{where}: expected a part from 0 to {parts - 1} of {parts}, came {part}.")
    return part, parts
