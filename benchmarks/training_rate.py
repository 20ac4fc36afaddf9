"""Step rate of `thud train` against the bare networks, and against training written in the straightforward way.

    python benchmarks/training_rate.py [DATASET] [--recipe NAME_OR_FILE]...

Sides, in turns within one process, on the recipe's networks and batch size; samples are pairs, or a grid's clips:

  bare      forward, backward and the optimiser's step on data in place: normalised pictures and finished
            spectrograms, floats on the device, as many a step as in thud's batches, in thud's precision, compiled
            as there. No augmentation, averaging, gathering, index work or progress.
  thud      what `thud train` does in an epoch: plan (its share for the steps that are run), data, spectrograms,
            augmentation and weight averaging of the recipe, checks, progress. Validation and checkpoint are left
            out; they are timed once, and counted in `whole epochs`.
  straight  a torch Dataset of pairs: one picture and one clip's spectrogram a pair, flips, a DataLoader, float32,
            the paper's loss, plain SGD. The start of its workers and its first step are not counted.

Without DATASET, synthetic scenes are prepared in a temporary folder. They are few, so that pictures repeat within a
batch more than on recordings, and the networks of bare and thud see fewer of them; the table says how many. Every
batch is run once before it is timed, so that all shapes are compiled. Where other work runs beside, set
OMP_NUM_THREADS=1, lest threads wait for each other.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, normalize
from torch.utils.data import DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count
from torchvision.transforms.functional import hflip
from torchvision.transforms.functional import normalize as standardise

from model.bundle import ClipSpec, PictureSpec
from model.torch_towers.networks import build_network
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import pair_score
from training.data.dataset import Dataset, load_dataset
from training.data.pairs import draw_pairs
from training.data.prepare import PrepareOptions, prepare
from training.loop.device_data import DeviceData
from training.loop.distributed import World
from training.loop.fit import Trainer
from training.loop.fit_options import FitOptions
from training.loop.history import Curves
from training.loop.optimizer import build_optimizer
from training.loop.plan import Batch, plan_epoch, samples
from training.synthesis.scene_source import SyntheticScenes
from training.systems.recipe import Recipe, clip_window, load_recipe
from training.systems.systems import build_system

GOALS = {"cpu": 0.90, "cuda": 0.85}
STEPS = {"cpu": 10, "cuda": 100}
SIZES = {"cpu": 64, "cuda": 224}
WORKERS = (0, 2)
PAPER_EPOCHS, PAPER_VIDEOS, PAPER_CLIPS = 30, 586, 10
IMAGENET_MEAN, IMAGENET_DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

Example = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Work:
    """What all sides do: a recipe on a dataset, and the batches, with the seconds that planning them takes."""

    dataset: Dataset
    recipe: Recipe
    options: FitOptions
    batches: list[Batch]
    plan_seconds: float

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, options: FitOptions, steps: int) -> "Work":
        """`steps` batches of as many epochs as that takes."""
        batches: list[Batch] = []
        seconds, epoch = 0.0, 0
        while len(batches) < steps:
            began = time.perf_counter()
            planned = plan_epoch(dataset, recipe, options.seed, epoch)
            taken = planned[: steps - len(batches)]
            seconds += (time.perf_counter() - began) * len(taken) / len(planned)
            batches += taken
            epoch += 1
        return cls(dataset, recipe, options, batches, seconds)


def settled(device: torch.device) -> float:
    """The time on the clock, once the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class Bare:
    """The networks alone. `flops`: floating point operations of a step's forward and backward pass, on average."""

    def __init__(self, work: Work) -> None:
        options, device = work.options, work.options.device
        self.device, self.bf16, self.samples = device, options.bf16, samples(work.batches)
        self.system = build_system(work.recipe, work.dataset.info, options.seed).train()
        self.system.to(device).to(memory_format=torch.channels_last)
        self.optimizer = build_optimizer(work.recipe, self.system, device)
        self.steps = [
            (step.seen, step.heard, step.truth)
            for step in DeviceData(work.dataset, device).steps(work.batches, World())
        ]
        widest = max(work.batches, key=lambda batch: len(batch.pictures))
        longest = max(work.batches, key=lambda batch: len(batch.clips))
        with torch.no_grad():
            towers = (self.system.image, self.system.sound)
            assert towers[0] is not None
            assert towers[1] is not None
            self.pictures = towers[0].normalise(torch.from_numpy(work.dataset.pictures[widest.pictures]).to(device))
            clips = torch.from_numpy(work.dataset.clips[longest.clips]).to(device)
            spectrograms = towers[1].log_mel(self.system.augmenter.windows(clips))
        self.spectrograms = spectrograms.contiguous(memory_format=torch.channels_last)
        self.image, self.sound = towers[0].network, towers[1].network
        size = work.dataset.info.picture.size
        seen, heard = mean_shapes(work.batches)
        self.flops = seen * flops(self.image, size) + heard * flops(self.sound, size)
        if options.compile if options.compile is not None else device.type == "cuda":
            self.image.compile()
            self.sound.compile()

    def __call__(self) -> float:
        """Samples per second of one pass over the batches."""
        began = settled(self.device)
        for seen, heard, truth in self.steps:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                images, sounds = self.image(self.pictures[:seen]), self.sound(self.spectrograms[:heard])
            loss = self.system.objective(images.float(), sounds.float(), truth)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return self.samples / (settled(self.device) - began)


