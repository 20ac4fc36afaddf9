"""The sound formats that Thud knows: their files' extensions, their media types, and what of them browsers play."""

from dataclasses import dataclass

_PCM = frozenset({"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW", "MPEG_LAYER_III"})


@dataclass(frozen=True)
class SoundFormat:
    """One format. `played`: the encodings inside it, as libsndfile names them, that browsers play."""

    extensions: tuple[str, ...]
    media_type: str
    played: frozenset[str]


FORMATS = {
    "WAV": SoundFormat((".wav",), "audio/wav", _PCM),
    "WAVEX": SoundFormat((".wav",), "audio/wav", _PCM),
    "FLAC": SoundFormat((".flac",), "audio/flac", frozenset({"PCM_S8", "PCM_16", "PCM_24"})),
    "OGG": SoundFormat((".ogg", ".oga", ".opus"), "audio/ogg", frozenset({"VORBIS", "OPUS"})),
    "MP3": SoundFormat((".mp3",), "audio/mpeg", frozenset({"MPEG_LAYER_III"})),
}
"""By libsndfile's name of the format."""

EXTENSIONS = tuple(dict.fromkeys(extension for one in FORMATS.values() for extension in one.extensions))

# Measured with Chromium 156: `<audio>` plays what lies within, and refuses what lies outside.
_MOST_CHANNELS = 8
_LEAST_RATE, _MOST_RATE = 3_000, 768_000


def is_playable(name: str, encoding: str, channels: int, sample_rate: int) -> bool:
    """Whether browsers play a file of the format `name` with this encoding inside; measured with Chromium 156."""
    return (
        encoding in FORMATS[name].played and channels <= _MOST_CHANNELS and _LEAST_RATE <= sample_rate <= _MOST_RATE
    )
