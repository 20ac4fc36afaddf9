"""The options of commands that say which library is asked, and for which of its sounds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from index import DEFAULT_INDEX
from index.catalogue.filters import UNLABELLED, SoundFilter
from index.commands.places import IndexType, SoundsType
from model import PRETRAINED
from model.option_types import Finite

Command = TypeVar("Command", bound=Callable[..., Any])

_WORDS = (
    ("material", f"Only sounds of this material; {UNLABELLED}: those without one."),
    ("action", "Only sounds that were made like this, such as hit or scratch."),
    ("source", "Only sounds from this site or dataset."),
    ("licence", "Only sounds under this licence."),
    ("tag", "Only sounds with this tag."),
    ("folder", "Only sounds in this folder of the library, or in folders inside it."),
)
_BOUNDS = (
    ("min-duration", "Only sounds of at least so many seconds."),
    ("max-duration", "Only sounds of at most so many seconds."),
    ("min-loudness", "Only sounds of at least so many LUFS."),
    ("max-loudness", "Only sounds of at most so many LUFS."),
)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FIELDS = tuple(name.replace("-", "_") for name, _ in (*_WORDS, *_BOUNDS))


def library_options(command: Command) -> Command:
    """Adds the options `--bundle`, `--sounds` and `--index`."""
    command = click.option(
        "--index",
        type=IndexType(exists=True),
        metavar="INDEX",
        envvar="THUD_INDEX",
        show_envvar=True,
        default=DEFAULT_INDEX,
        show_default=True,
        help="The folder of the index, or milvus://HOST:PORT/NAME.",
    )(command)
    command = click.option(
        "--sounds",
        type=SoundsType(),
        metavar="SOUNDS",
        help="Where the sounds are, a folder or s3://BUCKET/PREFIX, if they have moved since they were indexed.",
    )(command)
    return click.option(
        "--bundle",
        type=_FOLDER,
        envvar="THUD_BUNDLE",
        show_envvar=True,
        default=PRETRAINED,
        show_default="the one that comes with Thud",
    )(command)


def filter_options(command: Command) -> Command:
    """Adds an option for each field of `SoundFilter`; `taken` makes the filter of their values."""
    for name, help_ in reversed(_BOUNDS):
        command = click.option(f"--{name}", type=Finite(), help=help_)(command)
    for name, help_ in reversed(_WORDS):
        again = help_ if name != "material" else f"{help_} Like the next five, it can be given again: any of them."
        command = click.option(f"--{name}", multiple=True, help=again)(command)
    return command


def taken(options: dict[str, Any]) -> SoundFilter:
    """The filter of the options, which are taken out of `options`. Raises FilterError as `SoundFilter` does."""
    return SoundFilter(**{name: options.pop(name) for name in _FIELDS})
