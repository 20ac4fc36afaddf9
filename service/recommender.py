"""From the bytes of a picture to the sounds that fit it, computed away from the event loop."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import anyio
import anyio.to_thread
import numpy as np
from PIL import Image

from index.answer import Answer, answer_picture
from index.search import SoundIndex
from model.bundle import load_bundle
from model.errors import BundleError, LibraryError, PictureFormatError
from model.heads import MaterialHeads
from model.picture import PictureLimits
from model.runtime import TowerRuntime
from model.threads import available_cpus, share_threads
from service.settings import Settings

PROBE_SECONDS = 5.0
"""How long the probe may take before the service counts as not ready."""

_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")


class Recommender:
    """A bundle and an index together: pictures in, sounds out, on `threads` worker threads.

    `heads` are those of the bundle, None where it has none.

    Each request is computed by one of them, which CPUs that no worker is for help in the network. With as many
    workers as CPUs each has one thread of ONNX Runtime: that serves the most requests per second, and one picture
    cannot hold up all the others.
    """

    def __init__(
        self,
        towers: TowerRuntime,
        heads: MaterialHeads | None,
        index: SoundIndex,
        limits: PictureLimits,
        threads: int,
    ) -> None:
        self.towers = towers
        self._heads = heads
        self.index = index
        self._limits = limits
        self._workers = anyio.CapacityLimiter(threads)
        self._prober = anyio.CapacityLimiter(1)

    @property
    def model_id(self) -> str:
        """The bundle's id."""
        return self.towers.bundle.id

    async def recommend(self, picture: bytes, k: int) -> Answer:
        """The `k` sounds nearest to `picture`, best first (all where the library has fewer), and what is in it.

        Raises PictureError as `model.picture.decode_picture` does.
        """
        return await anyio.to_thread.run_sync(self._compute, picture, k, limiter=self._workers)

    async def probe(self, seconds: float = PROBE_SECONDS) -> None:
        """Embed a known picture and search for it, on a thread of its own.

        Raises BundleError where that fails, TimeoutError where it takes more than `seconds`.
        """
        with anyio.fail_after(seconds):
            answer = await anyio.to_thread.run_sync(
                self._compute, _probe_picture(), 1, limiter=self._prober, abandon_on_cancel=True
            )
        if len(answer.sounds) != 1 or not np.isfinite(answer.sounds[0].found.similarity):
            raise BundleError("the probe picture was answered without a usable result")

    def _compute(self, picture: bytes, k: int) -> Answer:
        try:
            embedding = self.towers.embed_picture(picture, self._limits).embedding[0]
        except PictureFormatError as error:
            raise PictureFormatError(f"{error}{_advice(picture)}") from error
        matches = self.index.search(embedding, k)
        return answer_picture(embedding, matches, self._heads, self.towers.bundle.spec.calibration)


@contextmanager
def open_recommender(settings: Settings) -> Iterator[Recommender]:
    """Open the bundle and the index of `settings`; they are closed at the end.

    Raises BundleError or LibraryError where one of them is missing or broken, or where they do not fit.
    """
    bundle = load_bundle(settings.bundle)
    heads = MaterialHeads.load(bundle)
    index = SoundIndex.open(settings.index, bundle, threads=1, sounds=settings.sounds)
    try:
        if not index.root.is_dir():
            raise LibraryError(
                f"the sounds are not in {index.root}; say where they are with --sounds (THUD_SOUNDS)"
            )
        shares = share_threads(available_cpus(), settings.threads)
        towers = TowerRuntime(bundle, shares.intra_op)
        yield Recommender(towers, heads, index, settings.picture_limits, settings.threads)
    finally:
        index.close()


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
