"""The content of a sound file: its id, what is known of it, and the file's state, by which a change is noticed."""

import hashlib
import inspect
import os
import time
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from index.library import riff, tags, texts
from model import fields
from model.files import open_regular
from model.runtime import EmbeddedSound, Embeddings

ID_DIGITS = 20
SETTLED_NS = 2 * 10**9
"""Only a state that is older than this stands for one content: some file systems have clocks of two seconds."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What changes when a file does.

    The size and the time of writing (`written_ns`) can be set back after a change; `changed_ns` and `inode` cannot.
    """

    bytes: int
    written_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | Path) -> "FileState":
        """The state of the file now. Raises OSError."""
        found = os.stat(path)  # noqa: PTH116 -- the one call for each file that every run makes
        return cls(found.st_size, *map(_folded, (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)))

    def settled(self) -> bool:
        """Whether it is old enough to stand for one content."""
        return time.time_ns() - self.changed_ns >= SETTLED_NS


def _folded(number: int) -> int:
    """The last 63 bits of it. SQLite has no larger numbers; dates from 2262 on, and inodes of some network file
    systems, are larger."""
    return number & (2**63 - 1)


@dataclass(frozen=True)
class Content:
    """A content with its `id`: size of the file, what it sounds like, and the tags in the file."""

    id: str
    bytes: int
    sound: EmbeddedSound
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class KnownContent:
    """What is kept of a content: the size of the file, its tags, and the fields of `EmbeddedSound`.

    `embeddings [h, d]` are one of them, `decoded` has the others.
    """

    bytes: int
    decoded: dict[str, Any]
    tags: dict[str, str]
    embeddings: Embeddings


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What a file was found to be: the `id` of its content, or the `reason` why it is no sound that can be used.

    `seconds`: how long the content is, None where it is not known to the cache.
    """

    id: str | None
    reason: str | None = None
    seconds: float | None = None


def sound_id(path: str | Path) -> str:
    """A sound's id: the first 20 hex digits of the SHA-256 of the file's bytes. Raises OSError."""
    with open_regular(Path(path)) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:ID_DIGITS]


@cache
def tags_version() -> str:
    """What decides the tags that are read from a file: a hash of the code that does, and of tinytag's version."""
    digest = hashlib.sha256(metadata.version("tinytag").encode())
    for module in (tags, riff, texts, fields):
        digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()[:16]
