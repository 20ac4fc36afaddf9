"""What a sound is in Milvus: an entity for each of its hits, and the conditions on entities.

No text of a person stands in a condition. What filters compare as words is kept as a number, a hash of 63 bits, so
that no quote and no operator in a tag can change a condition, and a value of any length fits.

    id          row * 32 + hit: rows are in the order of paths, as in a catalogue
    key         the first 60 bits of the sound's id as a number
    material    its id, -1 for none: the partition key
    action, source, licence, tags, objects, folders, paths, words     numbers
    seconds, loudness
    facts       what the order of an answer is made of (index/milvus/facts.py)
    record      the record as JSON, in the entity of the first hit alone, as are `paths` and `words`
    vector      what a picture is compared with (`VectorFile.compared`)
"""

import hashlib
import json
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from index.catalogue import SoundRecord
from index.catalogue.filters import WORDS, SoundFilter, folded, folder_of
from index.catalogue.record import recording_of
from index.milvus.facts import MOST_TOGETHER, NOT_WRITTEN, packed
from index.nearest.vectors import Vectors
from model.errors import DamagedIndexError, LibraryError
from model.hits import MOST_HITS
from model.materials import material_named

if TYPE_CHECKING:
    from pymilvus import CollectionSchema

LONGEST_PREFIX = 8
"""Characters of a word that are looked for from its beginning; the rest is compared with the record."""

_ID = re.compile(r"[0-9a-f]{20}")
_MOST_TEXT = 65_535  # bytes in one field
_MOST_NUMBERS = 4096
_LISTS = ("tags", "objects", "folders", "paths", "words")
_ONE = ("action", "source", "licence")


def schema_of(size: int, *, whole: bool) -> "CollectionSchema":
    """The fields of a collection with vectors of `size` numbers; `whole`: the one that sounds are compared in."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("material", DataType.INT64, is_partition_key=True)
    for name in (*_ONE, "hit"):
        schema.add_field(name, DataType.INT64)
    for name in ("seconds", "loudness"):
        schema.add_field(name, DataType.FLOAT)
    for name in _LISTS[:3] if whole else _LISTS:
        schema.add_field(name, DataType.ARRAY, element_type=DataType.INT64, max_capacity=_MOST_NUMBERS)
    if not whole:
        schema.add_field("key", DataType.INT64)
        for name in ("facts", "record"):
            schema.add_field(name, DataType.VARCHAR, max_length=_MOST_TEXT)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=size)
    return schema


def entities_of(
    row: int, record: SoundRecord, embeddings: Vectors, biases: Vectors | None, compared: Vectors, *, whole: bool
) -> Iterator[dict[str, Any]]:
    """The entities of the sound at `row`, one for each of its hits, by their `compared` vectors `[h, c]`.

    `embeddings [h, d]` and `biases [h]` are those of its hits. Raises LibraryError for a record that does not fit.
    """
    material = None if record.material is None else material_named(record.material)
    shared: dict[str, Any] = {
        "material": -1 if material is None else material.id,
        "seconds": float(np.float32(record.seconds)),
        "loudness": float(np.float32(record.loudness)),
        "tags": _numbers("tag", record, map(folded, record.tags)),
        "objects": _numbers("object", record, record.objects),
        "folders": _folders(record),
        **{name: number_of(name, folded(value)) if (value := getattr(record, name)) else 0 for name in _ONE},
    }
    every = biases if biases is not None else np.zeros(len(embeddings), np.float32)
    recording = zlib.crc32(recording_of(record.path).encode()) & 0x7FFFFFFF
    for hit, vector in enumerate(compared):
        entity = shared | {"id": row * MOST_HITS + hit, "hit": hit, "vector": vector}
        if not whole:
            first = hit == 0
            its = slice(0, None) if len(embeddings) <= MOST_TOGETHER else slice(hit, hit + 1)
            known = (record.id, len(embeddings), shared["material"], recording)
            entity |= {
                "key": key_of(record.id),
                "facts": packed(*known, every[its], embeddings[its]),
                "record": _text_of(record) if first else "",
                "paths": _numbers("path", record, (record.path, *record.copies)) if first else [],
                "words": list(_word_numbers(record)) if first else [],
            }
        yield entity


def record_of(text: str) -> SoundRecord:
    """The record that `record` has. Raises DamagedIndexError where it is none."""
    try:
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()
        }
        return SoundRecord(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise DamagedIndexError(NOT_WRITTEN) from error


def key_of(sound_id: str) -> int | None:
    """The number by which a sound is found; None for what is no id."""
    return int(sound_id[:15], 16) if _ID.fullmatch(sound_id) else None


def number_of(kind: str, text: str) -> int:
    """What stands for a text of a kind, such as a tag: 63 bits of its hash."""
    said = f"{kind}:{text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big") >> 1


def condition_of(only: SoundFilter | None, has_folder: Callable[[str], bool]) -> str | None:
    """What entities must meet, as Milvus' expression, "" where all do; None where none can.

    `has_folder` says whether there is a folder of exactly this name.
    """
    if not only:
        return ""
    parts = []
    if only.material:
        parts.append(f"material in {sorted(only.material_ids)}")
    for field in WORDS:
        if words := only.words(field):
            numbers = sorted(number_of(field, word) for word in words)
            parts.append(f"array_contains_any(tags, {numbers})" if field == "tag" else f"{field} in {numbers}")
    if only.folder and all(map(folder_of, only.folder)):
        numbers = sorted(_folder_number(folder_of(name), has_folder) for name in only.folder)
        parts.append(f"array_contains_any(folders, {numbers})")
    for field, stored in (("duration", "seconds"), ("loudness", "loudness")):
        with np.errstate(over="ignore"):
            least, most = (float(np.float32(bound)) for bound in only.bounds(field))
        if least == np.inf or most == -np.inf:
            return None
        parts += [f"{stored} >= {least!r}"] if least > -np.inf else []
        parts += [f"{stored} <= {most!r}"] if most < np.inf else []
    return " and ".join(f"({part})" for part in parts)


def folder_condition(folder: str) -> str:
    """What sounds meet that lie in a folder of exactly this name, or that have a copy there."""
    return f"array_contains_any(folders, [{number_of('folder', folder)}])"


def both(*conditions: str) -> str:
    """All of the conditions that are not empty."""
    return " and ".join(f"({one})" for one in conditions if one)


def words_of(text: str) -> list[str]:
    """The words of a text as they are looked for: letters and digits, without case and accents."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return "".join(sign if sign.isalnum() else " " for sign in plain.casefold()).split()


