"""The sound formats that Thud knows: their files' extensions, their media types, and what of them browsers play."""

from dataclasses import dataclass

_PCM = frozenset({"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW", "MPEG_LAYER_III"})
_FLAC = frozenset({"PCM_S8", "PCM_16", "PCM_24"})
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SoundFormat:
    """One format. `played`: the encodings inside it, as libsndfile names them, that browsers play."""

    extensions: tuple[str, ...]
    media_type: str
    played: frozenset[str]


FORMATS = {
    "WAV": SoundFormat((".wav", ".bwf"), "audio/wav", _PCM),
    "WAVEX": SoundFormat((".wav",), "audio/wav", _PCM),
    "RF64": SoundFormat((".wav", ".rf64"), "audio/wav", _PCM),
    "BW64": SoundFormat((".wav", ".bw64"), "audio/wav", _PCM),
    "W64": SoundFormat((".w64",), "audio/x-w64", _NOTHING),
    "AIFF": SoundFormat((".aif", ".aiff", ".aifc"), "audio/aiff", _NOTHING),
    "CAF": SoundFormat((".caf",), "audio/x-caf", _NOTHING),
    "AU": SoundFormat((".au", ".snd"), "audio/basic", _NOTHING),
    "FLAC": SoundFormat((".flac",), "audio/flac", _FLAC),
    "OGG": SoundFormat((".ogg", ".oga", ".opus"), "audio/ogg", frozenset({"VORBIS", "OPUS"}) | _FLAC),
    "MP3": SoundFormat((".mp3",), "audio/mpeg", frozenset({"MPEG_LAYER_III"})),
}
"""By libsndfile's name of the format, WAVEX being a WAV with another header, and BW64 an RF64.

FLAC is read with 8, 16 and 24 bits a sample, alone and in Ogg.
"""

EXTENSIONS = tuple(dict.fromkeys(extension for one in FORMATS.values() for extension in one.extensions))

# Measured with Chromium 156: `<audio>` plays what lies within, and refuses what lies outside.
_MOST_CHANNELS = 8
_LEAST_RATE, _MOST_RATE = 3_000, 768_000


def is_playable(name: str, encoding: str, channels: int, sample_rate: int) -> bool:
    """Whether browsers play a file of the format `name` with this encoding inside; measured with Chromium 156."""
    return (
        encoding in FORMATS[name].played and channels <= _MOST_CHANNELS and _LEAST_RATE <= sample_rate <= _MOST_RATE
    )
