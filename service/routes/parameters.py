"""Query parameters that several routes have: numbers, and the filters."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from index.catalogue.filters import UNLABELLED, SoundFilter
from model.materials import MATERIALS

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


def _decimal(given: Any) -> Any:
    if isinstance(given, str) and not _DECIMAL.fullmatch(given):
        raise PydanticCustomError("float_parsing", "Input should be a number, in the digits 0 to 9")
    return given


DecimalNumber = Annotated[float, BeforeValidator(_decimal), Field(allow_inf_nan=False)]
"""The type of a parameter that is a number."""


_Material = Annotated[
    str, WithJsonSchema({"type": "string", "enum": [*(one.name for one in MATERIALS), UNLABELLED]})
]
CursorText = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]+$")]
"""The type of a parameter that is a cursor. The longest address bounds its length."""

_Text = Annotated[str, StringConstraints(min_length=1)]


class AskedFilter(BaseModel):
    """Which sounds are asked for: those that meet every condition; of a repeated one any value does."""

    material: list[_Material] = Field(
        [],
        description=f"Only sounds of this material; `{UNLABELLED}`: those without one. Repeat it for several: "
        "any of them does, as with all filters that are texts.",
        examples=[["glass", "metal"]],
    )
    action: list[_Text] = Field([], description="Only sounds made in this way.", examples=[["hit"]])
    source: list[_Text] = Field([], description="Only sounds from this site or dataset.", examples=[["freesound"]])
    licence: list[_Text] = Field([], description="Only sounds under this licence.", examples=[["CC0-1.0"]])
    tag: list[_Text] = Field([], description="Only sounds with this tag.", examples=[["bottle"]])
    folder: list[_Text] = Field(
        [],
        description="Only sounds in this folder of the library, or in one below it.",
        examples=[["glass/bottles"]],
    )
    min_duration: DecimalNumber | None = Field(None, ge=0, description="Seconds that a sound lasts at least.")
    max_duration: DecimalNumber | None = Field(
        None, ge=0, description="Seconds that a sound lasts at most.", examples=[2.5]
    )
    min_loudness: DecimalNumber | None = Field(None, description="LUFS at its hit that a sound has at least.")
    max_loudness: DecimalNumber | None = Field(
        None, description="LUFS at its hit that a sound has at most.", examples=[-12]
    )

    def only(self) -> SoundFilter:
        """The conditions for a search. Raises FilterError for what cannot be one."""
        return SoundFilter(
            material=tuple(self.material),
            action=tuple(self.action),
            source=tuple(self.source),
            licence=tuple(self.licence),
            tag=tuple(self.tag),
            folder=tuple(self.folder),
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            min_loudness=self.min_loudness,
            max_loudness=self.max_loudness,
        )
