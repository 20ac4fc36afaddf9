"""`thud synthesize`: synthetic datasets, sounds and pictures."""

import os
from pathlib import Path

import click

from model.errors import TrainingError
from model.materials import material_named
from model.threads import available_cpus
from training.paths import LocalPath

_FOLDER = LocalPath(file_okay=False)


@click.group()
def synthesize() -> None:
    """Make synthetic sounds and pictures: for tests and demos, or on the labels of Greatest Hits."""


@synthesize.command("greatest-hits")
@click.argument("annotations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=_FOLDER)
@click.option("--seed", default=0, show_default=True, help="Another seed gives other sounds and pictures.")
@click.option("--sample-rate", default=44_100, show_default=True, help="Hz of the sound.")
@click.option("--width", default=256, show_default=True, help="Pixels.")
@click.option("--height", default=144, show_default=True, help="Pixels.")
@click.option("--fps", default=2, show_default=True, help="Frames a second.")
@click.option("--limit", type=int, help="Only so many videos, chosen to cover the materials.")
@click.option("--workers", type=int, help="Processes.  [default: the CPUs available]")
def greatest_hits(
    annotations: Path,
    out: Path,
    seed: int,
    sample_rate: int,
    width: int,
    height: int,
    fps: int,
    limit: int | None,
    workers: int | None,
) -> None:
    """Write synthetic media for the labels in ANNOTATIONS to OUT, in the layout of Greatest Hits.

    Run it again to go on after an interruption.
    """
    from training.synthesis.greatest_hits_media import synthesize_greatest_hits
    from training.synthesis.videos import VideoOptions

    options = VideoOptions(seed=seed, sample_rate=sample_rate, width=width, height=height, fps=fps)
    done = synthesize_greatest_hits(annotations, out, options, workers or available_cpus(), limit)
    again = f", {len(done.skipped)} were there already" if done.skipped else ""
    click.echo(f"{len(done.written)} videos written to {out}{again}")


@synthesize.command()
@click.argument("out", type=_FOLDER)
@click.option("--per-material", default=24, show_default=True, help="Sounds of each of the 17 materials.")
@click.option("--seed", default=0, show_default=True, help="Another seed gives other objects.")
@click.option("--sample-rate", default=44_100, show_default=True, help="Hz.")
def library(out: Path, per_material: int, seed: int, sample_rate: int) -> None:
    """Write a demo library of hits and scratches on all 17 materials to OUT."""
    from training.synthesis.demo_library import write_library

    if per_material < 1 or seed < 0 or not 8_000 <= sample_rate <= 192_000:
        raise TrainingError("--per-material must be at least 1, --seed 0 or more, --sample-rate 8,000 to 192,000")
    count = write_library(out, per_material, seed, sample_rate)
    click.echo(f"{count} sounds written to {click.format_filename(out)}")


@synthesize.command()
@click.argument("materials", nargs=-1, required=True, metavar="MATERIAL...")
@click.option("--out", type=LocalPath(dir_okay=False), required=True, help="The JPEG file to write.")
@click.option("--seed", default=0, show_default=True, help="Another seed gives another picture.")
@click.option("--width", default=512, show_default=True, help="Pixels.")
@click.option("--height", default=288, show_default=True, help="Pixels.")
def picture(materials: tuple[str, ...], out: Path, seed: int, width: int, height: int) -> None:
    """Write a picture that shows all of the named materials, with a drumstick on the first."""
    import numpy as np
    from PIL import Image

    from model.atomic import atomic_file
    from training.synthesis.scenes import draw_scene

    if out.suffix.lower() not in (".jpg", ".jpeg"):
        raise TrainingError(f"{out}: the picture is a JPEG; give it a name that ends in .jpg")
    if os.path.lexists(out):
        raise TrainingError(f"{out} is there already and is not replaced; name another file, or remove it")
    known = [(name, material_named(name)) for name in materials]
    unknown = [name for name, material in known if material is None]
    if unknown:
        raise TrainingError(f"not one of the 17 materials: {', '.join(unknown)}")
    if min(width, height) < 32 or max(width, height) > 4096 or seed < 0:
        raise TrainingError("--width and --height must be 32 to 4096, --seed 0 or more")
    names = [material.name for _, material in known if material is not None]
    rng = np.random.default_rng(seed)
    scene = draw_scene(names, rng, height, width)
    with atomic_file(out) as aside:
        Image.fromarray(scene.frame(rng, scene.point_on(names[0], rng))).save(aside, "JPEG", quality=88)
    click.echo(
        f"{out}: {', '.join(f'{n} {share:.0%}' for n, share in zip(scene.materials, scene.shares, strict=True))}"
    )
