"""What the threads of an indexing run do: hash files, decode and embed them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from index.building.content import Content, sound_id
from index.library.sources import Source
from index.library.tags import read_tags
from model.errors import SoundError
from model.file_state import ChangedError, FileState
from model.runtime import DecodedSound, TowerRuntime
from model.sound import SoundLimits

_T = TypeVar("_T")


@dataclass(frozen=True)
class Found:
    """What reading a file gave: its content's `id`, the content if it was embedded, or why it cannot be used.

    A reason that would be the same next time `lasts`.
    """

    id: str | None = None
    content: Content | None = None
    reason: str | None = None
    lasts: bool = False


@dataclass
class Work:
    """A file on its way. `settled`: its state was old enough to stand for one content when it was looked up."""

    place: int
    path: str
    state: FileState
    settled: bool
    id: str | None = None
    result: Callable[[], "Found"] | None = None
    first: bool = False  # of those with its content


def hash_file(source: Source, path: str, state: FileState) -> Found:
    """The id of a file that was found in this state."""
    try:
        with source.reading(path, state) as file:
            identity = sound_id(file)
    except OSError as error:
        return _unread(error)
    return Found(identity)


def tags_of(source: Source, path: str, state: FileState, identity: str, *, settled: bool) -> dict[str, str] | None:
    """The tags of a file that was found in this state, None where it has another content than `identity` now."""
    try:
        with source.reading(path, state) as file:
            tags = read_tags(file)
            same = settled or sound_id(file) == identity
    except OSError:
        return None
    return tags if same else None


def embed_files(runtime: TowerRuntime, source: Source, works: list[Work], limits: SoundLimits) -> list[Found]:
    """What came of the works, which are decoded first and embedded then."""
    decoded = [_attempt(work, partial(_decode, runtime, source, work, limits)) for work in works]
    return [
        one if isinstance(one, Found) else _attempt(work, partial(_embed, runtime, work, one))
        for work, one in zip(works, decoded, strict=True)
    ]


def _attempt(work: Work, do: Callable[[], _T]) -> _T | Found:
    try:
        return do()
    except SoundError as error:
        return Found(work.id, reason=str(error), lasts=not isinstance(error.__cause__, OSError))
    except OSError as error:
        return _unread(error)
    except MemoryError:
        return Found(reason="there is not enough memory to read it")


@dataclass(frozen=True)
class _Decoded:
    id: str
    sound: DecodedSound
    tags: dict[str, str]


def _decode(runtime: TowerRuntime, source: Source, work: Work, limits: SoundLimits) -> _Decoded | Found:
    with source.reading(work.path, work.state) as file:
        sound = runtime.decode(file, limits)
        # A file that was written a moment ago may have changed since it was hashed without a trace in its state.
        identity = work.id if work.id is not None and work.settled else sound_id(file)
        tags = read_tags(file)
    return _CHANGED if work.id not in (None, identity) else _Decoded(identity, sound, tags)


def _embed(runtime: TowerRuntime, work: Work, decoded: _Decoded) -> Found:
    sound = runtime.embed_decoded(decoded.sound)
    if sound.embeddings.dtype != np.float32 or not _are_unit(sound.embeddings):
        return Found(reason="the bundle's sound tower gave it an embedding that is not of length 1")
    return Found(decoded.id, Content(decoded.id, work.state.bytes, sound, decoded.tags))


def _are_unit(embeddings: npt.NDArray[np.float32]) -> bool:
    """Whether all `[h, d]` are finite and of length 1."""
    return bool((np.abs(np.linalg.norm(embeddings, axis=1) - 1.0) <= 1e-3).all())  # false for NaN


_CHANGED = Found(reason="changed while it was being read; run thud index again")


def _unread(error: OSError) -> Found:
    return _CHANGED if isinstance(error, ChangedError) else Found(reason=unreadable(error))


def unreadable(error: OSError) -> str:
    """The reason, for a person."""
    return f"cannot be read: {error.strerror or error}"
