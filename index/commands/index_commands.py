"""The command `thud index`: a whole run; `add` and `remove`; the commands that only look are in `look_commands`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from index.address import IndexAt, SoundsAt
from index.commands.look_commands import list_sounds, stats, verify
from index.commands.places import IndexType, SoundsType
from model import PRETRAINED
from model.errors import LibraryError
from model.option_types import FiniteRange
from model.terminal import printable

if TYPE_CHECKING:
    from index.building.run import BuildReport
    from index.generation import IndexSpec
    from model.bundle import Bundle

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_INDEX = IndexType()


class _WithCommands(click.Command):
    """A command whose first argument may be the name of another one."""

    def __init__(self, *arguments: Any, commands: dict[str, click.Command], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands = commands

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in self.commands:
            name = args.pop(0)
            return self.commands[name].make_context(f"{info_name} {name}", args, parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Commands for an index that is there"):
            formatter.write_dl([(name, one.get_short_help_str(80)) for name, one in self.commands.items()])


def _folders(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[Path, SoundsAt, IndexAt]:
    """The bundle, the sounds and the index."""
    if not 2 <= len(value) <= 3:
        raise click.UsageError("Name the folder of sounds and the folder of the index, and before them a bundle.")
    *bundle, sounds, index = value
    return (
        _FOLDER.convert(bundle[0], parameter, context) if bundle else PRETRAINED,
        SoundsType().convert(sounds, parameter, context),
        _INDEX.convert(index, parameter, context),
    )


def _teller() -> Callable[[str], None]:
    from model.progress import say

    return lambda line: say(printable(line))


@click.command()
@click.argument("index", type=_INDEX)
@click.argument("names", nargs=-1, required=True, metavar="PATH...")
def add(index: IndexAt, names: tuple[str, ...]) -> None:
    """Take files or folders into INDEX: new ones, and those that were taken out.

    PATH lies in the folder of sounds that INDEX was made of: as it lies on the disk, or as thud index list shows
    it. Other files there that are new are left for the next run of thud index SOUNDS INDEX. Options, labels and
    bundle are those of the last run.
    """
    from index.building.build import change_index

    _tell(change_index(index, add=names, say=_teller()), index)


@click.command()
@click.argument("index", type=_INDEX)
@click.argument("names", nargs=-1, required=True, metavar="PATH...")
def remove(index: IndexAt, names: tuple[str, ...]) -> None:
    """Take sounds out of INDEX and keep them out, until thud index add names them.

    Their files are left alone. PATH is a file or a folder, as it lies on the disk or as thud index list shows it.
    Of a folder, new files are kept out too. INDEX remembers paths: a copy of the sound at another path stays in
    INDEX, and a file that is renamed or moved after it was taken out comes back, unless its folder is out as well.
    """
    from index.building.build import change_index

    _tell(change_index(index, remove=names, say=_teller()), index)


_COMMANDS = {"add": add, "remove": remove, "list": list_sounds, "verify": verify, "stats": stats}


@click.command(cls=_WithCommands, commands=_COMMANDS)
@click.argument("folders", nargs=-1, metavar="[BUNDLE] SOUNDS INDEX", callback=_folders, type=click.UNPROCESSED)
@click.option(
    "--manifest",
    type=_FILE,
    help="CSV or JSONL table of the sounds' materials. "
    "Default: manifest.csv or manifest.jsonl in SOUNDS or its parent.",
)
@click.option(
    "--no-manifest",
    is_flag=True,
    help="Look for no manifest: labels come from folders, tags and names alone.",
)
@click.option(
    "--max-seconds",
    type=FiniteRange(min=0.01),
    default=600.0,
    show_default=True,
    help="Sounds that are longer are skipped.",
)
@click.option(
    "--no-hubness",
    is_flag=True,
    help="Rank by similarity alone. Default: sounds that are near to nearly every picture are ranked lower, "
    "where BUNDLE holds the pictures to tell them by.",
)
@click.option(
    "--no-labels",
    is_flag=True,
    help="Place sounds by what is heard alone. Default: a labelled sound is placed near its material, as far as "
    "BUNDLE says, so that answers follow labels where there are any; in a library of which only a part is "
    "labelled, these sounds come before the others.",
)
@click.option(
    "--propose",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="LABELS.csv",
    help="Also write a table with guesses of the materials, sounds that need a look first on top. Fill in its "
    "column material as far as you like and hand it back with --manifest; a guess alone is no label.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Put the index of SOUNDS in the place of one of another folder. Default: INDEX stays the index of the "
    "folder that it was made of, unless that is no longer there and some of its sounds are in SOUNDS.",
)
@click.option(
    "--ray",
    "cluster",
    metavar="ADDRESS",
    help="Embed on the Ray cluster at ADDRESS, HOST:PORT, or auto for the one of this machine. All its nodes must "
    "reach SOUNDS and BUNDLE under the same names.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Go on until interrupted, and bring the index up to date whenever sounds or the manifest have changed.",
)
def index(
    folders: tuple[Path, SoundsAt, IndexAt],
    manifest: Path | None,
    no_manifest: bool,
    max_seconds: float,
    no_hubness: bool,
    no_labels: bool,
    propose: Path | None,
    replace: bool,
    cluster: str | None,
    watch: bool,
) -> None:
    """Embed the folder SOUNDS with BUNDLE and write a searchable INDEX of it. Without BUNDLE, the one that comes
    with Thud is used. SOUNDS may be s3://BUCKET/PREFIX, and INDEX milvus://HOST:PORT/NAME.

    Run it again after the sounds have changed: only what is new is embedded. A run that was interrupted is gone on
    with. A folder of sounds that is called like one of the commands below is written ./add and so on.
    """
    from index.building.build import build_index
    from model.bundle import load_bundle
    from model.sound import SoundLimits

    if no_manifest and manifest is not None:
        raise click.UsageError("--manifest and --no-manifest exclude each other.")
    bundle, sounds, target = folders
    opened = load_bundle(bundle)

    def run(say: Callable[[str], None]) -> "BuildReport":
        return build_index(
            opened,
            sounds,
            target,
            manifest=manifest,
            use_manifest=not no_manifest,
            limits=SoundLimits(max_seconds=max_seconds),
            hubness=not no_hubness,
            labels=not no_labels,
            propose=propose,
            replace=replace,
            cluster=cluster,
            say=say,
        )

    if watch:
        if propose is not None:
            raise click.UsageError("--propose writes its table once: use it without --watch.")
        if not isinstance(sounds, Path):
            raise click.UsageError(
                "no store tells of its changes: use --watch with a folder, or run this in turns."
            )
        from index.building.engines import work_folder_of

        try:
            from index.building.watching import watch_library
        except ModuleNotFoundError as error:
            if error.name != "watchfiles":
                raise
            raise LibraryError("--watch needs watchfiles; install it with: pip install 'thud[watch]'") from error
        watch_library(sounds, work_folder_of(target), manifest, run, _teller())
        return
    _tell(run(_teller()), target, opened, propose)


def _tell(
    report: "BuildReport", index: IndexAt, bundle: "Bundle | None" = None, propose: Path | None = None
) -> None:
    """Print the summary of a run."""
    from index.building.engines import work_folder_of

    spec = report.spec
    click.echo(f"indexed      {spec.sounds:>8,}  in {printable(str(index))}, index {spec.id}")
    for name, count in sorted(spec.materials.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"  {name:<11}{count:>8,}")
    click.echo(f"  unlabelled {spec.unlabelled:>8,}")
    click.echo(f"duplicates   {spec.duplicates:>8,}")
    click.echo(f"skipped      {spec.skipped:>8,}")
    if report.read:
        click.echo(f"read         {report.read:>8,}  manifest, and files beside sounds")
    found = spec.sounds + spec.duplicates + spec.skipped + report.read - report.missing
    click.echo(f"found        {found:>8,}  files and folders")
    if report.missing:
        click.echo(f"not found    {report.missing:>8,}  that the manifest lists, of those skipped")
    if report.skipped or report.duplicates:
        click.echo(f"  each with its reason in {printable(str(work_folder_of(index) / 'skipped.tsv'))}")
    if not report.changed:
        click.echo("unchanged    the index is as it was; nothing was published")
    click.echo(f"search       {spec.search.kind}, recall@10 {spec.search.recall_at_10:.4f} against exact search")
    if spec.label_strength and spec.unlabelled < spec.sounds:
        click.echo(f"labels       drawn into the vectors of labelled sounds, strength {spec.label_strength:g}")
    if bundle is not None and spec.label_strength and spec.unlabelled:
        click.echo(_cost_of_no_labels(bundle, spec, proposed=propose is not None))
    if propose is not None:
        click.echo(
            f"proposals    in {printable(str(propose))}; fill in its column material, from the top as far as you"
        )
        click.echo("             like, and index again with --manifest and this file")
    if spec.hubness is not None:
        before, after = spec.hubness.skew_before, spec.hubness.skew_after
        pictures = f"{spec.hubness.pictures:,} pictures of the bundle"
        click.echo(f"hubs         skew {before:.2f}, {after:.2f} with their bias; told by {pictures}")
    click.echo(f"embedded     {report.embedded:>8,}  in {report.seconds:,.1f} s, {report.rate:,.1f} sounds/s")
    if report.reused:
        click.echo(f"reused       {report.reused:>8,}  from earlier runs")


def _cost_of_no_labels(bundle: "Bundle", spec: "IndexSpec", *, proposed: bool) -> str:
    """How many sounds have no label, and what labels are worth by the bundle's own measures, where it has these."""
    text = f"unlabelled   {spec.unlabelled:,} of {spec.sounds:,} sounds"
    try:
        measured = bundle.spec.metrics["left_out"]["recommended"]
        without, with_labels = 10 * float(measured["P@10"]), 10 * float(measured["P@10 labelled"])
    except (KeyError, TypeError, ValueError):
        pass
    else:
        text += (
            f". By the bundle's measures on sources that it had not seen, {without:.1f} of the\n             "
            f"first ten sounds fit a picture in a library without labels, {with_labels:.1f} where all have one"
        )
    return text if proposed else f"{text}\n             --propose LABELS.csv writes guesses to correct"
