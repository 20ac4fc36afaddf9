"""The command `thud index`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from model.terminal import printable

if TYPE_CHECKING:
    from index.generation import IndexSpec
    from model.bundle import Bundle


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("bundle", type=_FOLDER)
@click.argument("sounds", type=_FOLDER)
@click.argument("index", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--manifest",
    type=_FILE,
    help="CSV or JSONL table of the sounds' materials. "
    "Default: manifest.csv or manifest.jsonl in SOUNDS or its parent, else the names of sub-folders.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0.01),
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
def index(
    bundle: Path,
    sounds: Path,
    index: Path,
    manifest: Path | None,
    max_seconds: float,
    no_hubness: bool,
    no_labels: bool,
    propose: Path | None,
) -> None:
    """Embed the folder SOUNDS with BUNDLE and write a searchable INDEX of it.

    Run it again after the sounds have changed. A run that was interrupted is gone on with.
    """
    from tqdm import tqdm

    from index.build import SKIPPED_FILE, build_index
    from model.bundle import load_bundle
    from model.sound import SoundLimits

    def say(line: str) -> None:
        tqdm.write(printable(line), file=sys.stderr)

    try:
        limits = SoundLimits(max_seconds=max_seconds)
        opened = load_bundle(bundle)
        report = build_index(
            opened,
            sounds,
            index,
            manifest=manifest,
            limits=limits,
            hubness=not no_hubness,
            labels=not no_labels,
            propose=propose,
            say=say,
        )
    except KeyboardInterrupt:
        click.echo("thud: interrupted; run the same command again to go on from here", err=True)
        sys.exit(130)
    spec = report.spec
    click.echo(f"indexed      {spec.sounds:>8,}  in {printable(str(index))}, index {spec.id}")
    for name, count in sorted(spec.materials.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"  {name:<11}{count:>8,}")
    click.echo(f"  unlabelled {spec.unlabelled:>8,}")
    click.echo(f"duplicates   {spec.duplicates:>8,}")
    click.echo(f"skipped      {spec.skipped:>8,}")
    if report.skipped or report.duplicates:
        click.echo(f"  each with its reason in {printable(str(index / SKIPPED_FILE))}")
    click.echo(f"search       {spec.search.kind}, recall@10 {spec.search.recall_at_10:.4f} against exact search")
    if spec.label_strength and spec.unlabelled < spec.sounds:
        click.echo(f"labels       drawn into the vectors of labelled sounds, strength {spec.label_strength:g}")
    if spec.label_strength and spec.unlabelled:
        click.echo(_cost_of_no_labels(opened, spec, proposed=propose is not None))
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
    if report.resumed:
        click.echo(f"resumed      {report.resumed:>8,}  from an earlier run")


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
