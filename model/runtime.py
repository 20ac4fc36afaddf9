"""Running a bundle's towers on ONNX Runtime alone: pictures and sounds in, embeddings out."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bundle import IMAGE_TOWER, SOUND_TOWER, Bundle
from model.clip import cut_clip, find_hit, loudness_of_hit
from model.errors import BundleError
from model.picture import PictureLimits, picture_array
from model.sound import Samples, SoundLimits, decode_sound

# ONNX Runtime's own builds report usage to their maker unless told not to before they are loaded. What people
# show to Thud is theirs.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

Embeddings = npt.NDArray[np.float32]

_EXACT = "session.x64quantprecision"


@dataclass(frozen=True)
class PictureEmbeddings:
    """`embedding [B, 128]`, L2-normalised, and `cells [B, rows, columns, 128]` where the tower has them."""

    embedding: Embeddings
    cells: Embeddings | None


@dataclass(frozen=True)
class EmbeddedSound:
    """A sound file's embedding `[128]` with what was learnt about the file on the way."""

    embedding: Embeddings
    hit: float
    seconds: float
    sample_rate: int
    channels: int
    format: str
    peak: float
    loudness: float


def session_options(threads: int, *, spinning: bool = False, exact: bool = False) -> onnxruntime.SessionOptions:
    """Options of a session that computes each call on `threads` threads, the caller's among them.

    With `spinning`, the others wait for their next piece of work without letting go of their CPU, which is what
    ONNX Runtime does unless told otherwise: a lone call is answered sooner, others get less done meanwhile.
    `exact`: where the fastest 8-bit kernels of an x86 processor cut sums off at 16 bits, take slower ones.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1  # the towers are chains: there is nothing to compute side by side
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_session_config_entry(_EXACT, str(int(exact)))
    return options


class TowerRuntime:
    """Both towers of a bundle, each loaded when first used (serving never loads the sound tower).

    `threads` is ONNX Runtime's intra-op count. Calls are safe from several threads at once. The same input
    gives the same embedding on the same machine with the same versions, and in 8 bits the same sums on any: a tower
    whose sums this processor's fastest kernels cut off is computed by exact ones.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self._threads = threads

    @cached_property
    def precision(self) -> str:
        """In what the image tower computes here, for people: `float32`, `int8`, or `int8 by exact kernels`.

        Which kernels ONNX Runtime chose for this processor it does not say. `int8` means that on a picture of noise
        they gave, bit by bit, what the exact ones give.
        """
        if self.bundle.spec.precision != "int8":
            return "float32"
        exact = self._image_session.get_session_options().get_session_config_entry(_EXACT) == "1"
        return "int8 by exact kernels" if exact else "int8"

    def embed_pictures(self, pictures: npt.NDArray[np.uint8]) -> PictureEmbeddings:
        """Embed uint8 `[B, size, size, 3]` pictures that `fit_picture` brought to the bundle's size."""
        outputs = self._run(self._image_session, IMAGE_TOWER, {"pictures": pictures})
        return PictureEmbeddings(outputs[0], outputs[1] if len(outputs) > 1 else None)

    def embed_clips(self, clips: Samples) -> Embeddings:
        """Embed float32 `[B, samples]` clips to float32 `[B, 128]`."""
        return self._run(self._sound_session, SOUND_TOWER, {"clips": clips})[0]

    def embed_picture(self, data: bytes, limits: PictureLimits = PictureLimits()) -> PictureEmbeddings:
        """Embed one picture from its bytes (B = 1). Raises PictureError as `picture_array` does."""
        spec = self.bundle.spec.picture
        return self.embed_pictures(picture_array(data, spec.size, spec.resize, limits)[None])

    def embed_sound(self, path: Path, limits: SoundLimits = SoundLimits()) -> EmbeddedSound:
        """Embed one sound file by the clip around its hit. Raises SoundError as `decode_sound` does."""
        spec = self.bundle.spec.clip
        sound = decode_sound(path, spec.sample_rate, limits)
        hit = find_hit(sound.samples, spec.sample_rate)
        clip = cut_clip(sound.samples, spec.sample_rate, hit, spec.before, spec.after)
        return EmbeddedSound(
            embedding=self.embed_clips(clip[None])[0],
            hit=hit,
            seconds=sound.seconds,
            sample_rate=sound.file_sample_rate,
            channels=sound.file_channels,
            format=sound.file_format,
            peak=sound.peak,
            loudness=loudness_of_hit(sound.samples, spec.sample_rate, hit),
        )

    @cached_property
    def _image_session(self) -> onnxruntime.InferenceSession:
        return self._session(IMAGE_TOWER)

    @cached_property
    def _sound_session(self) -> onnxruntime.InferenceSession:
        return self._session(SOUND_TOWER)

    def _run(
        self, session: onnxruntime.InferenceSession, tower: str, inputs: dict[str, npt.NDArray[Any]]
    ) -> list[Embeddings]:
        try:
            outputs: list[Embeddings] = session.run(None, inputs)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise BundleError(f"{self.bundle.file(tower)} does not take its input: {error}") from error
        return outputs

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        session = self._open(name)
        if self.bundle.spec.precision != "int8":
            return session
        exact = self._open(name, exact=True)
        (given,) = session.get_inputs()
        noise = np.random.default_rng(0).integers(0, 256, (1, *given.shape[1:]))
        inputs = {given.name: noise.astype(np.uint8 if name == IMAGE_TOWER else np.float32)}
        outputs = (self._run(one, name, inputs) for one in (session, exact))
        return session if all(map(np.array_equal, *outputs)) else exact

    def _open(self, name: str, *, exact: bool = False) -> onnxruntime.InferenceSession:
        options = session_options(self._threads, exact=exact)
        # From bytes that were checked: by a path it would read what lies there now, and weights of files beside it.
        tower = self.bundle.read(name)
        try:
            return onnxruntime.InferenceSession(tower, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise BundleError(f"{self.bundle.file(name)} cannot be loaded: {error}") from error
