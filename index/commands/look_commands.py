"""The commands `thud index list`, `verify` and `stats`, which look at an index and change nothing."""

import json
import sys

import click

from index.address import IndexAt
from index.commands.places import IndexType
from model.terminal import printable

_INDEX = IndexType()


@click.command(name="list")
@click.argument("index", type=_INDEX)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, with the whole record.")
def list_sounds(index: IndexAt, as_json: bool) -> None:
    """List the sounds of INDEX.

    A line has id, material, seconds, path and the paths of copies, separated by tabs.
    """
    from index.building.look import records_of

    for record in records_of(index):
        if as_json:
            click.echo(json.dumps(vars(record)))
        else:
            paths = "\t".join(map(printable, (record.path, *record.copies)))
            click.echo(f"{record.id}\t{record.material or '-'}\t{record.seconds:.2f}\t{paths}")


@click.command()
@click.argument("index", type=_INDEX)
@click.option("--quick", is_flag=True, help="Do not read the sounds: a file that is there, of its size, will do.")
def verify(index: IndexAt, quick: bool) -> None:
    """Check INDEX: its own files, its cache, every sound by its content.

    Exit code 1 where something is wrong.
    """
    from index.building.look import problems_of

    found = 0
    for problem in problems_of(index, quick=quick):
        click.echo(printable(problem))
        found += 1
    if found:
        click.echo(f"thud: {found:,} problems; thud index SOUNDS INDEX mends what can be mended", err=True)
        sys.exit(1)
    click.echo("all is well")


@click.command()
@click.argument("index", type=_INDEX)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stats(index: IndexAt, as_json: bool) -> None:
    """Say what is in INDEX: sounds, hours, materials, formats, sizes on disk."""
    from index.building.look import stats_of

    found = stats_of(index)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if isinstance(value, dict):
            click.echo(name)
            for key, count in value.items():
                click.echo(f"  {printable(str(key)):<18}{count:>14,}")
        else:
            click.echo(f"{name:<20}{printable(f'{value:,}' if isinstance(value, int) else str(value)):>14}")
