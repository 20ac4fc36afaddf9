"""Where an index and its sounds are: in a folder, or where an address says.

milvus://HOST:PORT/NAME       an index in a Milvus; milvus+tls:// where it is reached by TLS
s3://BUCKET/PREFIX            sounds in an object store (`model.addresses`)
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model.addresses import BucketAddress, bucket_at, scheme_of, without_secrets
from model.errors import LibraryError

MILVUS_PORT = 19530
MILVUS_SECONDS = 2.0
DRAIN_SECONDS = 15.0

_SCHEMES = ("milvus", "milvus+tls")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 86_400.0
_VARIABLES = ("THUD_MILVUS_TOKEN", "THUD_MILVUS_CA", "THUD_MILVUS_SECONDS", "THUD_MILVUS_DRAIN_SECONDS")


@dataclass(frozen=True)
class MilvusAddress:
    """An index called `name` in the Milvus at `host` and `port`.

    `token` is its `user:password` or key, `ca` a file of certificates that its own is checked with where `tls` is
    true, None for those of the system. `seconds` is the time of a call; `drain_seconds`, how long a generation that
    was replaced is kept for those who still answer with it.
    """

    host: str
    port: int
    name: str
    tls: bool = False
    token: str = field(default="", repr=False)
    ca: Path | None = None
    seconds: float = MILVUS_SECONDS
    drain_seconds: float = DRAIN_SECONDS

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{_SCHEMES[self.tls]}://{host}:{self.port}/{self.name}"

    @property
    def uri(self) -> str:
        """The address as pymilvus takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def work_folder(self) -> Path:
        """Where indexing keeps what it knows of the sounds on this machine: cache, options, what was skipped."""
        states = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
        return states / "thud" / re.sub(r"[^A-Za-z0-9._-]", "-", f"{self.host}-{self.port}-{self.name}")


IndexAt = Path | MilvusAddress
SoundsAt = Path | BucketAddress


def index_at(text: str | os.PathLike[str] | MilvusAddress) -> IndexAt:
    """The folder or the address of an index; token and certificates of an address are those of the environment.

    Raises LibraryError for an address that is none.
    """
    if isinstance(text, MilvusAddress):
        return text
    if not isinstance(text, str) or not (scheme := scheme_of(text)):
        return Path(text)
    if scheme not in _SCHEMES:
        raise LibraryError(f"{without_secrets(text)} is no index: name a folder, or milvus://HOST:PORT/NAME")
    try:
        parts = urlsplit(text)
        port = MILVUS_PORT if parts.port is None else parts.port
    except ValueError as error:
        raise _no_address(text, str(error)) from error
    name = parts.path.strip("/")
    if parts.username is not None:
        raise _no_address(text, "it has a user in it, which others could read; give THUD_MILVUS_TOKEN")
    if parts.query or parts.fragment:
        raise _no_address(text, "nothing may follow the name")
    if not parts.hostname or re.search(r"\s", text):
        raise _no_address(text, "it names no host")
    if not port:
        raise _no_address(text, "there is no port 0")
    if not _NAME.fullmatch(name):
        raise _no_address(text, "the name has to be of letters, digits and _, beginning with no digit")
    return with_environment(MilvusAddress(parts.hostname, port, name, scheme == "milvus+tls"))


def with_environment(address: MilvusAddress, environment: Mapping[str, str] = os.environ) -> MilvusAddress:
    """The address with what the environment says of how to reach it. Raises LibraryError for what is no number."""
    token, ca, seconds, drain = (environment.get(name, "") for name in _VARIABLES)
    changes: dict[str, Any] = {"token": token, "ca": Path(ca) if ca else None}
    for name, text, variable in (("seconds", seconds, _VARIABLES[2]), ("drain_seconds", drain, _VARIABLES[3])):
        if text:
            changes[name] = _number(text, variable)
    return replace(address, **changes)


def sounds_at(text: str | os.PathLike[str] | BucketAddress) -> SoundsAt:
    """The folder or the address of sounds. Raises LibraryError for an address that is none."""
    if isinstance(text, BucketAddress):
        return text
    if not isinstance(text, str) or not scheme_of(text):
        return Path(text)
    return bucket_at(text, "folder of sounds")


def _number(text: str, variable: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not _LEAST_SECONDS <= value <= _MOST_SECONDS:
        raise LibraryError(
            f"{variable} is {text!r}; it must be seconds, from {_LEAST_SECONDS:g} to {_MOST_SECONDS:,.0f}"
        )
    return value


def _no_address(text: str, why: str) -> LibraryError:
    return LibraryError(f"{without_secrets(text)} is no address of an index, milvus://HOST:PORT/NAME: {why}")
