"""The commands `thud recommend` and `thud similar`."""

import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from index import OBJECT_WEIGHT
from index.commands.answer_options import answer_options, count_option, diversity_option, show_answer
from index.commands.export_options import export_of, export_options
from index.commands.filter_options import filter_options, library_options, number, taken
from model.errors import LibraryError

if TYPE_CHECKING:
    from index.answers.search import SoundIndex


@click.command()
@click.argument(
    "picture",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
)
@library_options
@count_option
@click.option(
    "--map",
    "as_map",
    is_flag=True,
    help="Recommend sounds for each place of PICTURE, for touching it, and say what is where; -k 3 by default.",
)
@click.option(
    "--object-weight",
    type=click.FloatRange(0, 1),
    callback=number,
    default=OBJECT_WEIGHT,
    show_default=True,
    help="How much more a sound counts that names an object in the picture; 0: not at all.",
)
@diversity_option
@filter_options
@export_options
@answer_options
def recommend(
    picture: Path,
    bundle: Path,
    index: Path,
    k: int,
    as_map: bool,
    object_weight: float,
    diversity: float,
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Recommend sounds for PICTURE (JPEG, PNG or WebP; - reads it from standard input)."""
    from index.answers.inputs import read_picture
    from index.answers.picture_map import MAP_K
    from index.answers.recommender import Recommender
    from model.picture_format import PictureLimits

    if as_map and cursor is not None:
        raise click.UsageError("a map has no --cursor")
    only, export = taken(options), export_of(options)
    # Read first: a picture that cannot be used is refused without waiting for the towers.
    data = read_picture(_stream(picture), PictureLimits())
    with Recommender.open(bundle, index, object_weight=object_weight, diversity=diversity) as recommender:
        if as_map:
            given = click.get_current_context().get_parameter_source("k") is not ParameterSource.DEFAULT
            found = recommender.map(data, k if given else MAP_K, only=only)
            show_answer(found, recommender.index, export, as_json=as_json)
            return
        answer = recommender.recommend(data, k, only=only, cursor=cursor)
        show_answer(answer, recommender.index, export, as_json=as_json)


@click.command()
@click.argument("sound")
@library_options
@count_option
@diversity_option
@filter_options
@export_options
@answer_options
def similar(
    sound: str,
    bundle: Path,
    index: Path,
    k: int,
    diversity: float,
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find sounds like SOUND: one of the library, by its id or its path as thud find and thud index list show
    them, or else any file.

    One of the library is not among the answer. Of a file with several hits the main one counts.
    """
    from index.answers.recommender import Recommender

    only, export = taken(options), export_of(options)
    with Recommender.open(bundle, index, diversity=diversity) as recommender:
        known = _id_of(sound, recommender.index)
        if known is not None:
            answer = recommender.recommend_like(known, k, only=only, cursor=cursor)
        else:
            answer = recommender.recommend_by_sound(Path(sound), k, only=only, cursor=cursor)
        show_answer(answer, recommender.index, export, as_json=as_json)


def _id_of(sound: str, index: "SoundIndex") -> str | None:
    """The id of the sound of the library that is meant, None for a file. Raises LibraryError for neither."""
    if re.fullmatch(r"[0-9a-f]{20}", sound) and index.sound(sound) is not None:
        return sound
    if not Path(sound).exists():
        known = index.id_at(sound)
        if known is None:
            raise LibraryError(f"{sound} is no file, and no id or path of a sound of this index")
        return known
    return None


def _stream(picture: Path) -> Path | IO[bytes]:
    return sys.stdin.buffer if str(picture) == "-" else picture
