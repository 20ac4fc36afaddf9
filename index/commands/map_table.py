"""A map of a picture in the terminal: `thud recommend --map`."""

from rich.table import Table
from rich.text import Text

from index.address import SoundsAt
from index.answers.picture_map import PictureMap, Place
from index.commands.answer_table import percent, plain_console
from model.terminal import printable


def print_map(answer: PictureMap, sounds: SoundsAt) -> None:
    """Print the shares of the materials, and a row for each place."""
    console = plain_console()
    if answer.materials:
        console.print(", ".join(f"{one.name} {100 * one.share:.0f}% of the picture" for one in answer.materials))
    elif answer.materials is not None:
        console.print("no material recognised")
    table = Table(box=None, pad_edge=False)
    for heading in ("x", "y"):
        table.add_column(heading, justify="right")
    table.add_column("material")
    table.add_column("sounds", overflow="fold")
    for place in answer.places:
        titles = ", ".join(printable(answer.sounds[number].title) for number in place.sounds)
        # Text, because a plain string would be read as rich's markup.
        table.add_row(f"{place.x:.2f}", f"{place.y:.2f}", _material(place), Text(titles))
    console.print(table)
    console.print(printable(f"{len(answer.sounds)} of {answer.library:,} sounds in {sounds}"), markup=False)


def _material(place: Place) -> str:
    if not place.materials or place.recognised is False:
        return "-"
    return f"{place.materials[0].name} {percent(place.materials[0].probability)}"
