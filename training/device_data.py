"""The prepared data where the networks are: on the device as a whole if it fits, else streamed to it."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.dataset import Dataset
from training.distributed import Share
from training.plan import Batch
from training.systems import Truth

READ_AHEAD = 3
RESIDENT_SHARE = 0.5
"""Of the GPU's free memory that the data may take; the rest is for the networks."""


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
    """The dataset's training side on `device`. Labels always lie there; media do where they fit.

    On the CPU the memory-mapped files are read in place. On a GPU they are copied there once, or, where they take
    more than half of its free memory, batch by batch through pinned memory by a thread that reads ahead.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.device = device
        labels = dataset.labels
        self._present = torch.from_numpy(labels.picture_materials).to(device)
        self._material = torch.from_numpy(labels.clip_material.astype(np.int64)).to(device)
        self._owner = torch.from_numpy(labels.clip_picture.astype(np.int64)).to(device)
        pictures, clips = torch.from_numpy(dataset.pictures), torch.from_numpy(dataset.clips)
        self.resident = device.type != "cuda" or pictures.nbytes + clips.nbytes <= _room(device)
        if self.resident:
            pictures, clips = pictures.to(device), clips.to(device)
        self._pictures, self._clips = pictures, clips

    def steps(self, batches: Sequence[Batch], share: Share) -> Iterator[Step]:
        """The batches in order, each process's part of them."""
        if self.resident:
            moved = _Epoch(batches, share, self.device)
            for at, batch in enumerate(batches):
                yield self._resident_step(batch, moved, at)
            return
        with ThreadPoolExecutor(1, initializer=self._use_device) as reader:
            waiting: deque[Future[Step]] = deque()
            for batch in batches:
                waiting.append(reader.submit(self._streamed_step, batch, share))
                if len(waiting) > READ_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _resident_step(self, batch: Batch, moved: "_Epoch", at: int) -> Step:
        mine, my_clips = moved.my_pictures[at], moved.my_clips[at]
        truth = self._truth(moved.pictures[at], moved.clips[at], moved.partner[at])
        return Step(
            self._pictures[mine],
            self._clips[my_clips],
            moved.picture_draws[at],
            moved.clip_draws[at],
            truth,
            len(batch.pictures),
            len(batch.clips),
            batch.samples,
        )

    def _streamed_step(self, batch: Batch, share: Share) -> Step:
        moved = _Epoch([batch], share, self.device)
        mine = torch.from_numpy(share.part(batch.pictures))
        my_clips = torch.from_numpy(share.part(batch.clips))
        return Step(
            self._sent(self._pictures[mine]),
            self._sent(self._clips[my_clips]),
            moved.picture_draws[0],
            moved.clip_draws[0],
            self._truth(moved.pictures[0], moved.clips[0], moved.partner[0]),
            len(batch.pictures),
            len(batch.clips),
            batch.samples,
        )

    def _use_device(self) -> None:
        """A thread begins on the first GPU; pinning would open a context there, beside that process's own."""
        if self.device.type == "cuda" and self.device.index is not None:
            torch.cuda.set_device(self.device)

    def _sent(self, rows: Tensor) -> Tensor:
        if self.device.type == "cuda":
            rows = rows.pin_memory()  # the copy need not wait for the CPU
        return rows.to(self.device, non_blocking=True)

    def _truth(self, pictures: Tensor, clips: Tensor, partner: Tensor) -> Truth:
        owned = self._owner[clips] == pictures[:, None]
        return Truth(self._present[pictures], self._material[clips], partner, owned, clips)


class _Epoch:
    """All index and draw arrays of the batches, moved to the device in one copy each."""

    def __init__(self, batches: Sequence[Batch], share: Share, device: torch.device) -> None:
        self.pictures = _moved([batch.pictures for batch in batches], device)
        self.clips = _moved([batch.clips for batch in batches], device)
        self.partner = _moved([batch.partner for batch in batches], device)
        self.my_pictures = _moved([share.part(batch.pictures) for batch in batches], device)
        self.my_clips = _moved([share.part(batch.clips) for batch in batches], device)
        self.picture_draws = _moved([share.part(batch.picture_draws) for batch in batches], device)
        self.clip_draws = _moved([share.part(batch.clip_draws) for batch in batches], device)


def _moved(arrays: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, ...]:
    whole = torch.from_numpy(np.concatenate(arrays)).to(device)
    return torch.split(whole, [len(array) for array in arrays])


def _room(device: torch.device) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * RESIDENT_SHARE)
