"""The state of a sound's file, by which a change is noticed."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

SETTLED_NS = 2 * 10**9
"""Only a state that is older than this stands for one content: some file systems have clocks of two seconds."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What changes when a file does.

    The size and the time of writing (`written_ns`) can be set back after a change; `changed_ns` and `inode` cannot.
    Of an object in a store, `inode` stands for its ETag.
    """

    bytes: int
    written_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, path: str | Path) -> "FileState":
        """The state of the file now. Raises OSError."""
        found = os.stat(path)  # noqa: PTH116 -- the one call for each file that every run makes
        return cls(found.st_size, *map(folded_number, (found.st_mtime_ns, found.st_ctime_ns, found.st_ino)))

    def settled(self) -> bool:
        """Whether it is old enough to stand for one content."""
        return time.time_ns() - self.changed_ns >= SETTLED_NS


def folded_number(number: int) -> int:
    """The last 63 bits of it. SQLite has no larger numbers; dates from 2262 on, and inodes of some network file
    systems, are larger."""
    return number & (2**63 - 1)


class ChangedError(OSError):
    """A file that is no longer in the state in which it was found."""
