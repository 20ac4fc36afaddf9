"""Pooled features of labelled pictures and sounds.

Computing them takes most of the time of making a bundle, so they are kept in files and read again where the media
files, the network and the preprocessing are the same.
"""

import hashlib
import json
import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.atomic import atomic_file
from model.bundle import ClipSpec, PictureSpec
from model.errors import PictureError, SoundError, TrainingError
from model.files import read_arrays
from model.hit import cut_clip, find_hit
from model.picture import picture_array
from model.progress import Progress, progress
from model.sound import Samples, decode_sound
from model.torch_towers.networks import ImagenetNormalise, PooledNetwork, build_network
from training.pretraining.kernels import kernels_fixed
from training.pretraining.pooling import pool
from training.systems.imagenet import load_imagenet_weights

Pictures = npt.NDArray[np.uint8]
Clips = npt.NDArray[np.float32]

IMAGENET_CLASSES = 1000
_BATCH = 32
_MOST_AT_ONCE = 8
"""A batch of pictures takes a few hundred megabytes."""


def pretrained_network(name: str) -> PooledNetwork:
    """The network `name` with ImageNet's weights, its last layer included, in evaluation mode."""
    network = build_network(name, outputs=IMAGENET_CLASSES)
    load_imagenet_weights(network, name, last_layer=True)
    if not isinstance(network, PooledNetwork):
        raise TrainingError(f"{name} has no pooled features; choose a network that is a feature map and one layer")
    return network.eval()


class PictureFeatures(nn.Module):
    """Pictures uint8 `[B, size, size, 3]` to features `[B, F]`, pooled with the weight `centre` for the middle."""

    def __init__(self, network: PooledNetwork, centre: float = 0.0) -> None:
        super().__init__()
        self.centre = centre
        self.normalise, self.features = ImagenetNormalise(), network.features

    def forward(self, pictures: Tensor) -> Tensor:
        """Features `[B, F]`."""
        maps: Tensor = self.features(self.normalise(pictures))
        return pool(maps.permute(0, 2, 3, 1), self.centre) if self.centre else maps.mean(dim=(2, 3))


def read_pictures(paths: tuple[Path, ...], spec: PictureSpec) -> Iterator[Pictures | None]:
    """Each file as uint8 `[size, size, 3]`, None for one that cannot be read."""
    for path in paths:
        try:
            picture = picture_array(path.read_bytes(), spec.size, spec.resize)
        except (PictureError, OSError):
            picture = None
        yield picture


def read_clips(paths: tuple[Path, ...], spec: ClipSpec) -> Iterator[Clips | None]:
    """The clip around each file's hit, float32 `[samples]`, None for a file that cannot be read."""
    for path in paths:
        try:
            clip = clip_of(decode_sound(path, spec.sample_rate).samples, spec)
        except SoundError:
            clip = None
        yield clip


def clip_of(samples: Samples, spec: ClipSpec) -> Clips:
    """The clip of `spec` around the hit in `samples`."""
    return cut_clip(samples, spec.sample_rate, find_hit(samples, spec.sample_rate), spec.before, spec.after)


def features_of(
    module: nn.Module, inputs: Iterator[npt.NDArray[np.generic] | None], count: int, what: str, at_once: int = 1
) -> Tensor:
    """Features `[count, F]` of `count` inputs; those of None are NaN.

    `at_once` batches, at most eight, are in memory and computed at a time, each by one thread where there are
    several; how many does not change the features. Raises TrainingError where all of the inputs are None.
    """
    found: list[Tensor] = []
    there = torch.zeros(count, dtype=torch.bool)
    waiting: deque[Future[Tensor]] = deque()
    at_once, threads = min(at_once, _MOST_AT_ONCE), torch.get_num_threads()

    def compute(batch: npt.NDArray[np.generic]) -> Tensor:
        with torch.inference_mode():
            features: Tensor = module(torch.from_numpy(batch))
        return features

    with progress(what, count, "file") as bar:
        executor = ThreadPoolExecutor(at_once)
        try:
            torch.set_num_threads(threads if at_once == 1 else 1)
            for batch in _batches(inputs, there, bar):
                waiting.append(executor.submit(compute, batch))
                if len(waiting) > at_once:
                    found.append(waiting.popleft().result())
            found += [one.result() for one in waiting]
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            torch.set_num_threads(threads)
    if not found:
        raise TrainingError(f"none of the {count:,} {what} can be read")
    features = torch.full((count, found[0].shape[1]), torch.nan)
    features[there] = torch.cat(found)
    return features


def _batches(
    inputs: Iterator[npt.NDArray[np.generic] | None], there: Tensor, bar: Progress
) -> Iterator[npt.NDArray[np.generic]]:
    """Inputs `[B, ...]` that are not None; `there [N]` becomes which these are."""
    batch: list[npt.NDArray[np.generic]] = []
    for number, one in enumerate(inputs):
        if one is not None:
            batch.append(one)
            there[number] = True
        if batch and (len(batch) == _BATCH or number == len(there) - 1):
            yield np.stack(batch)
            batch = []
        bar.update()


def cached(file: Path, identity: dict[str, object], rows: int, compute: Callable[[], Tensor]) -> Tensor:
    """The result `[rows, F]` of `compute`, from `file` where it was computed for the same `identity` before.

    Where the kernels are not fixed, what was computed with fixed ones is taken, too, but never the other way round:
    a second file is written then.
    """
    made_by = {"machine": platform.machine(), "torch": torch.__version__, "numpy": np.__version__}
    digest = hashlib.sha256(json.dumps({**identity, **made_by}, sort_keys=True).encode()).hexdigest()
    places = [file] if kernels_fixed() else [file, file.with_stem(f"{file.stem}-any-kernels")]
    for place in places:
        try:
            stored = read_arrays(place, ("identity", "features"))
        except (OSError, ValueError):
            continue  # a file that is not there or cannot be read is computed anew
        features = stored["features"]
        if str(stored["identity"]) == digest and features.dtype == np.float32 and features.shape[:1] == (rows,):
            return torch.from_numpy(features)
    found = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(places[-1]) as aside, aside.open("wb") as out:
        np.savez(out, identity=np.array(digest), features=found.numpy())
    return found


def contents(paths: Sequence[Path]) -> list[str]:
    """SHA-256 of each file: features are reused for the same content, wherever the files are."""
    digests = []
    for path in paths:
        try:
            with path.open("rb") as handle:
                digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
        except OSError:
            digests.append("cannot be read")
    return digests
