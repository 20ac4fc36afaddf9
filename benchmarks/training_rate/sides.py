"""The sides of the benchmark of training: the bare networks, `thud train`, and the straightforward way."""

import copy
import time
from collections.abc import Sequence
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

from model.torch_towers.networks import build_network
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import pair_score
from training.data.dataset import Dataset
from training.data.pairs import draw_pairs
from training.loop.device_data import DeviceData
from training.loop.distributed import World
from training.loop.fit import Trainer
from training.loop.fit_options import FitOptions
from training.loop.history import Curves
from training.loop.optimizer import build_optimizer
from training.loop.plan import Batch, plan_epoch, samples
from training.systems.recipe import Recipe, clip_window
from training.systems.systems import build_system

IMAGENET_MEAN, IMAGENET_DEVIATION = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

Example = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Work:
    """What all sides train: a recipe on a dataset, the batches, and the seconds that planning them took."""

    dataset: Dataset
    recipe: Recipe
    options: FitOptions
    batches: list[Batch]
    plan_seconds: float

    @classmethod
    def of(cls, dataset: Dataset, recipe: Recipe, options: FitOptions, steps: int) -> "Work":
        """Plan `steps` batches, of as many epochs as needed."""
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
    """The time, once the device has finished all its work."""
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
    """The forward count for each gradient that is asked for; torch's own count ignores groups."""
    _, _, _, _, transposed, _, _, wanted = settings
    return int(conv_flop_count(inputs, weights, gradient, transposed) * (wanted[0] + wanted[1]))


def mean_shapes(batches: Sequence[Batch]) -> tuple[float, float]:
    """Distinct pictures and clips of a step, on average."""
    return (
        float(np.mean([len(batch.pictures) for batch in batches])),
        float(np.mean([len(batch.clips) for batch in batches])),
    )
