"""Addresses in place of the names of folders. Of a bucket in an object store: s3://BUCKET/PREFIX."""

import re
from dataclasses import dataclass

from model.errors import LibraryError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_NEARLY = re.compile(r"\s*(milvus(\+tls)?|s3):", re.IGNORECASE)
_LINK = re.compile(r"\?.*(signature|credential|accesskey|token)[a-z]*=", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


@dataclass(frozen=True)
class BucketAddress:
    """The objects of a `bucket` whose names begin with `prefix`, which is empty or ends with a slash."""

    bucket: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def __truediv__(self, name: str) -> str:
        """The address of one object."""
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def exists(self) -> bool:
        """True. Whether it is there is seen when it is read."""
        return True


def scheme_of(text: str) -> str | None:
    """What stands before ://, None in the name of a folder. Raises LibraryError for what only looks like one."""
    if scheme := _SCHEME.match(text):
        return scheme[1].lower()
    if _NEARLY.match(text):
        raise LibraryError(f"{without_secrets(text)} is no address: one begins with milvus:// or s3://")
    return None


def bucket_at(text: str, what: str) -> BucketAddress:
    """The objects at an address, which are to be `what`. Raises LibraryError for one that is none of a bucket."""
    if scheme_of(text) != "s3":
        raise LibraryError(f"{without_secrets(text)} is no {what}: name one, or s3://BUCKET/PREFIX")
    if _LINK.search(text):
        raise LibraryError(
            f"{without_secrets(text)} is given as a link with a signature; leave out what follows the ?"
        )
    bucket, _, prefix = text.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise LibraryError(
            f"{without_secrets(text)} names no bucket: it is written s3://BUCKET/PREFIX, and keys stand in the "
            "environment"
        )
    prefix = prefix.removesuffix("/")
    if prefix and not all(part not in ("", ".", "..") for part in prefix.split("/")):
        raise LibraryError(f"{without_secrets(text)} has a part without a name, which cannot be read")
    return BucketAddress(bucket, f"{prefix}/" if prefix else "")


def without_secrets(text: str) -> str:
    """The text without what stands before an @, and without what follows a ?."""
    return re.sub(r"(:/*).*@", r"\1...@", text.partition("?")[0])
