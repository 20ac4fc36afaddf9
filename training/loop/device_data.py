"""The prepared data on the device that trains: all of it if it fits, else sent batch by batch."""

import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data.dataset import Dataset
from training.loop.device import numbered
from training.loop.distributed import World
from training.loop.plan import Batch
from training.systems.systems import Truth

READ_AHEAD = 3
"""Batches that are read before they are needed, where data is sent batch by batch."""
RESIDENT_SHARE = 0.5
"""Share of the GPU's free memory that the data may take; the rest is for the networks."""


class Step(NamedTuple):
    """One process's part of a batch on its device, and the truth about the whole batch."""

    pictures: Tensor  # uint8 [p, size, size, 3]
    clips: Tensor  # int16 [b, samples]
    picture_draws: Tensor  # float32 [p, draws]
    clip_draws: Tensor  # float32 [b, draws]
    truth: Truth
    seen: int  # P, pictures of the whole batch
    heard: int  # B, clips of the whole batch
    samples: int


class DeviceData:
    """A dataset's pictures, clips and labels for training on `device`. Labels are always there.

    On the CPU the memory-mapped files are read in place. On a GPU pictures and clips are copied there once, or,
    where they would take more than half of its free memory, batch by batch through pinned memory by a thread that
    reads ahead.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.device = device = numbered(device)
        labels = dataset.labels
        self._present = torch.from_numpy(labels.picture_materials).to(device)
        self._possible = torch.from_numpy(labels.picture_all_materials).to(device)
        self._material = torch.from_numpy(labels.clip_material.astype(np.int64)).to(device)
        self._owner = torch.from_numpy(labels.clip_picture.astype(np.int64)).to(device)
        with warnings.catch_warnings():
            # The files are mapped to be read; nothing writes to the tensors.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
            pictures, clips = torch.from_numpy(dataset.pictures), torch.from_numpy(dataset.clips)
        self.resident = fits(device, pictures.nbytes + clips.nbytes)
        if self.resident:
            pictures, clips = pictures.to(device), clips.to(device)
        self._pictures, self._clips = pictures, clips

    def steps(self, batches: Sequence[Batch], world: World) -> Iterator[Step]:
        """The batches in order, each process's part of them."""
        moved = _Epoch(batches, world, self.device)
        if self.resident:
            media: Iterator[tuple[Tensor, Tensor]] = (
                (self._pictures[seen], self._clips[heard]) for seen, heard in zip(*moved.mine, strict=True)
            )
        else:
            media = self._streamed(batches, world)
        for at, (batch, (pictures, clips)) in enumerate(zip(batches, media, strict=True)):
            yield Step(
                pictures,
                clips,
                moved.picture_draws[at],
                moved.clip_draws[at],
                self._truth(moved.pictures[at], moved.clips[at], moved.partner[at]),
                len(batch.pictures),
                len(batch.clips),
                batch.samples,
            )

    def _streamed(self, batches: Sequence[Batch], world: World) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures and clips of each batch; a thread reads some batches ahead into pinned memory."""
        with ThreadPoolExecutor(1) as reader:
            waiting: deque[Future[tuple[Tensor, Tensor]]] = deque()
            for batch in batches:
                waiting.append(reader.submit(self._read, batch, world))
                if len(waiting) > READ_AHEAD:
                    yield self._sent(waiting.popleft().result())
            while waiting:
                yield self._sent(waiting.popleft().result())

    def _read(self, batch: Batch, world: World) -> tuple[Tensor, Tensor]:
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # of this thread; a new one begins on the first GPU
        media = (self._pictures[world.scatter(batch.pictures)], self._clips[world.scatter(batch.clips)])
        return (media[0].pin_memory(), media[1].pin_memory()) if self.device.type == "cuda" else media

    def _sent(self, media: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The copy runs on the stream that computes: after the steps before it; the CPU does not wait."""
        return media[0].to(self.device, non_blocking=True), media[1].to(self.device, non_blocking=True)

    def _truth(self, pictures: Tensor, clips: Tensor, partner: Tensor) -> Truth:
        owned = self._owner[clips] == pictures[:, None]
        present, possible = self._present[pictures], self._possible[pictures]
        return Truth(present, possible, self._material[clips], partner, owned, clips)


class _Epoch:
    """All index and draw arrays of the batches, moved to the device in one copy each."""

    def __init__(self, batches: Sequence[Batch], world: World, device: torch.device) -> None:
        self.pictures = _moved([batch.pictures for batch in batches], device)
        self.clips = _moved([batch.clips for batch in batches], device)
        self.partner = _moved([batch.partner for batch in batches], device)
        self.mine = (
            _moved([world.scatter(batch.pictures) for batch in batches], device),
            _moved([world.scatter(batch.clips) for batch in batches], device),
        )
        self.picture_draws = _moved([world.scatter(batch.picture_draws) for batch in batches], device)
        self.clip_draws = _moved([world.scatter(batch.clip_draws) for batch in batches], device)


def _moved(arrays: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, ...]:
    whole = torch.from_numpy(np.concatenate(arrays)).to(device)
    return torch.split(whole, [len(array) for array in arrays])


def fits(device: torch.device, size: int) -> bool:
    """Whether `size` bytes of pictures and clips are kept on the device: not if they fill a GPU too much.

    On the CPU they are read where they are mapped, and Apple's GPU shares the machine's memory.
    """
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return size <= free * RESIDENT_SHARE
