"""Words for counts in warnings and errors."""


def plural(count: int, thing: str, things: str = "") -> str:
    """The count with its noun: '1 face', '2 faces'."""
    return f"{count} {thing if count == 1 else things or thing + 's'}"
