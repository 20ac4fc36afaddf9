"""`thud prepare`: a Greatest Hits folder, a manifest or synthetic scenes into one prepared dataset."""

from pathlib import Path
from typing import Any

import click

from model.bundle import ClipSpec, PictureSpec
from model.option_types import FiniteRange
from model.threads import available_cpus
from training.data.items import Source
from training.paths import LocalPath

_OPTIONS = [
    click.option("--size", default=224, show_default=True, type=click.IntRange(32, 1024), help="picture side, px"),
    click.option(
        "--resize",
        type=click.Choice(["squash", "crop"]),
        default="squash",
        show_default=True,
        help="whole picture to a square (the paper), or its largest central square",
    ),
    click.option(
        "--sample-rate",
        default=32_000,
        show_default=True,
        type=click.IntRange(8_000, 192_000),
        help="of clips, Hz",
    ),
    click.option(
        "--before",
        default=0.5,
        show_default=True,
        type=FiniteRange(0, 10),
        help="seconds before the hit",
    ),
    click.option(
        "--after",
        default=0.9,
        show_default=True,
        type=FiniteRange(0, 10, min_open=True),
        help="seconds after the hit",
    ),
    click.option(
        "--val",
        "val_share",
        default=0.2,
        show_default=True,
        type=FiniteRange(0, 0.9),
        help="share for validation",
    ),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="of all that is drawn"),
    click.option(
        "--workers", default=available_cpus, show_default="CPUs", type=click.IntRange(1), help="processes"
    ),
]


def _with_options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def prepare() -> None:
    """Turn recordings, a manifest or synthetic scenes into a dataset to train on."""


@prepare.command("greatest-hits")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("dataset", type=LocalPath())
@click.option("--clips", default=10, show_default=True, type=click.IntRange(1), help="events drawn of each video")
@_with_options
def greatest_hits(folder: Path, dataset: Path, clips: int, **options: Any) -> None:
    """Prepare FOLDER, in the layout of the Greatest Hits archive, as DATASET."""
    from training.data.greatest_hits import GreatestHits

    _run(GreatestHits(folder, clips, options["seed"]), dataset, test_share=0.0, **options)


@prepare.command("manifest")
@click.argument("file")
@click.argument("dataset", type=LocalPath())
@click.option(
    "--test-source", "test_sources", multiple=True, metavar="SOURCE", help="hold this source out as test data"
)
@click.option("--exclude-source", "exclude_sources", multiple=True, metavar="SOURCE", help="leave this source out")
@click.option("--open-licence", is_flag=True, help="take only rows whose open_licence is 1")
@_with_options
def manifest(
    file: str,
    dataset: Path,
    test_sources: tuple[str, ...],
    exclude_sources: tuple[str, ...],
    open_licence: bool,
    **options: Any,
) -> None:
    """Prepare the pictures and sounds listed in FILE (CSV or JSONL, or a folder with manifest.csv) as DATASET.

    They may lie in an object store: s3://BUCKET/PREFIX, with manifest.csv there, or s3://BUCKET/PREFIX/FILE.

    Without a test source and without a column `split`, a fifth is drawn as test data, by object.
    """
    from training.data.manifest_files import manifest_files
    from training.data.manifest_source import ManifestSource

    source = ManifestSource(manifest_files(file), test_sources, exclude_sources, open_licence)
    _run(source, dataset, test_share=0.0 if test_sources else 0.2, **options)


@prepare.command("synthetic")
@click.argument("dataset", type=LocalPath())
@click.option("--scenes", default=400, show_default=True, type=click.IntRange(17), help="pictures to make")
@click.option("--clips", default=10, show_default=True, type=click.IntRange(1), help="sounds of each picture")
@_with_options
def synthetic(dataset: Path, scenes: int, clips: int, **options: Any) -> None:
    """Prepare synthetic scenes with synthetic sounds as DATASET. For tests and demos: it does not transfer."""
    from training.synthesis.scene_source import SyntheticScenes

    _run(SyntheticScenes(scenes, clips, options["seed"]), dataset, test_share=0.2, **options)


def _run(
    source: Source,
    dataset: Path,
    *,
    size: int,
    resize: Any,
    sample_rate: int,
    before: float,
    after: float,
    val_share: float,
    test_share: float,
    seed: int,
    workers: int,
) -> None:
    from training.data.prepare import PrepareOptions
    from training.data.prepare import prepare as prepare_dataset

    options = PrepareOptions(
        PictureSpec(size=size, resize=resize),
        ClipSpec(sample_rate=sample_rate, before=before, after=after),
        val_share,
        test_share,
        seed,
        workers,
    )
    prepared = prepare_dataset(source, dataset, options, click.echo)
    click.echo(prepared.summary())
    if prepared.info.skipped:
        click.echo(f"each of them with its reason: {dataset / 'skipped.tsv'}")
