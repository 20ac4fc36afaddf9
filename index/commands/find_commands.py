"""The command `thud find`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from index.address import IndexAt, SoundsAt
from index.commands.export_options import export_of, export_options, write_export
from index.commands.filter_options import filter_options, library_options, taken
from model.terminal import printable


@click.command()
@click.argument("text", nargs=-1)
@library_options
@filter_options
@export_options
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many sounds to list.")
@click.option("--cursor", help="The `next` of an answer to the same question: go on from there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the records, how many there are, and `next`.")
def find(
    text: tuple[str, ...],
    bundle: Path,
    index: IndexAt,
    sounds: SoundsAt | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """List the sounds whose title, tags, path, material or description have all words of TEXT, best first.

    A word is found from its beginning, whatever its case and accents. Without TEXT: all sounds that meet the
    filters, in the order of their paths.
    """
    from index.answers.search import SoundIndex
    from model.bundle import Bundle

    only, export = taken(options), export_of(options)
    with SoundIndex.open(index, Bundle.open(bundle), sounds=sounds) as library:
        page = library.find(" ".join(text), only, cursor, limit) if text else library.page(only, cursor, limit)
        write_export(export, library, page.sounds)
    if as_json:
        found = {"total": page.total, "sounds": [asdict(one) for one in page.sounds], "next": page.next}
        click.echo(json.dumps(found, indent=2))
        return
    for one in page.sounds:
        click.echo(f"{one.material or '-':<12}{one.seconds:>8.2f} s  {printable(one.path)}  {printable(one.title)}")
    click.echo(f"{len(page.sounds):,} of {page.total:,} sounds that were found, in {printable(str(library.root))}")
