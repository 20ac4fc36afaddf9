"""Running a bundle's towers on ONNX Runtime alone: pictures and sounds in, embeddings out."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bundle import IMAGE_TOWER, SOUND_TOWER, SPEC_FILE, Bundle
from model.errors import BundleError
from model.hit import brightness, cut_clip, find_hit, loudness_of_hit
from model.hits import find_hits
from model.picture import picture_array
from model.picture_format import PictureLimits
from model.sound import Samples, SoundLimits, decode_sound

# Some builds of ONNX Runtime send usage data to their maker unless this is set before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

Embeddings = npt.NDArray[np.float32]

_EXACT = "session.x64quantprecision"


@dataclass(frozen=True)
class PictureEmbeddings:
    """`embedding [B, 128]`, L2-normalised, and what the tower has besides.

    `cells [B, rows, columns, 128]`; `objects [B, O]`: probabilities of the everyday objects that the bundle names.
    """

    embedding: Embeddings
    cells: Embeddings | None
    objects: Embeddings | None


@dataclass(frozen=True)
class EmbeddedSound:
    """A sound file's L2-normalised embeddings `[h, 128]`, with what decoding found out about the file.

    One embedding for each of its `hits`, which are in seconds and rise; `hit` is the main one of them. `ends [h]`
    are the seconds until which they are to be played. `seconds`,
    `sample_rate` (Hz), `channels` and `format` are the file's, and `playable` says whether browsers play it as it
    is. `peak` is relative to full scale, `loudness` of the main hit in LUFS, `brightness` the spectral centroid of
    its clip in Hz.
    """

    embeddings: Embeddings
    hits: tuple[float, ...]
    hit: float
    ends: tuple[float, ...]
    seconds: float
    sample_rate: int
    channels: int
    format: str
    playable: bool
    peak: float
    loudness: float
    brightness: float

    @property
    def embedding(self) -> Embeddings:
        """The embedding `[128]` of the main hit."""
        found: Embeddings = self.embeddings[self.hits.index(self.hit)]
        return found


@dataclass(frozen=True)
class DecodedSound:
    """A sound file before it is embedded: the clips `[samples]` of its hits, and the fields of `EmbeddedSound`."""

    clips: tuple[Samples, ...]
    facts: dict[str, Any]


def session_options(threads: int, *, spinning: bool = False, exact: bool = False) -> onnxruntime.SessionOptions:
    """Options of a session that computes each call on `threads` threads, the caller's included.

    `spinning`: idle threads keep their CPU while they wait for work, ONNX Runtime's default. A single call is
    answered sooner, but others get less done meanwhile.
    `exact`: take slower kernels where the fastest 8-bit kernels of an x86 processor saturate sums at 16 bits.
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

    `threads` is ONNX Runtime's intra-op count. Calls are safe from several threads at once. The same input gives
    the same embedding on the same machine with the same versions. In 8 bits the sums are the same on every
    processor: where the fastest kernels of this one saturate, exact kernels are used.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self._threads = threads

    @cached_property
    def precision(self) -> str:
        """The precision in which the image tower computes here: `float32`, `int8`, or `int8 by exact kernels`.

        ONNX Runtime does not say which kernels it chose for this processor. `int8` means that for a picture of
        noise they gave bit by bit the result of the exact kernels.
        """
        if self.bundle.spec.precision != "int8":
            return "float32"
        exact = self._image_session.get_session_options().get_session_config_entry(_EXACT) == "1"
        return "int8 by exact kernels" if exact else "int8"

    def embed_pictures(self, pictures: npt.NDArray[np.uint8]) -> PictureEmbeddings:
        """Embed uint8 `[B, size, size, 3]` pictures that `fit_picture` brought to the bundle's size.

        They are computed together, or one after another by a tower that was exported for one picture at a time.
        """
        count = len(pictures) if self._image_session.get_inputs()[0].shape[0] == 1 else 1
        parts = [
            self._run(self._image_session, IMAGE_TOWER, {"pictures": part}) for part in np.split(pictures, count)
        ]
        outputs = parts[0] if count == 1 else [np.concatenate(each) for each in zip(*parts, strict=True)]
        named = dict(zip(self._image_outputs, outputs, strict=True))
        return PictureEmbeddings(named["embedding"], named.get("cells"), named.get("objects"))

    def embed_clips(self, clips: Samples) -> Embeddings:
        """Embed float32 `[B, samples]` clips to float32 `[B, 128]`."""
        return self._run(self._sound_session, SOUND_TOWER, {"clips": clips})[0]

    def embed_picture(self, data: bytes, limits: PictureLimits = PictureLimits()) -> PictureEmbeddings:
        """Embed one picture from its bytes (B = 1). Raises PictureError as `picture_array` does."""
        spec = self.bundle.spec.picture
        return self.embed_pictures(picture_array(data, spec.size, spec.resize, limits)[None])

    def embed_sound(self, path: Path, limits: SoundLimits = SoundLimits()) -> EmbeddedSound:
        """Embed one sound file by the clips around its hits. Raises SoundError as `decode_sound` does."""
        return self.embed_decoded(self.decode(path, limits))

    def decode(self, path: Path, limits: SoundLimits = SoundLimits()) -> DecodedSound:
        """All of `embed_sound` but for the tower. Raises SoundError as `decode_sound` does."""
        spec = self.bundle.spec.clip
        sound = decode_sound(path, spec.sample_rate, limits)
        hits = find_hits(sound.samples, spec.sample_rate)
        clips = tuple(cut_clip(sound.samples, spec.sample_rate, one, spec.before, spec.after) for one in hits.times)
        return DecodedSound(
            clips=clips,
            facts={
                "hits": hits.times,
                "hit": hits.main,
                "ends": hits.ends,
                "seconds": sound.seconds,
                "sample_rate": sound.file_sample_rate,
                "channels": sound.file_channels,
                "format": sound.file_format,
                "playable": sound.playable,
                "peak": sound.peak,
                "loudness": loudness_of_hit(sound.samples, spec.sample_rate, hits.main),
                "brightness": brightness(clips[hits.times.index(hits.main)], spec.sample_rate),
            },
        )

    def embed_main_hit(self, source: Path | bytes, limits: SoundLimits = SoundLimits()) -> Embeddings:
        """Embed a sound file, or its bytes, by the clip around its main hit alone: float32 `[128]`.

        Raises SoundError as `decode_sound` does.
        """
        spec = self.bundle.spec.clip
        samples = decode_sound(source, spec.sample_rate, limits).samples
        hit = find_hit(samples, spec.sample_rate)
        clip = cut_clip(samples, spec.sample_rate, hit, spec.before, spec.after)
        embedding: Embeddings = self.embed_clips(clip[None])[0]
        return embedding

    def embed_decoded(self, sound: DecodedSound) -> EmbeddedSound:
        """The rest of `embed_sound`."""
        # One by one: in a batch the last bits may differ, and it is not faster.
        embeddings = np.concatenate([self.embed_clips(clip[None]) for clip in sound.clips])
        return EmbeddedSound(embeddings=embeddings, **sound.facts)

    @cached_property
    def _image_session(self) -> onnxruntime.InferenceSession:
        return self._session(IMAGE_TOWER)

    @cached_property
    def _image_outputs(self) -> list[str]:
        """The names of the image tower's outputs. Raises BundleError where they are not those of the bundle."""
        outputs = {one.name: one.shape for one in self._image_session.get_outputs()}
        spec = self.bundle.spec
        objects = None if spec.objects is None else len(spec.objects.names)
        if "embedding" not in outputs or outputs.get("objects", [None])[-1] != objects:
            raise BundleError(f"{self.bundle.file(IMAGE_TOWER)} does not have the outputs that {SPEC_FILE} says")
        return list(outputs)

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
        # From checked bytes: from a path, it would read the file as it is now, and weights from files beside it.
        tower = self.bundle.read(name)
        try:
            return onnxruntime.InferenceSession(tower, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise BundleError(f"{self.bundle.file(name)} cannot be loaded: {error}") from error
