"""Text in tables that people open in a spreadsheet."""

import re

_FORMULA = re.compile(r"^(?=[=+\-@\t\r\n])|(?<=[;\t\r\n])(?=[=+\-@])")
_MADE_HARMLESS = re.compile(r"(?:^'(?=[=+\-@\t\r\n])|(?<=[;\t\r\n])'(?=[=+\-@]))")


def harmless(text: str) -> str:
    """Text that a spreadsheet shows and does not compute, as it would what begins with = or the like.

    Nor does it compute a part of the text where it takes semicolons or tabs for the ends of cells.
    """
    return _FORMULA.sub("'", text)


def as_meant(text: str) -> str:
    """The text that `harmless` made this of; text without its signs as it is."""
    return _MADE_HARMLESS.sub("", text)
