"""How the C library's memory allocator keeps what is freed."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 2**25
"""Blocks of up to so many bytes are kept, and so many bytes at the end of each part of the heap; for the first,
glibc allows no more."""


def keep_freed_memory() -> None:
    """Keep freed blocks for the next picture rather than give them back to the system.

    A picture of megapixels takes several blocks of megabytes, and the system clears and maps each page of a new
    one: 2 to 6 % of the CPU time of a request of 12 megapixels (benchmarks/http_cost.py). Does nothing with other C
    libraries than glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
