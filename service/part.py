"""The part of the picture that a request asks about: its query parameters `box` and `at`."""

from typing import Annotated

from fastapi import Depends, Query

from model.part import AROUND, Part
from service.problems import ProblemError

_LONGEST = 200


async def _asked_part(
    box: Annotated[
        str | None,
        Query(
            description="Asks about a part of the picture: left, top, width and height as fractions of it. "
            "The picture is upright. Not together with `at`.",
            examples=["0.5,0,0.5,0.5"],
            max_length=_LONGEST,
        ),
    ] = None,
    at: Annotated[
        str | None,
        Query(
            description="Asks about what is around a point of the picture: x and y as fractions of it. The part is "
            f"{AROUND:g} of the picture wide and high.",
            examples=["0.25,0.8"],
            max_length=_LONGEST,
        ),
    ] = None,
) -> Part | None:
    if box is not None and at is not None:
        raise ProblemError(422, "box and at are two ways to ask about a part; send one of them", "query.at")
    if box is not None:
        x, y, width, height = _numbers(box, "box", ("x", "y", "width", "height"))
        try:
            return Part(x, y, width, height)
        except ValueError as error:
            raise ProblemError(422, str(error), "query.box") from error
    if at is not None:
        x, y = _numbers(at, "at", ("x", "y"))
        try:
            return Part.around(x, y)
        except ValueError as error:
            raise ProblemError(422, str(error), "query.at") from error
    return None


AskedPart = Annotated[Part | None, Depends(_asked_part)]
"""The part that the request asks about, None where it is the whole picture; for routes to declare."""


def _numbers(text: str, name: str, wanted: tuple[str, ...]) -> list[float]:
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(wanted):
        raise ProblemError(422, f"{name} is {len(wanted)} numbers, {','.join(wanted)}", f"query.{name}")
    return numbers
