"""Objects in a store that speaks S3: listed, read in parts, named by links.

Who may read them, and where the store is, obstore reads in the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL and others.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from model.addresses import BucketAddress, without_secrets
from model.errors import LibraryError
from model.file_state import ChangedError, FileState, folded_number
from model.terminal import printable

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

_BLOCK_BYTES = 2**23
_LONGEST_REASON = 200
_OPTIONS: dict[str, Any] = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=60)}
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
_OF_ONE = re.compile(r"status code: 4(?!08|29)")
"""What a store answers about one request: the others are not asked in vain."""
_RETRIES: dict[str, Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


@dataclass(frozen=True)
class Object:
    """An object: its name after the address's prefix, its size, its ETag, when it was written in ns since 1970."""

    name: str
    bytes: int
    etag: str
    written_ns: int

    @property
    def state(self) -> FileState:
        """What changes when it does. Of the time whole seconds: a list has more digits than what is said of one."""
        number = int.from_bytes(hashlib.sha256(self.etag.encode()).digest()[:8], "big")
        written_ns = self.written_ns - self.written_ns % 10**9
        return FileState(self.bytes, written_ns, written_ns, folded_number(number))


class Bucket:
    """The objects at an address. Safe to use from several threads; it can be sent to other processes.

    Errors come as OSError. Raises LibraryError where obstore is not installed.
    """

    def __init__(self, address: BucketAddress) -> None:
        self.address = address
        try:
            import obstore  # noqa: F401 -- only where sounds lie in a store
        except ModuleNotFoundError as error:
            if error.name != "obstore":
                raise
            raise LibraryError(
                "what lies in a store is read by obstore; install it with: pip install 'thud[s3]'"
            ) from error
        _check_environment()

    def __reduce__(self) -> tuple[type["Bucket"], tuple[BucketAddress]]:
        """With its address alone: whoever receives it has an environment of its own."""
        return Bucket, (self.address,)

    def objects(self) -> Iterator[Object]:
        """All objects, in no particular order."""
        import obstore

        with _as_os_errors(str(self.address)):
            for page in obstore.list(self._store):
                yield from (one for one in map(_object, page) if one.name)

    def object(self, name: str) -> Object:
        """What is known of one object now."""
        import obstore

        with _as_os_errors(name):
            return _object(obstore.head(self._store, name))

    def read(self, name: str, start: int, length: int, etag: str) -> bytes:
        """Up to `length` bytes of an object from `start` on. Raises ChangedError where it has another ETag now."""
        import obstore

        if length <= 0:
            return b""
        with _as_os_errors(name):
            options: Any = {"range": (start, start + length), "if_match": etag}
            found = obstore.get(self._store, name, options=options)
            if _object(found.meta).etag != etag:  # a store that does not know If-Match
                raise ChangedError(errno.ESTALE, "it has changed", name)
            return bytes(found.bytes())

    def download(self, wanted: Object, file: Path) -> None:
        """Write an object to a file, block by block. Raises ChangedError where it is another one now."""
        with file.open("wb") as out:
            for start in range(0, wanted.bytes, _BLOCK_BYTES):
                out.write(self.read(wanted.name, start, _BLOCK_BYTES, wanted.etag))

    def link(self, name: str, seconds: float) -> str:
        """An address at which everybody may read an object for so many seconds."""
        import obstore

        with _as_os_errors(name):
            return obstore.sign(self._store, "GET", name, timedelta(seconds=seconds))

    @cached_property
    def _store(self) -> "S3Store":
        from obstore.store import S3Store

        options = dict(_OPTIONS)
        if any(os.environ.get(name, "").lower().startswith("http://") for name in _ENDPOINTS):
            options["allow_http"] = True  # whoever writes it so means it
        prefix = self.address.prefix.rstrip("/") or None
        with _as_os_errors(str(self.address)):
            return S3Store(
                self.address.bucket,
                prefix=prefix,
                client_options=cast(Any, options),
                retry_config=cast(Any, _RETRIES),
            )


def _check_environment() -> None:
    """Raise LibraryError for what obstore would end the program with: an endpoint that is none, a line's end."""
    for name, value in os.environ.items():
        if name.startswith("AWS_") and not value.isprintable():
            raise LibraryError(f"{name} has a character that cannot be in it, such as the end of a line")
    for name in _ENDPOINTS:
        if name not in os.environ:
            continue
        value = os.environ[name]
        try:
            parts = urlsplit(value)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or " " in value:
            raise LibraryError(
                f"{name} is {without_secrets(value)!r}; it must be as http://HOST:PORT or https://HOST"
            )


def _object(meta: "ObjectMeta") -> Object:
    written = meta["last_modified"].timestamp()
    return Object(meta["path"], meta["size"], meta["e_tag"] or "", round(written * 10**9))


def is_of_one(error: OSError) -> bool:
    """Whether an error is about one object: it is not there, may not be read, has changed, or has an odd name.

    Others are about the store or this machine, and would be those of all objects that follow.
    """
    return isinstance(error, (FileNotFoundError, PermissionError, ChangedError)) or error.errno == errno.EINVAL


@contextmanager
def _as_os_errors(name: str) -> Iterator[None]:
    from obstore import exceptions

    try:
        yield
    except (exceptions.NotFoundError, FileNotFoundError) as error:
        raise FileNotFoundError(errno.ENOENT, f"it is not there ({_reason(error)})", name) from error
    except exceptions.PreconditionError as error:
        raise ChangedError(errno.ESTALE, "it has changed", name) from error
    except ValueError as error:
        raise OSError(errno.EINVAL, f"a name that obstore cannot read: {_reason(error)}", name) from error
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, f"the store refuses it ({_reason(error)})", name) from error
    except exceptions.BaseError as error:
        kind = errno.EINVAL if _OF_ONE.search(str(error)) else errno.EIO
        raise OSError(kind, _reason(error), name) from error


def _reason(error: BaseException) -> str:
    """What the store has said: the end of the first line of obstore's words, which begin with the request."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    said = first.rpartition(" - ")[2].partition(": <?xml")[0].strip(" :")[:_LONGEST_REASON]
    if "error sending request" in said or "builder error" in said:
        said += "; is AWS_ENDPOINT_URL that of the store, and are there keys?"
    return "the store has nothing there" if "404 Not Found" in said else printable(said)
