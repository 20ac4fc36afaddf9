"""How the C library's memory allocator keeps what is freed."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_KEPT_BYTES = 2**25
"""Larger blocks are taken from the system and given back each time; glibc allows no more than this."""
_MOST_KEPT_BYTES = 2**27


def keep_freed_memory() -> None:
    """Keep freed blocks for the next picture rather than give them back to the system.

    A picture of megapixels takes several blocks of megabytes, and the system clears and maps each page of a new
    one: 4 to 8 % of the CPU time of a request of 12 megapixels. For glibc; does nothing with other C libraries.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT_BYTES)
