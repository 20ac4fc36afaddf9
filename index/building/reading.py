"""What the threads of an indexing run do: hash files, decode and embed them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from index.building.content import Content, FileState, sound_id
from index.library.tags import read_tags
from model.errors import SoundError
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


def hash_file(root: str, path: str, state: FileState) -> Found:
    """The id of a file that was found in this state."""
    full = Path(root, path)
    try:
        identity = sound_id(full)
        return Found(identity) if FileState.of(full) == state else _CHANGED
    except OSError as error:
        return Found(reason=unreadable(error))


def tags_of(root: str, path: str, state: FileState, identity: str, *, settled: bool) -> dict[str, str] | None:
    """The tags of a file that was found in this state, None where it has another content than `identity` now."""
    full = Path(root, path)
    try:
        tags = read_tags(full)
        same = (settled or sound_id(full) == identity) and FileState.of(full) == state
    except OSError:
        return None
    return tags if same else None


def embed_files(runtime: TowerRuntime, root: str, works: list[Work], limits: SoundLimits) -> list[Found]:
    """What came of the works, which are decoded first and embedded then."""
    decoded = [_attempt(work, partial(runtime.decode, Path(root, work.path), limits)) for work in works]
    return [
        one if isinstance(one, Found) else _attempt(work, partial(_finish, runtime, root, work, one))
        for work, one in zip(works, decoded, strict=True)
    ]


def _attempt(work: Work, do: Callable[[], _T]) -> _T | Found:
    try:
        return do()
    except SoundError as error:
        return Found(work.id, reason=str(error), lasts=not isinstance(error.__cause__, OSError))
    except OSError as error:
        return Found(reason=unreadable(error))
    except MemoryError:
        return Found(reason="there is not enough memory to read it")


def _finish(runtime: TowerRuntime, root: str, work: Work, decoded: DecodedSound) -> Found:
    path = Path(root, work.path)
    sound = runtime.embed_decoded(decoded)
    # A file that was written a moment ago may have changed since it was hashed without a trace in its state.
    identity = work.id if work.id is not None and work.settled else sound_id(path)
    tags = read_tags(path)
    if FileState.of(path) != work.state or work.id not in (None, identity):
        return _CHANGED
    if sound.embeddings.dtype != np.float32 or not _are_unit(sound.embeddings):
        return Found(reason="the bundle's sound tower gave it an embedding that is not of length 1")
    return Found(identity, Content(identity, work.state.bytes, sound, tags))


def _are_unit(embeddings: npt.NDArray[np.float32]) -> bool:
    """Whether all `[h, d]` are finite and of length 1."""
    return bool((np.abs(np.linalg.norm(embeddings, axis=1) - 1.0) <= 1e-3).all())  # false for NaN


_CHANGED = Found(reason="changed while it was being read; run thud index again")


def unreadable(error: OSError) -> str:
    """The reason, for a person."""
    return f"cannot be read: {error.strerror or error}"
