"""The files of an index's sounds. A file is opened and read only while its content is what was indexed."""

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Protocol

from index.address import SoundsAt
from index.building.content import ID_DIGITS
from index.catalogue import SoundRecord
from model.addresses import BucketAddress
from model.errors import LibraryError, SoundsAwayError
from model.file_state import SETTLED_NS

SAMPLE = 16
"""Number of sounds that are looked for to see whether the folder holds the library at all."""

_MOST_KNOWN = 2**14
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}

_State = tuple[int, ...]


class SoundFile(Protocol):
    """A sound's file, open. What is read is the content whose hash is the sound's id. Close it when done."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    @property
    def modified(self) -> float:
        """When the file was written, in seconds since 1970."""
        ...

    def read(self, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start` on, fewer only at the end of the file.

        Raises LibraryError where the file was changed since it was opened, and OSError where it cannot be read.
        """
        ...

    def close(self) -> None:
        """Close the file; closing it again does nothing."""
        ...


class SoundFiles(Protocol):
    """The files of the sounds under `root`. Safe to use from several threads."""

    @property
    def root(self) -> SoundsAt:
        """A folder or an address."""
        ...

    def check(self) -> None:
        """Raise SoundsAwayError where the sounds cannot be reached, or none that was looked for is there."""
        ...

    def is_there(self, record: SoundRecord) -> bool:
        """Whether the sound's file is there, with the size that it had when it was indexed."""
        ...

    def open(self, record: SoundRecord) -> SoundFile:
        """The sound's file.

        Where it is missing, raises SoundsAwayError as `check` does, and LibraryError if only this file is missing.
        Raises LibraryError too if it has changed since it was indexed, and OSError if it cannot be read.
        """
        ...

    def link(self, record: SoundRecord, seconds: float) -> str | None:
        """An address at which everybody can read the sound for so many seconds; None for files of this machine."""
        ...


def sound_files(root: SoundsAt, sample: Sequence[SoundRecord]) -> SoundFiles:
    """The files under a folder or at an address.

    `sample` are some of the sounds, spread over the library. Where none of them is there, the folder is not what
    was indexed, but for example the empty mount point of a share.
    """
    if isinstance(root, BucketAddress):
        from index.answers.stored_sounds import StoredSounds

        return StoredSounds(root, sample)
    return FolderSounds(root, sample)


class LocalSound:
    """A `SoundFile` on the disk."""

    def __init__(self, record: SoundRecord, file: FileIO, known: "_Known") -> None:
        self._record = record
        self._file = file
        self._known = known
        self.size = record.bytes
        """In bytes."""
        self.modified = os.fstat(file.fileno()).st_mtime
        """When the file was written, in seconds since 1970."""
        self._verified = self._verify()

    def read(self, start: int, length: int) -> bytes:
        """See `SoundFile`."""
        while True:
            data = os.pread(self._file.fileno(), length, start)
            # Compared after reading: a state that is the same now was the same while the bytes were read.
            if _state(self._file) == self._verified:
                return data
            self._verified = self._verify()

    def close(self) -> None:
        """See `SoundFile`."""
        self._file.close()

    def _verify(self) -> _State:
        """The file's state, once its content is known to be the sound's; hashes it unless this state is known."""
        before = _state(self._file)
        if not self._known.has(self._record.id, before):
            size = os.fstat(self._file.fileno()).st_size
            if size != self.size or self._hash() != self._record.id:
                raise LibraryError(f"{self._record.path} has changed since it was indexed; run thud index again")
            if _state(self._file) != before:
                raise OSError(errno.EBUSY, "it is being written to")
            self._known.add(self._record.id, before)
        return before

    def _hash(self) -> str:
        self._file.seek(0)
        return hashlib.file_digest(self._file, "sha256").hexdigest()[:ID_DIGITS]


class FolderSounds:
    """`SoundFiles` in a folder; `sample` as `sound_files` takes it."""

    def __init__(self, root: Path, sample: Sequence[SoundRecord]) -> None:
        self.root: SoundsAt = root
        self._folder = root
        self._sample = sample
        self._known = _Known()

    def check(self) -> None:
        """Raise SoundsAwayError where the folder of sounds cannot be reached, or holds none of the `sample`."""
        try:
            # The dot makes a plain file an error, and has the system mount a share that is mounted on demand.
            os.lstat(f"{self._folder}/.")
        except OSError as error:
            raise SoundsAwayError(f"the sound folder {self._folder} cannot be reached: {error.strerror}") from error
        why = ""
        for record in self._sample:
            try:
                os.lstat(self._folder / record.path)
                return
            except FileNotFoundError:
                pass
            except OSError as error:
                why = f": {error.strerror}"
        raise SoundsAwayError(f"none of {len(self._sample)} sounds that were looked for is in {self._folder}{why}")

    def is_there(self, record: SoundRecord) -> bool:
        """Whether the sound's file is there, with the size that it had when it was indexed."""
        try:
            found = (self._folder / record.path).stat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == record.bytes

    def open(self, record: SoundRecord) -> LocalSound:
        """See `SoundFiles`.

        It is hashed when it is opened for the first time, and again after anything about it has changed. Where the
        file is missing, raises SoundsAwayError as `check` does, and LibraryError if only this file is missing.
        Raises LibraryError too if it lies outside the folder or has changed since it was indexed, and OSError if it
        cannot be read.
        """
        path = Path(os.path.realpath(self._folder / record.path))
        if not path.is_relative_to(os.path.realpath(self._folder)):
            raise LibraryError(f"{record.path} leads outside the sound folder")
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise FileNotFoundError(errno.ENOENT, "it is no file")
            file = FileIO(path, opener=_opener)
        except OSError as error:
            if error.errno not in _MISSING:
                raise
            self.check()
            raise LibraryError(f"{record.path} is no longer in {self._folder}") from error
        try:
            return LocalSound(record, file, self._known)
        except BaseException:
            file.close()
            raise

    def link(self, record: SoundRecord, seconds: float) -> str | None:
        """See `SoundFiles`."""
        return None


def _opener(path: str, flags: int) -> int:
    # Non-blocking: a named pipe in the file's place would wait for somebody to write into it.
    return os.open(path, flags | os.O_NONBLOCK)


class _Known:
    """The states of files whose content was hashed and found to be the sound's, by the sound's id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, _State] = {}

    def has(self, sound_id: str, state: _State) -> bool:
        return self._states.get(sound_id) == state

    def add(self, sound_id: str, state: _State) -> None:
        if time.time_ns() - state[-1] < SETTLED_NS:
            return  # another write within the same tick of the clock would not change the state
        with self._lock:
            self._states.pop(sound_id, None)
            self._states[sound_id] = state
            if len(self._states) > _MOST_KNOWN:
                del self._states[next(iter(self._states))]


def _state(file: FileIO) -> _State:
    """Differs after any change of the file: nobody can set back `st_ctime`, the time of the last change."""
    found = os.fstat(file.fileno())
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
