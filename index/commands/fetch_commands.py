"""The command `thud fetch`."""

import os
from pathlib import Path

import click

from model.errors import FetchError
from model.option_types import FiniteRange
from model.terminal import printable

TOKEN = "THUD_FREESOUND_TOKEN"  # noqa: S105 -- the name of a variable
ACCESS_TOKEN = "THUD_FREESOUND_ACCESS_TOKEN"  # noqa: S105


@click.group()
def fetch() -> None:
    """Fetch sounds from where people keep them, with their authors and licences."""


@fetch.command()
@click.argument("query")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path), metavar="OUT")
@click.option(
    "--licence",
    "licences",
    type=click.Choice(["cc0", "by", "by-nc"]),
    multiple=True,
    help="Only sounds of this licence; may be given several times.  [default: any]",
)
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many sounds, best first."
)
@click.option("--min-duration", type=FiniteRange(0, 600), help="Only sounds at least this long.")
@click.option("--max-duration", type=FiniteRange(0, 600), help="Only sounds at most this long.")
@click.option(
    "--originals",
    is_flag=True,
    help=f"The files that were uploaded, in place of previews; needs an OAuth2 access token in {ACCESS_TOKEN}.",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"A file that holds the token, in place of {TOKEN}.",
)
@click.option("--api", default="https://freesound.org/apiv2/", show_default=True, help="Address of the API.")
def freesound(
    query: str,
    out: Path,
    licences: tuple[str, ...],
    count: int,
    min_duration: float | None,
    max_duration: float | None,
    originals: bool,
    token_file: Path | None,
    api: str,
) -> None:
    """Fetch sounds of Freesound that fit QUERY into the folder OUT, with a manifest.csv.

    You need an API key of your own, from freesound.org/apiv2/apply, in the variable THUD_FREESOUND_TOKEN. Previews
    are Ogg Vorbis of about 192 kbit/s. What OUT has already is not fetched again. Then: thud index OUT INDEX.
    """
    try:
        from index.fetching.freesound import Freesound
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise FetchError("thud fetch needs httpx; install it with: pip install 'thud[fetch]'") from error
    from index.fetching.fetch import MANIFEST, fetch_sounds

    def say(line: str) -> None:
        click.echo(printable(line), err=True)

    seconds = None
    if min_duration is not None or max_duration is not None:
        seconds = (min_duration or 0.0, 600.0 if max_duration is None else max_duration)
        if seconds[0] > seconds[1]:
            raise click.UsageError("--min-duration is more than --max-duration")
    token = _token(token_file, ACCESS_TOKEN if originals else TOKEN)
    with Freesound(token, oauth=originals, api=api, say=say) as service:
        report = fetch_sounds(
            service, query, out, count, licences=licences, seconds=seconds, originals=originals, say=say
        )
    total = report.fetched + report.there
    click.echo(f"{total} sounds in {out} ({report.fetched} fetched, {report.there} there before), see {MANIFEST}")
    if report.failed:
        raise FetchError(f"{len(report.failed)} sounds could not be fetched; run the same command again")
    if total == 0:
        raise FetchError("no sound of Freesound fits")


def _token(file: Path | None, variable: str) -> str:
    """The token, from a file or a variable: on the command line, all users of the machine could see it."""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FetchError(f"{file} cannot be read: {error}") from error
        where = str(file)
    else:
        token, where = os.environ.get(variable, "").strip(), variable
    if not token:
        raise FetchError(
            f"{where} holds no token; an API key comes from freesound.org/apiv2/apply, "
            "and an access token for originals from its OAuth2 login"
        )
    return token
