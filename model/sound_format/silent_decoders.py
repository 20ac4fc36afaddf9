"""Keeping the messages of decoders written in C off the terminal."""

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_decoders() -> Iterator[None]:
    """Inside the block, in all threads, what C libraries print to their variable `stderr` is discarded.

    libmpg123 inside libsndfile complains there about damaged MP3 files, in the middle of a progress bar and without
    their names. Only the variable `stderr` of the C library is changed: what Python, a failing assertion or a crash
    writes to file descriptor 2 is still seen. Does nothing where that variable is unknown. One caller at a time.
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
    """The C library's `stderr`, which can be assigned in glibc and on macOS (elsewhere it may be a constant)."""
    if sys.platform == "darwin":
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "__stderrp")
    if platform.libc_ver()[0] == "glibc":
        return ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    return None


@functools.cache
def _nowhere() -> int | None:
    """A C stream to the null device. It is never closed, because another thread may be writing to it."""
    fopen = ctypes.CDLL(None).fopen
    fopen.restype = ctypes.c_void_p
    stream: int | None = fopen(os.fsencode(os.devnull), b"w")
    return stream
