"""The variables of a TensorFlow model, read from the two files that it is saved in, without TensorFlow.

TensorFlow has 600 MB and no release for every Python that Thud runs on; its files are a table of names (LevelDB's
format, in which each name says how much of the one before it repeats) and the numbers, one after the other. Files
from elsewhere are not meant to be read here: who calls checks that they are the ones that are known.
"""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Variables = dict[str, npt.NDArray[np.float32]]

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_FLOAT = 1
_TYPE, _SHAPE, _OFFSET, _SIZE = 1, 2, 4, 5
"""Numbers of the fields of a table's entry (tensorflow/core/protobuf/tensor_bundle.proto)."""
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
"""How a field is written (protobuf's wire types)."""


def read_variables(table: bytes, numbers: bytes) -> Variables:
    """The variables of type float32 by name, from a model's `variables.index` and `variables.data-00000-of-00001`.

    Raises ValueError for a table of another format.
    """
    if table[-8:] != struct.pack("<Q", _MAGIC):
        raise ValueError("not a table of TensorFlow variables")
    footer, at = table[-_FOOTER:], 0
    # The footer has the places of two blocks, each an offset and a size; the second is the list of blocks.
    place = []
    for _ in range(4):
        value, at = _varint(footer, at)
        place.append(value)
    found = {}
    for _, block in _entries(table, place[2], place[3]):
        start, at = _varint(block, 0)
        for name, entry in _entries(table, start, _varint(block, at)[0]):
            fields = _fields(entry)
            if name and fields.get(_TYPE) == [_FLOAT]:
                start, size = (int(fields.get(field, [0])[0]) for field in (_OFFSET, _SIZE))
                values = np.frombuffer(numbers[start : start + size], "<f4").astype(np.float32)
                found[name.decode()] = values.reshape(_shape(fields))
    return found


def _shape(fields: dict[int, list[int | bytes]]) -> list[int]:
    dimensions = [size for shape in fields.get(_SHAPE, []) for size in _fields(bytes(shape)).get(2, [])]
    return [int(_fields(bytes(size)).get(1, [0])[0]) for size in dimensions]


def _entries(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block of `size` bytes at `start`."""
    if table[start + size]:
        raise ValueError("the table is compressed")
    block = table[start : start + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    at, key = 0, b""
    while at < len(block) - 4 - 4 * restarts:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length


def _fields(message: bytes) -> dict[int, list[int | bytes]]:
    """The fields of a protobuf message by number."""
    at, found = 0, dict[int, list[int | bytes]]()
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, at = _varint(message, at)
        elif kind in (_BYTES, _FIXED_32, _FIXED_64):
            length = 4 if kind == _FIXED_32 else 8
            if kind == _BYTES:
                length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        else:
            raise ValueError(f"a field of kind {kind}")
        found.setdefault(number, []).append(value)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number of variable length at `at`, and where what follows begins."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at