def word_number(word: str) -> int:
    """What stands for a word, or its first letters, where texts are searched."""
    return number_of("word", word[:LONGEST_PREFIX])


def searched_texts(record: SoundRecord) -> dict[str, str]:
    """The texts of a sound in which words are looked for."""
    return {
        "title": record.title,
        "tags": " ".join(record.tags),
        "material": record.material or "",
        "path": record.path.rpartition(".")[0],
        "description": record.description or "",
    }


def _word_numbers(record: SoundRecord) -> Sequence[int]:
    """The numbers of all beginnings of a sound's words; of very long texts, those of the first words."""
    numbers: dict[int, None] = {}
    for text in searched_texts(record).values():
        for word in words_of(text):
            for length in range(1, min(len(word), LONGEST_PREFIX) + 1):
                numbers[word_number(word[:length])] = None
        if len(numbers) >= _MOST_NUMBERS:
            break
    return list(numbers)[:_MOST_NUMBERS]


def _folders(record: SoundRecord) -> list[int]:
    numbers: set[int] = set()
    for path in (record.path, *record.copies):
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            numbers |= {number_of("folder", folder), number_of("folded", folded(folder))}
    return _fitting("folders", record, sorted(numbers))


def _folder_number(folder: str, has_folder: Callable[[str], bool]) -> int:
    return number_of("folder", folder) if has_folder(folder) else number_of("folded", folded(folder))


def _numbers(kind: str, record: SoundRecord, texts: Iterable[str]) -> list[int]:
    return _fitting(f"{kind}s", record, sorted({number_of(kind, text) for text in texts}))


def _fitting(what: str, record: SoundRecord, numbers: list[int]) -> list[int]:
    if len(numbers) > _MOST_NUMBERS:
        raise LibraryError(f"{record.path} has {len(numbers):,} {what}; Milvus takes {_MOST_NUMBERS:,}")
    return numbers


def _text_of(record: SoundRecord) -> str:
    text = json.dumps(vars(record), separators=(",", ":"))  # in ASCII: also where a path has what is no text
    if len(text) > _MOST_TEXT:
        raise LibraryError(
            f"what is known of {record.path[:200]} takes {len(text):,} bytes, with all its copies; Milvus takes "
            f"{_MOST_TEXT:,}"
        )
    return text
