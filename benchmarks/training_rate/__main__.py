"""Step rate of `thud train` against the bare networks, and against training written in the straightforward way.

    python -m benchmarks.training_rate [DATASET] [--recipe NAME_OR_FILE]...

The sides take turns in one process, on the recipe's networks and batch size; samples are pairs or a grid's clips:

  bare      forward, backward and the optimiser's step on data in place: normalised pictures and finished
            spectrograms, floats on the device, as many a step as in thud's batches, in thud's precision, compiled
            as there. No augmentation, averaging, gathering, index work or progress.
  thud      what `thud train` does in an epoch: plan (its share for the steps that are run), data, spectrograms,
            augmentation and weight averaging of the recipe, checks, progress. Validation and checkpoint are left
            out; they are timed once, and counted in `whole epochs`.
  straight  a torch Dataset of pairs: one picture and one clip's spectrogram a pair, flips, a DataLoader, float32,
            the paper's loss, plain SGD. The start of its workers and its first step are not counted.

Without DATASET, synthetic scenes are prepared in a temporary folder. They are few, so that pictures repeat within a
batch more often than in recordings, and the networks of bare and thud see fewer of them; the table says how many.
Every batch is run once before it is timed, so that all shapes are compiled. Where other programs run at the same
time, set OMP_NUM_THREADS=1, or threads wait for each other.
"""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import torch

from benchmarks.machine import machine
from benchmarks.training_rate.sides import Bare, Straight, Thud, Work, mean_shapes
from model.bundle import ClipSpec, PictureSpec
from training.data.dataset import Dataset, load_dataset
from training.data.prepare import PrepareOptions, prepare
from training.loop.fit_options import FitOptions
from training.loop.plan import plan_epoch, samples
from training.synthesis.scene_source import SyntheticScenes
from training.systems.recipe import load_recipe

GOALS = {"cpu": 0.90, "cuda": 0.85}
STEPS = {"cpu": 10, "cuda": 100}
SIZES = {"cpu": 64, "cuda": 224}
WORKERS = (0, 2)
PAPER_EPOCHS, PAPER_VIDEOS, PAPER_CLIPS = 30, 586, 10


