"""Embedding the sounds of a library in parallel, keeping what is finished as it goes."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from index.library import Skipped
from index.resume import FileState, FinishedSound, FinishedSounds
from index.vectors import is_unit
from model.errors import SoundError
from model.progress import progress
from model.runtime import TowerRuntime
from model.silent_decoders import silent_decoders
from model.sound import SoundLimits

ID_DIGITS = 20
_COMMIT_EVERY = 256

Outcome = FinishedSound | Skipped


def embed_sounds(
    runtime: TowerRuntime,
    root: Path,
    paths: Sequence[str],
    *,
    finished: FinishedSounds,
    limits: SoundLimits,
    workers: int,
    say: Callable[[str], None],
) -> tuple[list[Outcome], int]:
    """Embed the sounds at `paths` under `root`; one outcome per path, in the order of `paths`.

    What `finished` holds is not embedded again; what is embedded is added to it every 256 sounds and when
    the run is interrupted. A sound that cannot be used is said and becomes a `Skipped`. The second value is
    the number of sounds taken from `finished`.
    """
    outcomes: list[Outcome] = []
    resumed = 0

    def embed(file: FileState) -> Outcome:
        return _embed(runtime, root, file, limits)

    with (
        silent_decoders(),
        ThreadPoolExecutor(workers) as pool,
        progress("embedding", len(paths), "sound") as bar,
    ):
        for start in range(0, len(paths), _COMMIT_EVERY):
            found = pool.map(lambda path: _find(root, path, finished), paths[start : start + _COMMIT_EVERY])
            known = [_known(one, finished, limits) for one in found]
            waiting = [one for one in known if isinstance(one, FileState)]
            resumed += sum(isinstance(one, FinishedSound) for one in known)
            embedded: list[FinishedSound] = []
            results = pool.map(embed, waiting)
            try:
                for one in known:
                    outcome = next(results) if isinstance(one, FileState) else one
                    outcomes.append(outcome)
                    if isinstance(outcome, Skipped):
                        say(f"skipped {outcome.path}: {outcome.reason}")
                    elif outcome is not one:
                        embedded.append(outcome)
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                finished.add(embedded)
    return outcomes, resumed


def _find(root: Path, path: str, finished: FinishedSounds) -> tuple[FileState, str | None] | Skipped:
    """The state of a file, and the id of its content where an earlier run may have finished it."""
    try:
        file = FileState.of(root, path)
        identity = sound_id(root / path) if finished.may_have(file) else None
        return file, identity if identity and FileState.of(root, path) == file else None
    except OSError as error:
        return Skipped(path, f"cannot be read: {error.strerror or error}")


def _known(
    found: tuple[FileState, str | None] | Skipped, finished: FinishedSounds, limits: SoundLimits
) -> Outcome | FileState:
    """What is known of a sound before it is embedded: how it ended in an earlier run, or only its state."""
    if isinstance(found, Skipped):
        return found
    file, identity = found
    earlier = finished.get(file, identity) if identity is not None else None
    # The earlier run may have had wider limits.
    return file if earlier is None or earlier.sound.seconds > limits.max_seconds else earlier


def _embed(runtime: TowerRuntime, root: Path, file: FileState, limits: SoundLimits) -> Outcome:
    path = root / file.path
    try:
        # Decoding comes first: it refuses a file of hours by its header, hashing would read all of it.
        sound = runtime.embed_sound(path, limits)
        identity = sound_id(path)
        if FileState.of(root, file.path) != file:
            return Skipped(file.path, "changed while it was being read; run thud index again")
    except SoundError as error:
        return Skipped(file.path, str(error))
    except OSError as error:
        return Skipped(file.path, f"cannot be read: {error.strerror or error}")
    except MemoryError:
        return Skipped(file.path, "there is not enough memory to read it")
    if sound.embedding.dtype != np.float32 or not is_unit(sound.embedding):
        return Skipped(file.path, "the bundle's sound tower gave it an embedding that is not of length 1")
    return FinishedSound(file, identity, sound)


def sound_id(path: Path) -> str:
    """A sound's id: the first 20 hex digits of the SHA-256 of the file's bytes. Raises OSError."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:ID_DIGITS]