class Thud:
    """What `thud train` does, through its own `Trainer`."""

    def __init__(self, work: Work, run: Path) -> None:
        self.work, self.device = work, work.options.device
        self.trainer = Trainer(
            work.dataset, work.recipe, run, work.options, World(), self.device, lambda line: None
        )
        self.data = DeviceData(self.trainer.dataset, self.device)
        self.run = run

    def __call__(self) -> float:
        """Samples per second of one pass over the batches, the planning of them included."""
        with Curves(self.run, 0, click.echo) as curves:
            began = settled(self.device)
            self.trainer._train(self.data, self.work.batches, 0, curves)
            seconds = settled(self.device) - began
        return samples(self.work.batches) / (seconds + self.work.plan_seconds)

    def end_of_epoch(self) -> tuple[float, float]:
        """Seconds of validation, and of writing a checkpoint."""
        began = settled(self.device)
        self.trainer._validate()
        validated = settled(self.device)
        self.trainer._save()
        return validated - began, settled(self.device) - validated


class PairDataset(TorchDataset[Example]):
    """A picture, a spectrogram and whether they match, one pair at a time."""

    def __init__(self, work: Work) -> None:
        self.dataset, info = work.dataset, work.dataset.info
        self.pairs = draw_pairs(work.dataset, "train", (work.options.seed, 0), work.recipe.clips_per_picture)
        self.window = clip_window(work.recipe, info.clip)
        self.start = round((info.clip.before - self.window.before) * info.clip.sample_rate)
        self.log_mel = LogMel(
            info.clip.sample_rate,
            self.window.samples,
            info.picture.size,
            highest_hertz=work.recipe.highest_hertz,
        )

    def __len__(self) -> int:
        return len(self.pairs.match)

    def __getitem__(self, at: int) -> Example:
        picture = torch.from_numpy(self.dataset.pictures[self.pairs.picture[at]]).permute(2, 0, 1) / 255.0
        if torch.rand(()) < 0.5:
            picture = hflip(picture)
        picture = standardise(picture, IMAGENET_MEAN, IMAGENET_DEVIATION)
        clip = torch.from_numpy(self.dataset.clips[self.pairs.clip[at]]) / 32767.0
        with torch.no_grad():
            spectrogram: Tensor = self.log_mel(clip[None, self.start : self.start + self.window.samples])[0]
        return picture, spectrogram, torch.tensor(self.pairs.match[at])


class Straight:
    """The straightforward way, with so many workers."""

    def __init__(self, work: Work, workers: int) -> None:
        recipe, self.device = work.recipe, work.options.device
        self.image, self.sound = (
            build_network(name).train().to(self.device) for name in (recipe.image_network, recipe.sound_network)
        )
        parameters = [*self.image.parameters(), *self.sound.parameters()]
        self.optimizer = torch.optim.SGD(parameters, recipe.learning_rate)
        pairs = PairDataset(work)
        drawn = RandomSampler(pairs, replacement=True, num_samples=(len(work.batches) + 1) * recipe.batch_size)
        self.loader = DataLoader(
            pairs, recipe.batch_size, sampler=drawn, num_workers=workers, pin_memory=self.device.type == "cuda"
        )

    def __call__(self) -> float:
        """Samples per second of as many steps as the other sides take."""
        batches = iter(self.loader)
        self.step(*next(batches))
        count = 0
        began = settled(self.device)
        for batch in batches:
            self.step(*batch)
            count += len(batch[0])
        return count / (settled(self.device) - began)

    def step(self, pictures: Tensor, spectrograms: Tensor, match: Tensor) -> None:
        """One step of training."""
        pictures, spectrograms, match = (
            part.to(self.device, non_blocking=True) for part in (pictures, spectrograms, match)
        )
        images, sounds = normalize(self.image(pictures), dim=1), normalize(self.sound(spectrograms), dim=1)
        # Rounding can put a score beyond 1, which the loss refuses.
        loss = binary_cross_entropy(pair_score(images, sounds).clamp(0.0, 1.0), match)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def flops(network: nn.Module, size: int) -> float:
    """Floating point operations of one picture's forward and backward pass.

    Those of convolutions and matrix products: a multiplication and an addition are two.
    """
    empty = copy.deepcopy(network).to("meta")
    counts = {torch.ops.aten.convolution_backward: convolution_backward_flops}
    with FlopCounterMode(display=False, custom_mapping=counts) as counter:
        empty(torch.empty(2, 3, size, size, device="meta")).sum().backward()
    return float(counter.get_total_flops()) / 2


def convolution_backward_flops(
    gradient: list[int], inputs: list[int], weights: list[int], *settings: Any, **_: Any
) -> int:
    """As many as forward for each gradient that is wanted. torch's own count takes no heed of groups."""
    _, _, _, _, transposed, _, _, wanted = settings
    return int(conv_flop_count(inputs, weights, gradient, transposed) * (wanted[0] + wanted[1]))


def mean_shapes(batches: Sequence[Batch]) -> tuple[float, float]:
    """Distinct pictures and clips of a step, on average."""
    return (
        float(np.mean([len(batch.pictures) for batch in batches])),
        float(np.mean([len(batch.clips) for batch in batches])),
    )


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
    """Of each round: what else the machine did in it slowed both."""
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
        name = torch.cuda.get_device_name(place) if place.type == "cuda" else f"CPU, {threads} threads"
        kind, clip = "bf16" if options.bf16 else "fp32", data.info.clip
        print(
            f"torch {torch.__version__}, {name}, bare and thud in {kind}; {data.info.source['kind']} data, "
            f"pictures {data.info.picture.size} px, clips {clip.before + clip.after:g} s at {clip.sample_rate:,} Hz"
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
