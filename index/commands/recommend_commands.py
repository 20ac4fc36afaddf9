"""The command `thud recommend`."""

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from index import DIVERSITY, OBJECT_WEIGHT
from index.commands.export_options import export_options, exported
from index.commands.filter_options import filter_options, library_options, number, taken
from model.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from index.answers.recommendation import Recommendation

_K = 10


@click.command()
@click.argument(
    "picture",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="[PICTURE]",
    required=False,
)
@click.option(
    "--sound",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="In place of PICTURE: recommend sounds that are like this one.",
)
@library_options
@click.option(
    "-k",
    "--k",
    type=click.IntRange(min=1),
    show_default="10; at each place of a map 3",
    help="How many sounds to recommend.",
)
@click.option(
    "--map",
    "as_map",
    is_flag=True,
    help="Recommend sounds for each place of PICTURE, for touching it, and say what is where.",
)
@click.option(
    "--object-weight",
    type=click.FloatRange(0, 1),
    callback=number,
    default=OBJECT_WEIGHT,
    show_default=True,
    help="How much more a sound counts that names an object in the picture; 0: not at all.",
)
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    callback=number,
    default=DIVERSITY,
    show_default=True,
    help="How much the sounds differ from each other; 0: the nearest, whatever they are.",
)
@filter_options
@export_options
@click.option("--cursor", help="The `next` of an answer to the same question: go on from there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the HTTP answer, and the path of each sound.")
def recommend(
    picture: Path | None,
    sound: Path | None,
    bundle: Path,
    index: Path,
    k: int | None,
    as_map: bool,
    object_weight: float,
    diversity: float,
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Recommend sounds for PICTURE (JPEG, PNG or WebP; - reads it from standard input)."""
    from index.answers.picture_map import MAP_K, PictureMap
    from index.answers.pictures import read_picture
    from index.answers.recommender import Recommender
    from index.commands.map_table import print_map
    from model.picture_format import PictureLimits

    if (picture is None) == (sound is None):
        raise click.UsageError("name either a PICTURE or a --sound")
    if as_map and (sound is not None or cursor is not None):
        raise click.UsageError("--map is of a PICTURE, and has no --cursor")
    only = taken(options)
    # Read first: a picture that cannot be used is refused without waiting for the towers.
    data = b"" if picture is None else read_picture(_stream(picture), PictureLimits())
    with Recommender.open(bundle, index, object_weight=object_weight, diversity=diversity) as recommender:
        answer: Recommendation | PictureMap
        if as_map:
            answer = recommender.map(data, k or MAP_K, only=only)
        elif sound is not None:
            answer = recommender.recommend_by_sound(sound, k or _K, only=only, cursor=cursor)
        else:
            answer = recommender.recommend(data, k or _K, only=only, cursor=cursor)
        sounds = answer.sounds if isinstance(answer, PictureMap) else answer.results
        found = [recommender.index.sound(one.id) for one in sounds]
        exported(options, recommender.index, [record for record in found if record is not None])
        if as_json:
            click.echo(answer.json(for_terminal=True))
        elif isinstance(answer, PictureMap):
            print_map(answer, recommender.index.root)
        else:
            _print_answer(answer, recommender.index.root)


def _stream(picture: Path) -> Path | IO[bytes]:
    return sys.stdin.buffer if str(picture) == "-" else picture


def plain_console() -> "Console":
    """Where tables are printed."""
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # into a file or a pipe, nothing is wrapped or cut
    return console


def percent(probability: float) -> str:
    """A probability (0 to 1) in whole percent, which never claims that something is certain or impossible."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{100 * probability:.0f}%"


def _print_answer(answer: "Recommendation", sounds: Path) -> None:
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
