"""From the bytes of a picture to the sounds that fit it."""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from typing import Self

import numpy as np
from PIL import Image

from index.answer import Answer, answer_picture
from index.search import SoundIndex
from model.bundle import load_bundle
from model.errors import BundleError, LibraryError, PictureFormatError, SoundsAwayError
from model.heads import MaterialHeads
from model.picture import PictureLimits, Region, picture_array
from model.runtime import TowerRuntime
from model.threads import available_cpus, share_threads
from service.load import PixelRoom
from service.settings import Settings

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


@dataclass(frozen=True)
class Stages:
    """Seconds that each stage of computing an answer took; `room`, waiting for other large pictures to go."""

    room: float
    decode: float
    network: float
    search: float


class Recommender:
    """A bundle and an index together: pictures in, sounds out. Safe to use from several threads.

    `heads` are those of the bundle, None where it has none. Each picture is computed by the thread that asks, which
    CPUs that no such thread is for help in the network. With as many threads as CPUs each has one thread of ONNX
    Runtime: that serves the most requests per second, and one picture cannot hold up all the others. `room` bounds
    the pixels that all threads together decode.
    """

    def __init__(
        self,
        towers: TowerRuntime,
        heads: MaterialHeads | None,
        index: SoundIndex,
        limits: PictureLimits,
        room: PixelRoom,
    ) -> None:
        self.towers = towers
        self._heads = heads
        self.index = index
        self._limits = limits
        self.room = room

    @classmethod
    def open(cls, settings: Settings, room: PixelRoom) -> Self:
        """Open the bundle and the index of `settings`; pictures are decoded as there is `room`.

        Raises BundleError or LibraryError where one of them is missing or broken, or where they do not fit.
        """
        bundle = load_bundle(settings.bundle)
        heads = MaterialHeads.load(bundle)
        index = SoundIndex.open(settings.index, bundle, threads=1, sounds=settings.sounds)
        try:
            index.check_sounds()
        except SoundsAwayError as error:
            index.close()
            raise LibraryError(f"{error}; say where the sounds are with --sounds (THUD_SOUNDS)") from error
        shares = share_threads(available_cpus(), settings.threads * settings.workers)
        return cls(TowerRuntime(bundle, shares.intra_op), heads, index, settings.picture_limits, room)

    @property
    def model_id(self) -> str:
        """The bundle's id."""
        return self.towers.bundle.id

    def recommend(
        self, picture: bytes, k: int, part: Region | None = None, until: float = math.inf
    ) -> tuple[Answer, Stages]:
        """The `k` sounds nearest to `picture`, best first (all where the library has fewer), and what is in it.

        With a `part`, of that alone. Raises PictureError as `model.picture.picture_array` does, and ProblemError
        (503) where there is no room to decode a large picture `until` then, of `time.monotonic`.
        """
        spec = self.towers.bundle.spec
        waited = 0.0

        @contextmanager
        def room(size: int) -> Iterator[None]:
            nonlocal waited
            came = perf_counter()
            with self.room.take(size, until):
                waited = perf_counter() - came
                yield

        began = perf_counter()
        try:
            pixels = picture_array(picture, spec.picture.size, spec.picture.resize, self._limits, part, room)
        except PictureFormatError as error:
            raise PictureFormatError(f"{error}{_advice(picture)}") from error
        decoded = perf_counter()
        embedding = self.towers.embed_pictures(pixels[None]).embedding[0]
        embedded = perf_counter()
        matches = self.index.search(embedding, k)
        answer = answer_picture(embedding, matches, self._heads, spec.calibration)
        return answer, Stages(waited, decoded - began - waited, embedded - decoded, perf_counter() - embedded)

    def probe(self) -> None:
        """Embed a known picture and search for it. Raises BundleError or LibraryError where that fails."""
        answer, _ = self.recommend(_probe_picture(), 1)
        if len(answer.sounds) != 1 or not np.isfinite(answer.sounds[0].found.similarity):
            raise BundleError("the probe picture was answered without a usable result")

    def close(self) -> None:
        """Close the index."""
        self.index.close()


@cache
def _probe_picture() -> bytes:
    # Small enough for any limits that `Settings` accepts.
    gradient = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
    buffer = io.BytesIO()
    gradient.save(buffer, "PNG")
    return buffer.getvalue()


def _advice(picture: bytes) -> str:
    if picture[4:8] == b"ftyp" and picture[8:12] in _HEIC_BRANDS:
        return "; this is HEIC, which iPhones save: share or export it as JPEG and send that"
    return "; convert it to one of these and send it again"
