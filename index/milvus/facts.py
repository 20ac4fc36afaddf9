"""What the order of an answer is made of: packed into each entity as text, and read of many entities at once.

The text is base64: text that is not ASCII takes a Milvus nearly twice as long. Of sounds of up to four hits every
entity has the embeddings of all, so that most sounds are known whole from any of their hits.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from index.nearest.vectors import Rows, Vectors
from model.errors import DamagedIndexError
from model.hits import MOST_HITS
from model.materials import MATERIALS

MOST_TOGETHER = 4
"""Of a sound of so many hits, each entity has the embeddings of all."""

NOT_WRITTEN = "the collection has an entity that is not what Thud writes; run thud index again"

_ID_BYTES = 10
_NAMES = ("sounds", "counts", "materials", "recordings", "biases", "embeddings")


@dataclass(frozen=True, eq=False)
class Hits:
    """Hits of sounds, those of one sound together, in the order of their `ids [n]`.

    `sounds` uint8 `[n, 10]`: the ids of their sounds, as bytes; `counts [n]`: how many hits these have;
    `materials [n]` and `recordings [n]`: ids, -1 for no material; `biases [n]`; `embeddings [n, d]`.
    """

    ids: Rows
    sounds: npt.NDArray[np.uint8]
    counts: Rows
    materials: Rows
    recordings: Rows
    biases: Vectors
    embeddings: Vectors

    @classmethod
    def none(cls, size: int) -> Self:
        """No hits, of embeddings of `size` numbers."""
        return cls._of(np.zeros(0, np.int64), np.zeros(0, _layout(1, size)), 1)

    @classmethod
    def read(cls, ids: Sequence[int], texts: Sequence[str], size: int) -> Self:
        """All hits that entities tell of, by what `packed` made, of embeddings of `size` numbers.

        Raises DamagedIndexError for what it has not made.
        """
        entities, lengths = np.array(ids, np.int64), np.array([len(text) for text in texts], np.int64)
        layouts = {_layout(count, size).itemsize // 3 * 4: count for count in range(1, MOST_TOGETHER + 1)}
        parts = [cls.none(size)]
        for length in np.unique(lengths).tolist():
            at = np.flatnonzero(lengths == length)
            try:
                count = layouts[length]
                data = binascii.a2b_base64("".join([texts[place] for place in at.tolist()]), strict_mode=True)
                table = np.frombuffer(data, _layout(count, size))
            except (KeyError, ValueError) as error:
                raise DamagedIndexError(NOT_WRITTEN) from error
            parts.append(cls._of(entities[at], table, count))
        return cls.joined(parts)

    @classmethod
    def joined(cls, parts: Iterable["Hits"]) -> Self:
        """The hits of all parts, each once."""
        every = list(parts)
        ids = np.concatenate([part.ids for part in every])
        _, first = np.unique(ids, return_index=True)
        return cls(
            **{one.name: np.concatenate([getattr(part, one.name) for part in every])[first] for one in fields(cls)}
        )

    @classmethod
    def _of(cls, entities: Rows, table: npt.NDArray[np.void], count: int) -> Self:
        """What entities tell of `count` hits each."""
        counts, materials = table["counts"].astype(np.int64), table["materials"].astype(np.int64)
        of_all = counts <= MOST_TOGETHER
        bad = (counts > MOST_HITS) | (of_all & (counts != count)) | (~of_all & (count != 1))
        if (bad | (entities % MOST_HITS >= counts) | (materials < -1) | (materials >= len(MATERIALS))).any():
            raise DamagedIndexError(NOT_WRITTEN)
        if not np.isfinite(table["biases"]).all():
            raise DamagedIndexError(NOT_WRITTEN)
        ids = entities[:, None]
        if count > 1:
            ids = (entities - entities % MOST_HITS)[:, None] + np.arange(count)
        sounds = np.ascontiguousarray(table["sounds"]).view(np.uint8).reshape(-1, _ID_BYTES)
        return cls(
            ids.ravel(),
            np.repeat(sounds, count, axis=0),
            np.repeat(counts, count),
            np.repeat(materials, count),
            np.repeat(table["recordings"].astype(np.int64), count),
            table["biases"].astype(np.float32).ravel(),
            table["embeddings"].astype(np.float32).reshape(ids.size, table["embeddings"].shape[-1]),
        )

    @property
    def rows(self) -> Rows:
        """The rows of their sounds."""
        return self.ids // MOST_HITS

    def __len__(self) -> int:
        return len(self.ids)

    def missing(self) -> list[int]:
        """The ids of the other hits of their sounds."""
        rows, first, found = np.unique(self.rows, return_index=True, return_counts=True)
        there = set(self.ids.tolist())
        parted = np.flatnonzero(found != self.counts[first]).tolist()
        every = (rows[one] * MOST_HITS + np.arange(self.counts[first[one]]) for one in parted)
        return [one for its in every for one in its.tolist() if one not in there]

    def sound_ids(self, at: Iterable[int]) -> list[str]:
        """The ids of the sounds of the hits at these places."""
        return [self.sounds[place].tobytes().hex() for place in at]

    def of_sounds(self, ids: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which hits `[n]` are of sounds with these ids, of 20 hexadecimal digits."""
        wanted = np.frombuffer(bytes.fromhex("".join(ids)), f"V{_ID_BYTES}")
        return np.isin(self.sounds.view(f"V{_ID_BYTES}").ravel(), wanted)


def packed(sound_id: str, hits: int, material: int, recording: int, biases: Vectors, embeddings: Vectors) -> str:
    """What an entity of the sound with this id, of so many hits, tells of those with these `biases [n]` and
    `embeddings [n, d]`: all where there are at most `MOST_TOGETHER`, else its own. `Hits.read` reads it."""
    one = np.zeros(1, _layout(*embeddings.shape))
    values = (bytes.fromhex(sound_id), hits, material, recording, biases, embeddings)
    for name, value in zip(_NAMES, values, strict=True):
        one[name] = value
    return base64.b64encode(one.tobytes()).decode()


def _layout(count: int, size: int) -> np.dtype[np.void]:
    """A whole number of three bytes, so that texts that follow one another are one text."""
    kinds = (f"V{_ID_BYTES}", "u1", "i1", "<u4", ("<f4", (count,)), ("<f4", (count, size)))
    bytes_in = np.dtype(list(zip(_NAMES, kinds, strict=True))).itemsize
    return np.dtype({"names": _NAMES, "formats": kinds, "itemsize": -(-bytes_in // 3) * 3})
