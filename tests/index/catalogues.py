"""Records of sounds that do not exist, and catalogues of them."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from index.catalogue import Catalogue, SoundRecord, write_catalogue
from model.files import file_record


@cache
def _id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:20]


def number_of(record: SoundRecord) -> int:
    """The number that `sound` made this record for."""
    return next(number for number in range(10_000) if _id(number) == record.id)


def sound(row: int, **known: Any) -> SoundRecord:
    """A record; what is not `known` is None or empty, or as good as any."""
    values: dict[str, Any] = {
        "id": _id(row),
        "path": f"sound_{row:05}.wav",
        "copies": (),
        "title": f"sound {row}",
        "description": None,
        "tags": (),
        "material": None,
        "label_from": None,
        "action": None,
        "source": None,
        "origin": None,
        "author": None,
        "licence": None,
        "attribution": None,
        "seconds": 1.0,
        "hit": 0.05,
        "hits": (0.05,),
        "ends": (0.45,),
        "sample_rate": 44_100,
        "channels": 1,
        "format": "WAV",
        "media_type": "audio/wav",
        "playable": True,
        "bytes": 1000,
        "peak": 0.5,
        "loudness": -20.0,
        "brightness": 1000.0,
    }
    return SoundRecord(**values | known)


@contextmanager
def catalogue_of(records: Sequence[SoundRecord]) -> Iterator[Catalogue]:
    """The catalogue of some records."""
    with TemporaryDirectory() as folder:
        write_catalogue(Path(folder, "catalogue.sqlite"), records)
        with closing(Catalogue(Path(folder, "catalogue.sqlite"))) as catalogue:
            yield catalogue


def damage_row(index: Path, row: int) -> None:
    """Make a row of an index one that Thud does not write, as if it had been when its file's hash was taken."""
    generation = index / "generations" / (index / "current").read_text().strip()
    catalogue = generation / "catalogue.sqlite"
    with closing(sqlite3.connect(catalogue)) as database, database:
        database.execute("UPDATE sounds SET bytes = 'many' WHERE row = ?", [row])
    spec = json.loads((generation / "index.json").read_text())
    spec["files"]["catalogue.sqlite"] = file_record(catalogue).model_dump()
    (generation / "index.json").write_text(json.dumps(spec))
