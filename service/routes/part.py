"""Asking about a part of a picture: `box` and `at`."""

from pydantic import BaseModel, Field

from model.picture import Part
from model.region import LEAST_SIZE, PLACE_SIZE, Region, Spot
from service.problems import ProblemError
from service.routes.parameters import DecimalNumber, decimal

_LONGEST = 200


class AskedPart(BaseModel):
    """The query parameters."""

    box: str | None = Field(
        None,
        description="Asks about a part of the picture: left, top, width and height as fractions of it. "
        "The picture is upright. Not together with `at`.",
        examples=["0.5,0,0.5,0.5"],
        max_length=_LONGEST,
    )
    at: str | None = Field(
        None,
        description="Asks about what is in a square around a point of the picture: x and y as fractions of it.",
        examples=["0.25,0.8"],
        max_length=_LONGEST,
    )
    size: DecimalNumber | None = Field(
        None,
        ge=LEAST_SIZE,
        le=1,
        description="How wide and high the square around `at` is, as a fraction of the picture's shorter side; "
        f"{PLACE_SIZE:g} where it is not given. Only together with `at`.",
        examples=[0.3],
    )

    def part(self) -> Part | None:
        """The part that they name, None where that is the whole picture.

        Raises ProblemError (422) for what names no part.
        """
        if self.box is not None and self.at is not None:
            raise ProblemError(422, "box and at are two ways to ask about a part; send one of them", "query.at")
        if self.size is not None and self.at is None:
            raise ProblemError(422, "size is that of the part around at; send at, too", "query.size")
        if self.box is not None:
            x, y, width, height = _numbers(self.box, "box", ("x", "y", "width", "height"))
            try:
                return Region(x, y, width, height)
            except ValueError as error:
                raise ProblemError(422, str(error), "query.box") from error
        if self.at is not None:
            x, y = _numbers(self.at, "at", ("x", "y"))
            try:
                return Spot(x, y, PLACE_SIZE if self.size is None else self.size)
            except ValueError as error:
                raise ProblemError(422, str(error), "query.at") from error
        return None


def _numbers(text: str, name: str, wanted: tuple[str, ...]) -> list[float]:
    try:
        numbers = [decimal(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(wanted):
        raise ProblemError(422, f"{name} is {len(wanted)} numbers, {','.join(wanted)}", f"query.{name}")
    return numbers
