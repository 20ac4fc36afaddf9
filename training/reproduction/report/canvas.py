"""How figures look and are written: one style, and colours that colour-blind readers can tell apart."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.materials import MATERIALS
from training.reproduction.report.groups import Group

# Okabe & Ito 2008, "Color universal design", without yellow, which is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")

NAMES = [material.name for material in MATERIALS]

_DPI = 200  # twice what a page shows
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 9,
    "text.parse_math": False,  # a recipe may have any name
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "legend.framealpha": 1,
    "legend.edgecolor": "white",
    "legend.fancybox": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
}


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


@contextmanager
def style() -> Iterator[None]:
    """Draw and write in Thud's style, whatever the user's own matplotlib settings; they come back afterwards."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of a size in inches, to be drawn on within `style`."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: Path) -> None:
    """Write a PNG that holds nothing but the picture: the same figure gives the same bytes."""
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


def name_materials(axes: Axes, *, rows: bool = False) -> None:
    """Label the columns (and the rows) 0 to 16 with the materials."""
    axes.set_xticks(range(len(NAMES)), NAMES, rotation=90)
    if rows:
        axes.set_yticks(range(len(NAMES)), NAMES)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
