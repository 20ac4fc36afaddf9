"""Text for a terminal."""


def printable(text: str) -> str:
    """`text` with control characters escaped: the name of a file must not control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
