"""The content of a sound file: its id, and what is known of it."""

import hashlib
import inspect
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
