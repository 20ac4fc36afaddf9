"""The commands `thud index` and `thud recommend`."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from index import DEFAULT_INDEX, OBJECT_WEIGHT
from model import PRETRAINED

if TYPE_CHECKING:
    from rich.table import Table

    from index.generation import IndexSpec
    from index.recommendation import Recommendation
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
    click.echo(f"search       {spec.kind}, recall@10 {spec.recall_at_10:.4f} against exact search")
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


def _a_number(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):  # no comparison with the ends of the range refuses it
        raise click.BadParameter("nan is no number.", context, parameter)
    return value


@click.command()
@click.argument(
    "picture",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="PICTURE",
)
@click.option(
    "--bundle",
    type=_FOLDER,
    envvar="THUD_BUNDLE",
    show_envvar=True,
    default=PRETRAINED,
    show_default="the one that comes with Thud",
)
@click.option(
    "--index", type=_FOLDER, envvar="THUD_INDEX", show_envvar=True, default=DEFAULT_INDEX, show_default=True
)
@click.option(
    "-k",
    "--k",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="How many sounds to recommend.",
)
@click.option(
    "--object-weight",
    type=click.FloatRange(0, 1),
    callback=_a_number,
    default=OBJECT_WEIGHT,
    show_default=True,
    help="How much more a sound counts that names an object in the picture; 0: not at all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the HTTP answer, and the path of each sound.")
def recommend(picture: Path, bundle: Path, index: Path, k: int, object_weight: float, as_json: bool) -> None:
    """Recommend sounds for PICTURE (JPEG, PNG or WebP; - reads it from standard input)."""
    from index.recommender import Recommender, read_picture
    from model.picture_format import PictureLimits

    # Read first: a picture that cannot be used is refused without waiting for the towers.
    data = read_picture(sys.stdin.buffer if str(picture) == "-" else picture, PictureLimits())
    with Recommender.open(bundle, index) as recommender:
        answer = recommender.recommend(data, k, object_weight=object_weight)
        if as_json:
            click.echo(answer.json(for_terminal=True))
        else:
            _print_answer(answer, recommender.index.root)


def printable(text: str) -> str:
    """`text` with control characters escaped: the name of a file must not control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def percent(probability: float) -> str:
    """A probability (0 to 1) in whole percent, which never claims that something is certain or impossible."""
    if probability < 0.01:
        return "<1%"
    return ">99%" if probability > 0.99 else f"{100 * probability:.0f}%"


def _print_answer(answer: "Recommendation", sounds: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 10_000  # into a file or a pipe, nothing is wrapped or cut
    if answer.recognised is False:
        console.print("no material recognised")
    elif answer.materials is not None:
        console.print(", ".join(f"{one.name} {percent(one.probability)}" for one in answer.materials[:3]))
    if answer.objects:
        shown = ", ".join(f"{printable(one.name)} {percent(one.probability)}" for one in answer.objects)
        console.print(f"objects: {shown}", markup=False)
    console.print(_table(answer))
    console.print(printable(f"{answer.returned} of {answer.library:,} sounds in {sounds}"), markup=False)


def _table(answer: "Recommendation") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    with_match = answer.materials is not None
    with_object = any(sound.object is not None for sound in answer.results)
    for heading in ("rank", *(["match"] if with_match else []), "score", "similarity"):
        table.add_column(heading, justify="right")
    table.add_column("material")
    if with_object:
        table.add_column("because")
    table.add_column("seconds", justify="right")
    table.add_column("title", overflow="fold")
    table.add_column("path", overflow="fold")
    for sound in answer.results:
        table.add_row(
            str(sound.rank),
            *(["-" if sound.match is None else percent(sound.match)] if with_match else []),
            f"{sound.score:.3f}",
            f"{sound.similarity:+.3f}",
            sound.material.name if sound.material else "-",
            *([f"{sound.because}: {sound.object}" if sound.object else sound.because] if with_object else []),
            f"{sound.duration:.2f}",
            # Text, because a plain string would be read as rich's markup.
            Text(printable(sound.title)),
            Text(printable(sound.path)),
        )
    return table
