"""The commands `thud recommend` and `thud similar`."""

import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from index import OBJECT_WEIGHT
from index.address import IndexAt, SoundsAt
from index.commands.answer_options import (
    DEFAULT_K,
    answer_options,
    count_option,
    diversity_option,
    feedback_options,
    show_answer,
)
from index.commands.export_options import export_of, export_options
from index.commands.filter_options import filter_options, library_options, taken
from model.errors import LibraryError
from model.option_types import FiniteRange

if TYPE_CHECKING:
    from index.answers.picture_map import PictureMap
    from index.answers.recommendation import Recommendation
    from index.answers.search import SoundIndex


@click.command()
@click.argument(
    "picture",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@library_options
@count_option("10; at each place of a map 3")
@click.option(
    "--map",
    "as_map",
    is_flag=True,
    help="Recommend sounds for each place of PICTURE, for touching it, and say what is where.",
)
@click.option(
    "--object-weight",
    type=FiniteRange(0, 1),
    default=OBJECT_WEIGHT,
    show_default=True,
    help="How much more a sound counts that names an object in the picture; 0: not at all.",
)
@diversity_option
@click.option(
    "--shows", multiple=True, metavar="MATERIAL", help="The picture shows this material: answer with its sounds."
)
@feedback_options
@filter_options
@export_options
@answer_options
def recommend(
    picture: Path,
    bundle: Path,
    index: IndexAt,
    sounds: SoundsAt | None,
    k: int | None,
    as_map: bool,
    object_weight: float,
    diversity: float,
    shows: tuple[str, ...],
    more: tuple[str, ...],
    less: tuple[str, ...],
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Recommend sounds for PICTURE (JPEG, PNG, WebP or AVIF; - reads it from standard input)."""
    from index.answers.inputs import read_picture
    from index.answers.picture_map import MAP_K
    from index.answers.recommender import Recommender
    from model.picture_format import PictureLimits

    if as_map and (cursor is not None or shows or more or less):
        raise click.UsageError("--map has no --cursor, --shows, --more and --less")
    only, export = taken(options), export_of(options)
    # Read first: a picture that cannot be used is refused without waiting for the towers.
    data = read_picture(_stream(picture), PictureLimits())
    with Recommender.open(
        bundle, index, sounds=sounds, object_weight=object_weight, diversity=diversity
    ) as recommender:
        if as_map:
            answer: Recommendation | PictureMap = recommender.map(data, k or MAP_K, only=only)
        else:
            answer = recommender.recommend(
                data, k or DEFAULT_K, only=only, cursor=cursor, shows=shows, more=more, less=less
            )
        show_answer(answer, recommender.index, export, as_json=as_json)


@click.command()
@click.argument("sound")
@library_options
@count_option()
@diversity_option
@feedback_options
@filter_options
@export_options
@answer_options
def similar(
    sound: str,
    bundle: Path,
    index: IndexAt,
    sounds: SoundsAt | None,
    k: int | None,
    diversity: float,
    more: tuple[str, ...],
    less: tuple[str, ...],
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find sounds like SOUND: one of the library, by its id, its path as thud find and thud index list show it or
    its file, or else any other file.

    One of the library is not among the answer. A path that the library has too means the library's, wherever you
    are: name another file by its whole path then. Of a file with several hits the main one counts.
    """
    from index.answers.recommender import Recommender

    k, only, export = k or DEFAULT_K, taken(options), export_of(options)
    with Recommender.open(bundle, index, sounds=sounds, diversity=diversity) as recommender:
        known = _id_of(sound, recommender.index)
        if known is not None:
            answer = recommender.recommend_like(known, k, only=only, cursor=cursor, more=more, less=less)
        else:
            answer = recommender.recommend_by_sound(Path(sound), k, only=only, cursor=cursor, more=more, less=less)
        show_answer(answer, recommender.index, export, as_json=as_json)


def _id_of(sound: str, index: "SoundIndex") -> str | None:
    """The id of the sound of the library that is meant, None for a file. Raises LibraryError for neither."""
    from index.building.naming import named_among

    if re.fullmatch(r"[0-9a-f]{20}", sound) and index.sound(sound) is not None:
        return sound
    path = named_among(index.paths(), index.root)(sound)
    known = None if path is None else index.id_at(path)
    if known is None and (path is not None or Path(sound).is_dir()):
        raise LibraryError(f"{sound} is a folder; name one sound")
    if known is None and not Path(sound).exists():
        raise LibraryError(f"{sound} is no file, and no id or path of a sound of this index")
    return known


def _stream(picture: Path) -> Path | IO[bytes]:
    return sys.stdin.buffer if str(picture) == "-" else picture
