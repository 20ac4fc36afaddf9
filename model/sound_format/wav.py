"""Where the sound of a WAV, RF64 or BW64 file begins and ends, whatever its header claims."""

import itertools
from typing import BinaryIO

from model.errors import SoundError
from model.sound_format.chunks import IN_DS64, MOST_COPIED, RIFF, RIFX, Layout, chunks, is_unknown
from model.sound_format.mpeg import mpeg_frames

# The number of the format MPEG layer III inside a WAV.
_WAV_MP3 = 0x55
# RF64 and BW64 have this in place of their lengths, which stand in their first chunk, `ds64`, in 64 bits.
_LONG = (b"RF64", b"BW64")


def wav_stream(file: BinaryIO, start: int, size: int, max_seconds: float) -> tuple[int, int, bytes]:
    """Start and end of the sound data of the WAV at `start`, and a header for them with the true length.

    The header is that of a WAV, with the chunks that a decoder needs. For MPEG layer III inside, it also holds the
    frames as `mpeg_frames` gives them, and start and end are equal. Raises SoundError where the length of the data
    says that some is missing, and where more data follow. The length of the whole file is not trusted, as many
    programs get it wrong, and what else comes after the data does not matter.
    """
    file.seek(start)
    head = file.read(12)
    layout = RIFX if head[:4] == b"RIFX" else RIFF
    order = layout.order
    file_length, long_data, width = int.from_bytes(head[4:8], order), IN_DS64, 4
    kept, frame, mp3 = b"", 1, False
    for at, name, length in chunks(file, start + 12, layout):
        if name == b"ds64" and head[:4] in _LONG:
            file.seek(at)
            fields = file.read(16)
            file_length, long_data = int.from_bytes(fields[:8], order), int.from_bytes(fields[8:], order)
        elif name == b"data":
            if length == IN_DS64 and long_data != IN_DS64:
                length, width = long_data, 8  # noqa: PLW2901
            following = _next_data(file, at, size, layout)
            if following and length:
                raise SoundError(f"has two data chunks: more sound stands behind {length:,} bytes of it")
            data_start, declared = following or (at, length)
            # One of the two lengths is that of the whole file: so nothing is missing.
            whole = bool({file_length, declared} & {size - start, size - start - 8})
            # What is written ahead of the data counts in a field of 32 bits, too.
            most = 0xFFFFFFFF - len(kept) - 20
            unknown = is_unknown(declared, width)
            data = min(_data_length(file, data_start, size, declared, frame, layout, whole, unknown), most)
            frames = mpeg_frames(file, data_start, data_start + data, max_seconds) if mp3 else b""
            begin, end = data_start + (data if frames else 0), data_start + data
            data = len(frames) or data
            riff = (12 + len(kept) + data).to_bytes(4, order)
            magic = b"RIFF" if head[:4] in _LONG else head[:4]
            return begin, end, magic + riff + head[8:] + kept + b"data" + data.to_bytes(4, order) + frames
        elif name in (b"fmt ", b"fact") and length <= MOST_COPIED:
            file.seek(at)
            chunk = file.read(length)
            kept += name + length.to_bytes(4, order) + chunk + bytes(length % 2)
            if name == b"fmt ":
                channels, bits = int.from_bytes(chunk[2:4], order), int.from_bytes(chunk[14:16], order)
                frame = max(1, channels * bits // 8)
                mp3 = int.from_bytes(chunk[:2], order) == _WAV_MP3
    if file_length + 8 > size - start and not is_unknown(file_length):
        raise SoundError(f"cut short: {size:,} of {file_length + 8:,} bytes are there, and no sound among them")
    return start, size, b""


def _data_length(
    file: BinaryIO,
    at: int,
    size: int,
    declared: int,
    frame: int,
    layout: Layout,
    whole: bool,
    unknown: bool,
) -> int:
    """The bytes of sound from `at` on, in frames of `frame` bytes, where the header declares `declared`.

    `whole`: the length of the file says that nothing is missing; `unknown`: `declared` stands for "not known".
    """
    available = size - at
    if declared > available:
        if not (whole or unknown or declared - available < frame):
            raise SoundError(f"cut short: {available:,} of {declared:,} bytes of sound are there")
        return available
    if unknown or (declared == 0 and not _ends_in_chunks(file, at, size, layout)):
        return available
    return declared


def _ends_in_chunks(file: BinaryIO, at: int, size: int, layout: Layout) -> bool:
    """Whether everything from `at` to the end of the file is whole chunks."""
    for start, name, length in chunks(file, at, layout):
        if not name.decode("latin-1").isprintable() or start + length > size:
            return False
        at = start + length
    return at >= size - 1


def _next_data(file: BinaryIO, at: int, size: int, layout: Layout) -> tuple[int, int] | None:
    """Start and length of the content of the next `data` chunk after the one whose content begins at `at`.

    None where no later chunk has sound. Raises SoundError where a WAV file follows.
    """
    found = None
    for start, name, length in itertools.islice(chunks(file, at - 8, layout), 1, None):
        if name == b"data":
            found = start, length
            if length:
                return found
        elif name in (b"RIFF", b"RIFX"):
            raise SoundError("joined from several WAV files, of which only the first could be read")
        elif not name.decode("latin-1").isprintable() or start + length > size:
            return found  # after an empty chunk: its sound is whatever follows it
    return None
