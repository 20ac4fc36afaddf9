"""Copies, in a format that browsers play, of the sounds whose files they do not play."""

import io
import os
import tempfile
import threading
from pathlib import Path

import anyio
import anyio.to_thread

from index.answers.sound_files import SoundFile
from index.catalogue import SoundRecord
from model.atomic import claimed_file
from model.errors import SoundError
from model.playable import write_playable
from model.sound import SoundLimits
from service.problems import ProblemError
from service.sound_content import SoundContent

MOST_BYTES = 256 * 2**20
"""A process keeps so many bytes of copies in the folder for temporary files (TMPDIR)."""

_PATIENCE_SECONDS = 30.0
"""A copy of a sound of ten minutes takes up to ten seconds, and they are made one after another."""


class PlayedCopy:
    """A copy, open. Close it when done."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        """In bytes."""

    def read(self, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start` on, fewer only at the end. Raises OSError."""
        return os.pread(self._file.fileno(), length, start)

    def again(self) -> "PlayedCopy":
        """The same copy, open on its own."""
        return PlayedCopy(io.FileIO(os.dup(self._file.fileno())))

    def close(self) -> None:
        """Close it; closing it again does nothing."""
        self._file.close()


class PlayedCopies:
    """Makes copies, one at a time, and keeps those that were used last. Their files have no names."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._making = anyio.CapacityLimiter(1)
        self._lock = threading.Lock()
        self._kept: dict[str, PlayedCopy] = {}

    async def copy(self, record: SoundRecord, sound: SoundFile) -> PlayedCopy:
        """The copy of a sound, made from its file `sound` where it is not kept.

        Raises ProblemError (503) where others' copies take too long or there is no space, and LibraryError and
        OSError as `SoundFile.read` does.
        """
        kept = self._known(record.id)
        if kept is not None:
            return kept
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                await self._making.acquire()
        except TimeoutError:
            raise _unmade("other sounds are being converted") from None
        try:
            # Somebody else may have made it while this one waited.
            kept = self._known(record.id)
            if kept is None:
                kept = await anyio.to_thread.run_sync(self._make, record, sound)
            return kept
        finally:
            self._making.release()

    def close(self) -> None:
        """Remove all copies."""
        with self._lock:
            for copy in self._kept.values():
                copy.close()
            self._kept.clear()

    def _known(self, sound_id: str) -> PlayedCopy | None:
        with self._lock:
            copy = self._kept.pop(sound_id, None)
            if copy is None:
                return None
            self._kept[sound_id] = copy  # as the last that was used
            return copy.again()

    def _make(self, record: SoundRecord, sound: SoundFile) -> PlayedCopy:
        content = SoundContent(sound)
        try:
            with claimed_file(Path(tempfile.gettempdir()), "thud-played-") as target:
                # It was accepted when it was indexed, perhaps under wider limits.
                limits = SoundLimits(max_seconds=max(SoundLimits().max_seconds, record.seconds + 1))
                write_playable(io.BufferedReader(content), sound.size, target, record.peak, limits)
                copy = PlayedCopy(io.FileIO(target))
        except OSError as error:
            if content.error is not None:
                raise content.error from error
            raise _unmade(f"{error.strerror or error}") from error
        except SoundError as error:  # it could be decoded when it was indexed
            raise content.error or _unmade(str(error)) from error
        with self._lock:
            self._kept[record.id] = copy
            while len(self._kept) > 1 and sum(one.size for one in self._kept.values()) > self._most_bytes:
                self._kept.pop(next(iter(self._kept))).close()
            return copy.again()


def _unmade(why: str) -> ProblemError:
    return ProblemError(
        503,
        f"the copy that browsers play cannot be made at the moment: {why}; with ?original the file itself is sent",
        headers={"Retry-After": "5"},
        reason="not_playable",
    )
