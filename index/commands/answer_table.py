"""An answer for a person: a table in the terminal."""

from typing import TYPE_CHECKING

from index.address import SoundsAt
from model.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from index.answers.recommendation import Recommendation


def percent(probability: float) -> str:
    """A probability (0 to 1) in whole percent, which never claims that something is certain or impossible."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{100 * probability:.0f}%"


_NARROW, _VERY_NARROW = 100, 60
"""In a terminal of fewer columns what else tells of a sound is left out, so that numbers and paths can be read."""


def plain_console() -> "Console":
    """Where tables are printed."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # into a file or a pipe, nothing is wrapped or cut
    return console


def print_answer(answer: "Recommendation", sounds: SoundsAt) -> None:
    """Print what was recognised, and the sounds, which lie in the folder `sounds`."""
    console = plain_console()
    if answer.recognised is False:
        console.print("no material recognised")
    elif answer.materials is not None:
        console.print(", ".join(f"{one.name} {percent(one.probability)}" for one in answer.materials[:3]))
    if answer.objects:
        shown = ", ".join(f"{printable(one.name)} {percent(one.probability)}" for one in answer.objects)
        console.print(f"objects: {shown}", markup=False)
    console.print(_table(answer, console.width))
    console.print(printable(f"{answer.returned} of {answer.library:,} sounds in {sounds}"), markup=False)


def _table(answer: "Recommendation", width: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    with_match = answer.materials is not None
    with_object = any(sound.object is not None for sound in answer.results)
    with_title, with_seconds = width >= _NARROW, width >= _VERY_NARROW
    with_object = with_object and with_title
    measures = [*(["match"] if with_match else []), "score", *(["similarity"] if with_title else [])]
    if not with_seconds:
        del measures[1:]
    for heading in ("rank", *measures):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("material", no_wrap=True)
    if with_object:
        table.add_column("because")
    if with_seconds:
        table.add_column("seconds", justify="right", no_wrap=True)
    if with_title:
        table.add_column("title", overflow="fold")
    table.add_column("path", overflow="fold")
    for sound in answer.results:
        shown = {
            "match": "-" if sound.match is None else percent(sound.match),
            "score": f"{sound.score:.3f}",
            "similarity": f"{sound.similarity:+.3f}",
        }
        table.add_row(
            str(sound.rank),
            *(shown[heading] for heading in measures),
            sound.material.name if sound.material else "-",
            *([f"{sound.because}: {sound.object}" if sound.object else sound.because or ""] if with_object else []),
            # Text, because a plain string would be read as rich's markup.
            *([f"{sound.duration:.2f}"] if with_seconds else []),
            *([Text(printable(sound.title))] if with_title else []),
            Text(printable(sound.path)),
        )
    return table
