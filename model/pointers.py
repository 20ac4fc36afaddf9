"""Small files that stand in place of large ones: pointers of git-lfs, git-annex and DVC."""

from pathlib import Path

_MOST_BYTES = 1024
_CONTENTS = {
    b"version https://git-lfs.github.com/spec/": "a git-lfs pointer in place of the file; run git lfs pull",
    b"version https://hawser.github.com/spec/": "a git-lfs pointer in place of the file; run git lfs pull",
    b"/annex/objects/": "a git-annex pointer in place of the file; run git annex get",
}
_TARGETS = {
    "annex/objects/": "a git-annex link to content that is not here; run git annex get",
    ".dvc/cache/": "a DVC link to content that is not here; run dvc pull",
}


def pointer_in(content: bytes) -> str | None:
    """What to say of a file that begins with `content`, if it is a pointer, and what brings the file."""
    return next((reason for begin, reason in _CONTENTS.items() if content.startswith(begin)), None)


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
