"""Where the sound of an AIFF, CAF or AU file begins and ends, whatever its header claims."""

from typing import BinaryIO

from model.errors import SoundError
from model.sound_format.chunks import AIFF, CAF, MOST_COPIED, ByteOrder, chunks, data_end, is_unknown

# By the compression that an AIFC names, whether a frame has `channels * bits` bits; AIFF has no compression.
_PLAIN = (b"", b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64", b"42ni")
_AU_HEAD = 24


def aiff_stream(file: BinaryIO, start: int, size: int) -> tuple[int, int, bytes]:
    """Start and end of the sound data of the AIFF or AIFC at `start`, and a header for them with the true lengths.

    Raises SoundError where the length of the data says that some is missing, and where it has no data.
    """
    file.seek(start)
    head = file.read(12)
    kept, comm, found = b"", b"", None
    for at, name, length in chunks(file, start + 12, AIFF, past=size):
        if name == b"SSND" and found is None:
            file.seek(at)
            skipped = 8 + int.from_bytes(file.read(8)[:4], "big")
            found = at + skipped, length if is_unknown(length) else max(0, length - skipped)
        elif name in (b"COMM", b"FVER") and length <= MOST_COPIED:
            file.seek(at)
            chunk = file.read(length)
            comm = chunk if name == b"COMM" else comm
            kept += b"" if name == b"COMM" else name + length.to_bytes(4, "big") + chunk + bytes(length % 2)
        if comm and found:
            break
    if not (comm and found):
        raise SoundError("an AIFF without sound, or cut short before it")
    begin, declared = found
    frame = max(1, int.from_bytes(comm[:2], "big") * -(-int.from_bytes(comm[6:8], "big") // 8))
    end = data_end(begin, size, declared, frame)
    if comm[18:22] in _PLAIN:
        comm = comm[:2] + ((end - begin) // frame).to_bytes(4, "big") + comm[6:]
    kept += b"COMM" + len(comm).to_bytes(4, "big") + comm + bytes(len(comm) % 2)
    sound = b"SSND" + (8 + end - begin).to_bytes(4, "big") + bytes(8)
    form = 4 + len(kept) + len(sound) + end - begin
    if form >= 2**32:
        raise SoundError("an AIFF of more than 4 GiB")
    return begin, end, b"FORM" + form.to_bytes(4, "big") + head[8:12] + kept + sound


def caf_stream(file: BinaryIO, start: int, size: int) -> tuple[int, int, bytes]:
    """Start and end of the CAF at `start`, or of the rest of it behind a header whose length was corrected.

    Raises SoundError where the length of the data says that some is missing, and where it has no data.
    """
    for at, name, length in chunks(file, start + 8, CAF, past=size):
        if name != b"data":
            continue
        if data_end(at, size, length) == at + length or at - start > MOST_COPIED:
            return start, size, b""
        file.seek(start)
        return at, size, file.read(at - start - 8) + (size - at).to_bytes(8, "big")
    raise SoundError("a CAF without sound, or cut short before it")


def au_stream(file: BinaryIO, start: int, size: int) -> tuple[int, int, bytes]:
    """Start and end of the sound data of the AU at `start`, and a header for them with the true length.

    Raises SoundError where the length of the data says that some is missing.
    """
    file.seek(start)
    head = file.read(_AU_HEAD)
    order: ByteOrder = "big" if head[:4] == b".snd" else "little"
    begin = start + max(_AU_HEAD, int.from_bytes(head[4:8], order))
    if len(head) < _AU_HEAD or begin >= size:
        raise SoundError("an AU without sound, or cut short before it")
    end = data_end(begin, size, int.from_bytes(head[8:12], order))
    lengths = _AU_HEAD.to_bytes(4, order) + min(end - begin, 2**32 - 1).to_bytes(4, order)
    return begin, end, head[:4] + lengths + head[12:]
