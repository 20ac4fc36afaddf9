"""Keeping what a decoder in C prints about a file off the terminal."""

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_decoders() -> Iterator[None]:
    """Inside, what libraries in C print by their `stderr` goes nowhere, in all threads.

    libmpg123 inside libsndfile complains there of damaged MP3 files, into the middle of a progress bar and without
    their names. Only the variable of C's library is set: what Python, a failing assertion or a crash writes to file
    descriptor 2 is still seen. Does nothing where that variable is unknown. For one caller at a time.
    """
    variable = _c_stderr()
    if variable is None or _nowhere() is None:
        yield
        return
    before, variable.value = variable.value, _nowhere()
    try:
        yield
    finally:
        variable.value = before


def _c_stderr() -> ctypes.c_void_p | None:
    """C's `stderr`, which may be set in glibc and on macOS (elsewhere it can be a constant)."""
    if sys.platform == "darwin":
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "__stderrp")
    if platform.libc_ver()[0] == "glibc":
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    return None


@functools.cache
def _nowhere() -> int | None:
    """A stream of C's that is never closed: a thread may be writing to it."""
    fopen = ctypes.CDLL(None).fopen
    fopen.restype = ctypes.c_void_p
    stream: int | None = fopen(os.fsencode(os.devnull), b"w")
    return stream
