"""What stands in place of a file: pointers of git-lfs, git-annex and DVC, and its bytes as text."""

import re
from pathlib import Path

_MOST_BYTES = 1024
_CONTENTS = {
    b"version https://git-lfs.github.com/spec/": "a git-lfs pointer in place of the file; run git lfs pull",
    b"version https://hawser.github.com/spec/": "a git-lfs pointer in place of the file; run git lfs pull",
    b"/annex/objects/": "a git-annex pointer in place of the file; run git annex get",
}
_DVC = re.compile(rb"(?s)(?:.*\n)?outs:\r?\n- (?:md5|etag|checksum|hash|size|path): ")
_DATA_ADDRESS = re.compile(rb"\s*data:[\w.+-]+/[\w.+-]+[;,]", re.IGNORECASE)
_BASE64 = re.compile(rb'[\s"]*[A-Za-z0-9+/_-]{32}[A-Za-z0-9+/_=\s"-]*')
_LOOKED_AT = 4096
_TARGETS = {
    "annex/objects/": "a git-annex link to content that is not here; run git annex get",
    ".dvc/cache/": "a DVC link to content that is not here; run dvc pull",
}


def pointer_in(content: bytes) -> str | None:
    """What to say of a file that begins with `content`, if it is a pointer, and what brings the file."""
    found = next((reason for begin, reason in _CONTENTS.items() if content.startswith(begin)), None)
    if found is None and len(content) <= _MOST_BYTES and _DVC.match(content):
        return "a DVC pointer in place of the file; run dvc pull"
    return found


def text_in(content: bytes) -> str | None:
    """What to say of a file that begins with `content`, if that is another file's bytes written as text."""
    if _DATA_ADDRESS.match(content):
        return "a data: address in place of the file; decode what follows its comma, and send those bytes"
    if _BASE64.fullmatch(content[:_LOOKED_AT]):
        return "text, which looks like base64, in place of the file; decode it, and send those bytes"
    return None


def pointer_at(path: str | Path, size: int) -> str | None:
    """The same of a regular file of `size` bytes. A file that cannot be read is none."""
    if size > _MOST_BYTES:
        return None
    try:
        with Path(path).open("rb") as handle:
            return pointer_in(handle.read(_MOST_BYTES))
    except OSError:
        return None


def pointer_behind(link: str | Path) -> str | None:
    """The same of a link whose target does not exist."""
    try:
        target = Path(link).readlink().as_posix()
    except OSError:
        return None
    return next((reason for part, reason in _TARGETS.items() if part in target), None)
