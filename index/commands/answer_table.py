"""An answer for a person: a table in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING

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


def plain_console() -> "Console":
    """Where tables are printed."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # into a file or a pipe, nothing is wrapped or cut
    return console


def print_answer(answer: "Recommendation", sounds: Path) -> None:
    """Print what was recognised, and the sounds, which lie in the folder `sounds`."""
    console = plain_console()
    if answer.recognised is False:
        console.print("no material recognised")
    elif answer.materials is not None:
        console.print(", ".join(f"{one.name} {percent(one.probability)}" for one in answer.materials[:3]))
    if answer.objects:
        shown = ", ".join(f"{printable(one.name)} {percent(one.probability)}" for one in answer.objects)
        console.print(f"objects: {shown}", markup=False)
    console.print(_table(answer))
    console.print(printable(f"{answer.returned} of {answer.library:,} sounds in {sounds}"), markup=False)


def _table(answer: "Recommendation") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    with_match = answer.materials is not None
    with_object = any(sound.object is not None for sound in answer.results)
    for heading in ("rank", *(["match"] if with_match else []), "score", "similarity"):
        table.add_column(heading, justify="right")
    table.add_column("material")
    if with_object:
        table.add_column("because")
    table.add_column("seconds", justify="right")
    table.add_column("title", overflow="fold")
    table.add_column("path", overflow="fold")
    for sound in answer.results:
        table.add_row(
            str(sound.rank),
            *(["-" if sound.match is None else percent(sound.match)] if with_match else []),
            f"{sound.score:.3f}",
            f"{sound.similarity:+.3f}",
            sound.material.name if sound.material else "-",
            *([f"{sound.because}: {sound.object}" if sound.object else sound.because or ""] if with_object else []),
            f"{sound.duration:.2f}",
            # Text, because a plain string would be read as rich's markup.
            Text(printable(sound.title)),
            Text(printable(sound.path)),
        )
    return table
