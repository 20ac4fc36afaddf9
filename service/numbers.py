"""Numbers in a query: of the digits 0 to 9 alone. Python itself also reads `1_0`, and the digits of all scripts."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")


def decimal(text: str) -> float:
    """The number, which may have an exponent, and spaces around it. Raises ValueError for anything else."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return float(text)


def _whole(given: Any) -> Any:
    if isinstance(given, str) and not _WHOLE.fullmatch(given):
        raise PydanticCustomError("int_parsing", "Input should be a whole number, in the digits 0 to 9")
    return given


WholeNumber = Annotated[int, BeforeValidator(_whole)]
"""The type of a parameter that is a whole number."""