def spread(values: Sequence[float], digits: int) -> str:
    """Median, least and largest."""
    return f"{statistics.median(values):>10,.{digits}f}   ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def measure(work: Work, run: Path, rounds: int, peak: float) -> None:
    """Run all sides of one recipe in turns and print what they take."""
    recipe, device = work.recipe, work.options.device
    bare, thud = Bare(work), Thud(work, run)
    straight = {f"straight, {count} workers": Straight(work, count) for count in WORKERS}
    sides: dict[str, Callable[[], float]] = {"bare": bare, "thud": thud, **straight}
    bare()
    thud()
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            rates[name].append(side())
    validation, checkpoint = thud.end_of_epoch()

    seen, heard = mean_shapes(work.batches)
    print(
        f"\n{recipe.name}: {recipe.image_network} and {recipe.sound_network}; {seen:.1f} distinct pictures and "
        f"{heard:.1f} clips a step, {len(work.batches)} steps a round, {rounds} rounds"
    )
    line("samples a second", f"{'median':>10}   (least to most)")
    for name, values in rates.items():
        line(name, spread(values, 1))
    rate = statistics.median(rates["thud"])
    epoch = samples(plan_epoch(work.dataset, recipe, work.options.seed, 0))
    whole = epoch / (epoch / rate + validation + checkpoint)
    ends = f"validation {validation:.2f} s and checkpoint {checkpoint:.2f} s"
    line("whole epochs", f"{whole:>10,.1f}   thud with {ends} after each {epoch:,} samples")

    goal = GOALS[device.type]
    shares = ratios(rates["thud"], rates["bare"])
    reached = "reached" if statistics.median(shares) >= goal else "missed"
    line("thud / bare", f"{spread(shares, 3)}   goal {goal:.2f}: {reached}")
    for name in straight:
        line(f"thud / {name}", spread(ratios(rates["thud"], rates[name]), 2))

    steps = rate * len(work.batches) / samples(work.batches)
    compared = seen * heard if recipe.sampling == "grid" else heard
    line("pairs compared a second", f"{steps * compared:>10,.1f}")
    teraflops = steps * bare.flops / 1e12
    line("networks' TFLOP/s", f"{teraflops:>10,.3f}   {bare.flops / 1e9:,.2f} GFLOP a step, forward and backward")
    if device.type == "cuda":
        line("share of the bf16 peak", f"{teraflops / peak:>10.1%}   of {peak:g} TFLOP/s, dense")
    total = PAPER_EPOCHS * PAPER_VIDEOS * PAPER_CLIPS * (2 if recipe.sampling == "pairs" else 1)
    what = f"{PAPER_EPOCHS} epochs of {PAPER_VIDEOS} videos with {PAPER_CLIPS} clips, {total:,} samples, steps only"
    line("the paper's training, s", f"{total / rate:>10,.1f}   {what}")


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """The ratio in each round: what else the machine did in a round slowed both sides."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def line(name: str, text: str) -> None:
    """Print a row of the table."""
    print(f"  {name:<27} {text}")


@click.command(help=__doc__.splitlines()[0] if __doc__ else None)
@click.argument("dataset", required=False, type=click.Path(path_type=Path))
@click.option("--recipe", "recipes", multiple=True, default=("paper-tt-agg-resnet18", "thud"), show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1))
@click.option("--steps", type=click.IntRange(1), help=f"of a side in a round; by default {STEPS}")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="by default cuda where there is one")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", help="of bare and thud")
@click.option("--size", type=click.IntRange(32), help=f"of synthetic pictures; by default {SIZES}")
@click.option("--scenes", default=200, show_default=True, type=click.IntRange(17), help="synthetic pictures")
@click.option(
    "--peak-tflops",
    default=989.0,
    show_default=True,
    help="the GPU's bf16 peak, dense; 989 is an H100's or H200's (SXM) by its data sheet",
)
def main(
    dataset: Path | None,
    recipes: tuple[str, ...],
    rounds: int,
    steps: int | None,
    device: str | None,
    precision: str,
    size: int | None,
    scenes: int,
    peak_tflops: float,
) -> None:
    """Print the table of each recipe."""
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    chosen = [load_recipe(name) for name in recipes]
    for recipe in chosen:
        if recipe.system != "tt_agg":
            raise click.BadParameter(f"{recipe.name} has no pairs; tt_agg has", param_hint="--recipe")
    options = FitOptions(place, precision=precision)  # type: ignore[arg-type] # one of the three that click lets in
    with tempfile.TemporaryDirectory() as folder:
        data = load_dataset(dataset) if dataset else synthetic(Path(folder), scenes, size or SIZES[place.type])
        threads = torch.get_num_threads()
        name = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{threads} threads"
        kind, clip = "bf16" if options.bf16 else "fp32", data.info.clip
        print(
            f"{machine()}; torch {torch.__version__}, {name}, bare and thud in {kind}; "
            f"{data.info.source['kind']} data, pictures {data.info.picture.size} px, "
            f"clips {clip.before + clip.after:g} s at {clip.sample_rate:,} Hz"
        )
        for at, recipe in enumerate(chosen):
            work = Work.of(data, recipe, options, steps or STEPS[place.type])
            measure(work, Path(folder, f"run-{at}"), rounds, peak_tflops)


def synthetic(folder: Path, scenes: int, size: int) -> Dataset:
    """A prepared dataset of synthetic scenes."""
    clip = ClipSpec(sample_rate=32_000, before=0.5, after=0.9)
    options = PrepareOptions(PictureSpec(size=size), clip, test_share=0.2)
    return prepare(SyntheticScenes(scenes), folder / "dataset", options)


if __name__ == "__main__":
    main()
