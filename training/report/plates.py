"""A figure of the report with what is said about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from training.report.groups import Group


@dataclass(frozen=True)
class Plate:
    """Figure `number` of the paper, redrawn. `figure` is None where nothing can be drawn; the caption says why."""

    number: int
    title: str
    caption: str
    alt: str = ""
    figure: Figure | None = None
    groups: Sequence[Group] = ()

    @property
    def file(self) -> str:
        """The figure's file, relative to the report."""
        return f"figures/figure-{self.number}.png"
