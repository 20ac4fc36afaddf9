"""The options of commands that write the sounds which were found into a file: `--zip` and `--csv`."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from model.errors import LibraryError
from model.terminal import printable

if TYPE_CHECKING:
    from index.answers.search import SoundIndex
    from index.catalogue import SoundRecord

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)


def export_options(command: Command) -> Command:
    """Adds the options `--zip` and `--csv`; see `export_of` and `write_export`."""
    command = click.option(
        "--csv", "csv_file", type=_FILE, metavar="FILE", help="Also write the records of these sounds as a table."
    )(command)
    return click.option(
        "--zip",
        "zip_file",
        type=_FILE,
        metavar="FILE",
        help="Also write the files of these sounds, with what their licences ask you to say.",
    )(command)


@dataclass(frozen=True)
class Export:
    """The files to write, None for none."""

    zip_file: Path | None
    csv_file: Path | None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.zip_file is not None or self.csv_file is not None


def export_of(options: dict[str, Any]) -> Export:
    """What the options say, which are taken out of `options`.

    Raises LibraryError for a file that is there, or that both name.
    """
    export = Export(options.pop("zip_file"), options.pop("csv_file"))
    for file in (export.zip_file, export.csv_file):
        if file is not None and os.path.lexists(file):
            raise LibraryError(f"{file} is there already and is not replaced; name another file, or remove it")
    resolved = [file.resolve() for file in (export.zip_file, export.csv_file) if file is not None]
    if len(set(resolved)) < len(resolved):
        raise LibraryError(f"--zip and --csv both name {export.csv_file}; name another file for one of them")
    return export


def write_export(export: Export, index: "SoundIndex", records: "Sequence[SoundRecord]") -> None:
    """Write the files. Raises LibraryError where one cannot be written, or no sound be reached."""
    from index.answers.attribution import records_table
    from index.answers.export import MISSING, gone_of, zip_of
    from model.atomic import atomic_file

    zip_file, csv_file = export.zip_file, export.csv_file
    written = zip_file
    try:
        if zip_file is not None:
            if records and len(gone_of(index.files, records)) == len(records):
                raise LibraryError("none of these sounds is in the library any more: no zip is written")
            missing: dict[str, str] = {}
            with atomic_file(zip_file) as aside, aside.open("wb") as out:
                out.writelines(zip_of(index.files, records, missing))
            if missing:
                left_out = (
                    f"{len(missing)} of {len(records)} sounds are not in {zip_file}; {MISSING} in it says why"
                )
                click.echo(printable(left_out), err=True)
        written = csv_file
        if csv_file is not None:
            with atomic_file(csv_file) as aside:
                aside.write_bytes(records_table(records))
    except OSError as error:
        raise LibraryError(f"{written} cannot be written: {error.strerror or error}") from error
