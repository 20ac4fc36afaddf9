"""The files of an index's sounds in an object store, read in parts and never held whole."""

import hashlib
import threading
from collections.abc import Sequence

from index.address import SoundsAt
from index.building.content import ID_DIGITS
from index.catalogue import SoundRecord
from model.addresses import BucketAddress
from model.bucket import Bucket, Object
from model.errors import LibraryError, SoundsAwayError
from model.file_state import ChangedError

_BLOCK_BYTES = 2**20
_AHEAD_BYTES = 2**18
_MOST_KNOWN = 2**14
_KNOWN: dict[tuple[BucketAddress, str], str] = {}
"""The ETags of objects whose content was found to be the sound's: they hold for every generation of an index."""
_KNOWN_LOCK = threading.Lock()
_HASHING = [threading.Lock() for _ in range(16)]


class StoredSound:
    """A `SoundFile` in a store: every part is asked for with the ETag of the content that was found to be it."""

    def __init__(self, record: SoundRecord, bucket: Bucket, found: Object) -> None:
        self._record, self._bucket, self._found = record, bucket, found
        self.size = record.bytes
        """In bytes."""
        self.modified = found.written_ns / 10**9
        """When the object was written, in seconds since 1970."""
        self._block = (0, b"")

    def read(self, start: int, length: int) -> bytes:
        """See `SoundFile`. Some more is asked for, and kept for the next call."""
        begun, block = self._block
        if not begun <= start <= start + length <= begun + len(block):
            begun, block = self._block = start, self._asked(start, max(length, _AHEAD_BYTES))
        return block[start - begun : start - begun + length]

    def _asked(self, start: int, length: int) -> bytes:
        wanted = max(0, min(length, self.size - start))
        try:
            data = self._bucket.read(self._record.path, start, wanted, self._found.etag)
        except FileNotFoundError as error:
            raise LibraryError(f"{self._record.path} is no longer in {self._bucket.address}") from error
        except ChangedError as error:
            raise _changed(self._record) from error
        if len(data) != wanted:
            raise OSError(0, "the store has sent fewer bytes than it has")
        return data

    def close(self) -> None:
        """See `SoundFile`."""


class StoredSounds:
    """`SoundFiles` in a store; `sample` as `sound_files` takes it.

    An object is hashed, block by block, when it is asked for first; from then on its ETag stands for its content.
    """

    def __init__(self, root: BucketAddress, sample: Sequence[SoundRecord]) -> None:
        self.root: SoundsAt = root
        self._sample = sample
        self._bucket = Bucket(root)

    def check(self) -> None:
        """See `SoundFiles`."""
        for record in self._sample:
            try:
                self._bucket.object(record.path)
                return
            except FileNotFoundError:
                pass
            except OSError as error:
                raise SoundsAwayError(f"{self.root} cannot be reached: {error.strerror}") from error
        raise SoundsAwayError(f"none of {len(self._sample)} sounds that were looked for is in {self.root}")

    def is_there(self, record: SoundRecord) -> bool:
        """See `SoundFiles`."""
        try:
            return self._bucket.object(record.path).bytes == record.bytes
        except OSError:
            return False

    def open(self, record: SoundRecord) -> StoredSound:
        """See `SoundFiles`."""
        return StoredSound(record, self._bucket, self._found(record))

    def link(self, record: SoundRecord, seconds: float) -> str | None:
        """See `SoundFiles`. Whoever follows it gets what the store has then. Raises as `open`, but where an object
        was replaced by one of the same size it does not."""
        self._there(record)
        return self._bucket.link(record.path, seconds)

    def _found(self, record: SoundRecord) -> Object:
        """The object, once its content is known to be the sound's."""
        found = self._there(record)
        known = (self._bucket.address, record.id)
        with _HASHING[hash(known) % len(_HASHING)]:  # of several who ask, one hashes
            if _KNOWN.get(known) == found.etag:
                return found
            digest = hashlib.sha256()
            sound = StoredSound(record, self._bucket, found)
            for start in range(0, found.bytes, _BLOCK_BYTES):
                digest.update(sound.read(start, _BLOCK_BYTES))
            if digest.hexdigest()[:ID_DIGITS] != record.id:
                raise _changed(record)
            with _KNOWN_LOCK:
                _KNOWN.pop(known, None)
                _KNOWN[known] = found.etag
                if len(_KNOWN) > _MOST_KNOWN:
                    del _KNOWN[next(iter(_KNOWN))]
        return found

    def _there(self, record: SoundRecord) -> Object:
        """The object, which has the size that the sound had."""
        try:
            found = self._bucket.object(record.path)
        except FileNotFoundError as error:
            self.check()
            raise LibraryError(f"{record.path} is no longer in {self.root}") from error
        if not found.etag:
            raise LibraryError(f"{self.root} gives its objects no ETags, by which changes are seen")
        if found.bytes != record.bytes:
            raise _changed(record)
        return found


def _changed(record: SoundRecord) -> LibraryError:
    return LibraryError(f"{record.path} has changed since it was indexed; run thud index again")
