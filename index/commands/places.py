"""Where an index and sounds are, as arguments and options of commands: a folder or an address."""

from pathlib import Path
from typing import Any

import click

from index.address import IndexAt, SoundsAt, index_at, sounds_at

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_ANY_FOLDER = click.Path(file_okay=False, path_type=Path)


class IndexType(click.ParamType):  # type: ignore[type-arg] # it has none before click 8.4
    """The folder of an index, or milvus://HOST:PORT/NAME; `exists`: the folder has to be there."""

    name = "index"

    def __init__(self, *, exists: bool = False) -> None:
        self._folder = _FOLDER if exists else _ANY_FOLDER

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IndexAt:
        """The folder or the address. LibraryError for an address that is none is shown as it is."""
        found = index_at(value)
        return self._folder.convert(value, param, ctx) if isinstance(found, Path) else found


class SoundsType(click.ParamType):  # type: ignore[type-arg] # as above
    """A folder of sounds that is there, or s3://BUCKET/PREFIX."""

    name = "sounds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> SoundsAt:
        """The folder or the address. LibraryError for an address that is none is shown as it is."""
        found = sounds_at(value)
        return _FOLDER.convert(value, param, ctx) if isinstance(found, Path) else found
