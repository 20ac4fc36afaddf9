"""Where the sounds of a library lie: a folder, or objects in a store. What indexing needs of either."""

import os
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from index.address import SoundsAt
from index.library.manifests import is_manifest_name
from index.library.walk import Walked, walk, walk_names
from model.addresses import BucketAddress
from model.bucket import Bucket, Object, is_of_one
from model.errors import LibraryError
from model.file_state import ChangedError, FileState

_SPOOLED_BYTES = 2**29
"""Of a store, so many bytes of sounds are kept on the disk while they are indexed: each is read twice."""
_MOST_SIDECAR_BYTES = 2**18
_MOST_MANIFEST_BYTES = 2**30


class Source(Protocol):
    """The sounds under a root, by their POSIX paths there. Safe to use from several threads."""

    @property
    def root(self) -> SoundsAt:
        """The folder, an absolute path without links, or the address."""
        ...

    @property
    def texts(self) -> Path:
        """A folder in which manifests and files beside sounds lie where they lie under the root."""
        ...

    def walk(self) -> Walked:
        """Which files are sounds. Raises LibraryError where the root cannot be read."""
        ...

    def state(self, path: str) -> FileState:
        """The state of a file now. Raises OSError."""
        ...

    def reading(self, path: str, state: FileState) -> AbstractContextManager[Path]:
        """A file of this machine, to be read within the block, with what the file has that was found in `state`.

        Raises OSError, and ChangedError at the beginning or at the end of the block where it is in another state.
        """
        ...

    def close(self) -> None:
        """Remove what was put aside."""
        ...


def source_of(root: SoundsAt) -> Source:
    """The source at a folder or an address. Raises LibraryError for what is no folder."""
    if isinstance(root, BucketAddress):
        return BucketSource(root)
    if not root.is_dir():
        raise LibraryError(f"{root} is not a folder")
    return FolderSource(root.resolve())


class FolderSource:
    """A `Source` of a folder; `root` is an absolute path without links."""

    def __init__(self, root: Path) -> None:
        self.root: SoundsAt = root
        self.texts = root
        self._prefix = str(root)

    def walk(self) -> Walked:
        """See `Source`."""
        return walk(self.texts)

    def state(self, path: str) -> FileState:
        """See `Source`."""
        return FileState.of(os.path.join(self._prefix, path))  # noqa: PTH118 -- each file of each run

    @contextmanager
    def reading(self, path: str, state: FileState) -> Iterator[Path]:
        """See `Source`."""
        yield self.texts / path
        if self.state(path) != state:
            raise ChangedError(0, "it has changed", path)

    def close(self) -> None:
        """See `Source`."""


class BucketSource:
    """A `Source` of the objects at an address: each is downloaded to be read, and kept as long as there is room.

    One that was sent to another process has listed nothing yet, and asks the store for each state.
    """

    def __init__(self, root: BucketAddress) -> None:
        self.root: SoundsAt = root
        self._bucket = Bucket(root)
        self._objects: dict[str, Object] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[Object, Path] = OrderedDict()
        self._used: dict[Object, int] = {}

    def __reduce__(self) -> tuple[type["BucketSource"], tuple[BucketAddress]]:
        """By its address."""
        return BucketSource, (self._bucket.address,)

    @property
    def texts(self) -> Path:
        """See `Source`. They are there after `walk`."""
        return self._aside("texts")

    def walk(self) -> Walked:
        """See `Source`."""
        try:
            self._objects = {one.name: one for one in self._bucket.objects()}
            walked = walk_names({name: one.bytes for name, one in self._objects.items()})
            manifests = [name for name in self._objects if "/" not in name and is_manifest_name(name)]
            for name in {*manifests, *walked.sidecars.values()}:
                self._fetch_text(name, _MOST_MANIFEST_BYTES if name in manifests else _MOST_SIDECAR_BYTES)
        except OSError as error:
            raise LibraryError(f"{self.root} cannot be read: {error.strerror}") from error
        if not self._objects:
            raise LibraryError(f"{self.root} has no objects")
        return walked

    def state(self, path: str) -> FileState:
        """See `Source`. It is that of when the objects were listed: reading one says whether it has changed."""
        return self._object(path).state

    @contextmanager
    def reading(self, path: str, state: FileState) -> Iterator[Path]:
        """See `Source`."""
        found = self._object(path)
        if found.state != state:
            raise ChangedError(0, "it has changed", path)
        with self._lock:
            self._used[found] = self._used.get(found, 0) + 1
            file = self._kept.get(found)
        try:
            if file is None:
                file = self._aside("spool") / os.urandom(8).hex()
                file = file.with_suffix(Path(path).suffix)
                try:
                    self._bucket.download(found, file)
                except OSError as error:
                    file.unlink(missing_ok=True)
                    if is_of_one(error):
                        raise
                    # Not the fault of this sound: an index without all that follow would be worse than none.
                    raise LibraryError(
                        f"{path} of {self.root} cannot be read: {error.strerror}; what was embedded is kept, run "
                        "it again"
                    ) from error
                with self._lock:
                    before = self._kept.setdefault(found, file)
                if before is not file:  # another thread was faster
                    file.unlink()
                    file = before
            yield file
        finally:
            with self._lock:
                self._used[found] -= 1
                if not self._used[found]:
                    del self._used[found]
                self._make_room()

    def close(self) -> None:
        """See `Source`."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _object(self, path: str) -> Object:
        found = self._objects.get(path)
        return self._bucket.object(path) if found is None else found

    def _make_room(self) -> None:
        over = sum(one.bytes for one in self._kept) - _SPOOLED_BYTES
        for one in list(self._kept):
            if over <= 0:
                return
            if one not in self._used:
                self._kept.pop(one).unlink(missing_ok=True)
                over -= one.bytes

    def _fetch_text(self, name: str, most_bytes: int) -> None:
        found = self._objects[name]
        if found.bytes > most_bytes:
            return  # whoever reads it says that it is not there
        file = self.texts / name
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            self._bucket.download(found, file)

    def _aside(self, name: str) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="thud-sounds-")
            folder = Path(self._folder.name, name)
            folder.mkdir(exist_ok=True)
        return folder.resolve()


def put_beside(manifest: Path, source: Source) -> Path:
    """The manifest as it would lie at the root of a source: for a folder the file itself, else a copy of it."""
    if isinstance(source.root, Path):
        return manifest
    copy = source.texts / f"manifest{manifest.suffix.lower()}"
    try:
        shutil.copyfile(manifest, copy)
    except OSError as error:
        raise LibraryError(f"{manifest} cannot be read: {error.strerror or error}") from error
    return copy
