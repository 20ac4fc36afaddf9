"""The progress bar of long commands, on stderr."""

import sys
from typing import Never

from tqdm import tqdm


def progress(title: str, total: int, unit: str, done: int = 0, *, quiet: bool = False) -> "tqdm[Never]":
    """A bar over `total` items called `unit`, `done` of them done before. A log file gets a line every 10 s."""
    seconds = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total,
        initial=done,
        unit=unit,
        desc=title,
        mininterval=seconds,
        leave=False,
        file=sys.stderr,
        disable=quiet,
    )
