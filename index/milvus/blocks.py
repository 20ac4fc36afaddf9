"""The sounds of a prepared generation, some at a time, as the entities that are sent to a Milvus."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.catalogue import Catalogue, SoundRecord
from index.milvus.entities import entities_of
from index.nearest.vector_file import VectorFile

_AT_ONCE = 256
"""Sounds that are sent together: some 2 MB, of the 64 that Milvus takes."""


@dataclass(frozen=True)
class Block:
    """Records that follow one another, from `row` on; `vector` is the row of the first vector of the first."""

    records: list[SoundRecord]
    row: int
    vector: int


def blocks_of(file: Path) -> Iterator[Block]:
    """The records of a catalogue, some at a time."""
    vector = 0
    with closing(Catalogue(file)) as catalogue:
        for row in range(0, len(catalogue), _AT_ONCE):
            block = Block(catalogue.rows(range(row, min(row + _AT_ONCE, len(catalogue)))), row, vector)
            yield block
            vector += sum(len(record.hits) for record in block.records)


def entities_in(block: Block, file: VectorFile, *, whole: bool) -> Iterator[dict[str, Any]]:
    """The entities of its sounds, by their vectors in `file`; `whole`: for the collection of all columns."""
    vector = block.vector
    for row, record in enumerate(block.records, block.row):
        rows = slice(vector, vector + len(record.hits))
        embeddings = file.vectors(np.arange(rows.start, rows.stop))
        biases = None if file.biases is None else file.biases[rows]
        compared = file.compared(rows)
        if whole:
            compared = embeddings if biases is None else np.hstack([embeddings, -biases[:, None]])
        yield from entities_of(row, record, embeddings, biases, compared, whole=whole)
        vector = rows.stop
