"""Types of options on the command line, of all commands."""

import math
from typing import Any

import click
from click.types import FloatParamType


class Finite(FloatParamType):
    """A number, neither nan nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.ParamType`."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is no finite number.", param, ctx)
        return number


class FiniteRange(click.FloatRange):
    """A number within a range. No comparison with its ends refuses nan, nor infinity where an end is open."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.FloatRange`."""
        return super().convert(Finite().convert(value, param, ctx), param, ctx)
