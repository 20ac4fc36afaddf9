"""Sounds as files, for the tests of the file formats."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import soundfile

RATE = 22_050
Make = Callable[[], bytes]


def noise(seconds: float, level: float = 0.3, rate: int = RATE, channels: int = 1) -> npt.NDArray[np.float32]:
    samples = level * np.random.default_rng(0).standard_normal((round(seconds * rate), channels)).clip(-3, 3)
    return samples.astype(np.float32)


def encoded(kind: str, samples: npt.NDArray[np.float32], rate: int = RATE, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def id3(content: bytes) -> bytes:
    """An ID3v2 tag around `content`."""
    size = bytes(len(content) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + content


ID3V2_3 = id3(bytes(range(1, 100)))
