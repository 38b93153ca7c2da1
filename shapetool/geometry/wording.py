"""Words for counts and names in warnings and errors."""


def plural(count: int, thing: str, things: str = "") -> str:
    """The count with its noun: '1 face', '2 faces'."""
    return f"{count} {thing if count == 1 else things or thing + 's'}"


def printable(text: str) -> str:
    """The text with control characters written out."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
