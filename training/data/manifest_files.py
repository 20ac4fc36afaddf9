"""Where the files lie that a manifest lists: in its folder, or in an object store beside it."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from posixpath import normpath
from typing import Protocol

from model.addresses import BucketAddress, bucket_at, scheme_of
from model.bucket import Bucket, Object, is_of_one
from model.file_state import ChangedError
from model.terminal import printable
from training.data.items import SourceAwayError, Stamp, stamps

_MANIFEST = "manifest.csv"
_TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson")
_LONGEST_SUFFIX = 10


class ManifestFiles(Protocol):
    """A manifest and the files around it, by their paths. It can be sent to other processes."""

    @property
    def manifest(self) -> str:
        """What the manifest is called, in messages."""

    @property
    def name(self) -> str:
        """The manifest's own name."""

    def stamps(self, paths: Sequence[str]) -> tuple[Stamp, ...]:
        """Of each file what changes when it does, zeros where it is missing."""

    def reading(self, path: str) -> AbstractContextManager[Path]:
        """A file of this machine, for the block. Raises OSError, and SourceAwayError where a store is away."""


def manifest_files(text: str | Path) -> ManifestFiles:
    """The files at a path or an address: a manifest, or where manifest.csv lies.

    In a store, what ends as tables do (`_TABLES`) is a manifest. Raises LibraryError for an address that is none.
    """
    if isinstance(text, Path) or not scheme_of(text):
        file = Path(text)
        return FolderFiles(file / _MANIFEST if file.is_dir() else file)
    folder, _, name = text.rpartition("/")
    if not name.lower().endswith(_TABLES) or folder.endswith(":/"):
        folder, name = text, _MANIFEST
    return StoredFiles(bucket_at(folder, "manifest"), name)


@dataclass(frozen=True)
class FolderFiles:
    """`ManifestFiles` around a file."""

    file: Path

    @property
    def manifest(self) -> str:
        """See `ManifestFiles`."""
        return str(self.file)

    @property
    def name(self) -> str:
        """See `ManifestFiles`."""
        return self.file.name

    def stamps(self, paths: Sequence[str]) -> tuple[Stamp, ...]:
        """See `ManifestFiles`."""
        return stamps(*(self.file.parent / path for path in paths))

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """See `ManifestFiles`."""
        yield self.file.parent / path


@dataclass(frozen=True)
class StoredFiles:
    """`ManifestFiles` in a store, beside the object `name` at `address`: each is downloaded while it is read."""

    address: BucketAddress
    name: str

    @property
    def manifest(self) -> str:
        """See `ManifestFiles`."""
        return self.address / self.name

    def stamps(self, paths: Sequence[str]) -> tuple[Stamp, ...]:
        """See `ManifestFiles`. Raises SourceAwayError where the objects cannot be listed."""
        found = [self._objects.get(normpath(path)) for path in paths]
        return tuple((0, 0) if one is None else (one.bytes, one.state.inode) for one in found)

    @contextmanager
    def reading(self, path: str) -> Iterator[Path]:
        """See `ManifestFiles`. It is written to the folder for temporary files."""
        with _folder() as folder:
            file = Path(folder, "file" + Path(path).suffix[:_LONGEST_SUFFIX])
            try:
                bucket = _bucket(self.address)
                bucket.download(bucket.object(normpath(path)), file)
            except OSError as error:
                if is_of_one(error) and not self._is_refused(error):
                    raise
                raise SourceAwayError(
                    f"{printable(self.address / path)} cannot be read: {error.strerror}"
                ) from error
            yield file

    def _is_refused(self, error: OSError) -> bool:
        """Whether the store refuses the manifest too, as where a key has been taken back."""
        if isinstance(error, (FileNotFoundError, ChangedError)):
            return False
        try:
            _bucket(self.address).object(self.name)
        except OSError:
            return True
        return False

    @cached_property
    def _objects(self) -> dict[str, Object]:
        try:
            return {one.name: one for one in _bucket(self.address).objects()}
        except OSError as error:
            raise SourceAwayError(f"{self.address} cannot be read: {error.strerror}") from error

    def __reduce__(self) -> tuple[type["StoredFiles"], tuple[BucketAddress, str]]:
        """Without the list: those who read do not need it."""
        return StoredFiles, (self.address, self.name)


def _folder() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="thud-")
    except OSError as error:
        raise SourceAwayError(f"nothing can be put aside on this machine: {error.strerror}") from error


@lru_cache(4)
def _bucket(address: BucketAddress) -> Bucket:
    """One connection for each process."""
    return Bucket(address)
