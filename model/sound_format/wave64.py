"""Where the sound of a Wave64 (W64) file begins and ends, whatever its header claims."""

from typing import BinaryIO

from model.errors import SoundError
from model.sound_format.chunks import MOST_COPIED, W64, chunks, data_end

W64_BEGIN = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"
"""The first bytes of a Wave64."""

_MOST_DATA = 2**32 - 2**20


def w64_stream(file: BinaryIO, start: int, size: int) -> tuple[int, int, bytes]:
    """Start and end of the sound data of the Wave64 at `start`, and a header for them: that of a WAV.

    Raises SoundError where the length of the data says that some is missing, and where it has no data.
    """
    kept = b""
    for begin, name, length in chunks(file, start + len(W64_BEGIN) + 24, W64, past=size):
        if name == b"data":
            end = data_end(begin, size, length)
            if end - begin > _MOST_DATA:
                raise SoundError("a W64 of more than 4 GiB")
            riff = (12 + len(kept) + end - begin).to_bytes(4, "little")
            return begin, end, b"RIFF" + riff + b"WAVE" + kept + b"data" + (end - begin).to_bytes(4, "little")
        if name in (b"fmt ", b"fact") and length <= MOST_COPIED:
            content = file.read(length)
            kept += name + length.to_bytes(4, "little") + content + bytes(length % 2)
    raise SoundError("a W64 without sound, or cut short before it")
