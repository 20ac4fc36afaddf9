"""How the C library's memory allocator keeps what is freed, and how much address space it takes."""

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGEST_KEPT_BYTES = 2**25
_MOST_KEPT_BYTES = 2**25
"""At the end of each part of the heap. With twice as much, 64 clients with 12 megapixels made it 440 MB instead of
less than 400."""


def keep_freed_memory(threads: int) -> None:
    """Keep freed blocks for the next picture rather than give them back to the system; for `threads` that compute.

    A picture of megapixels takes several blocks of megabytes, and the system clears and maps each page of a new
    one: 1 to 6 % of the CPU time of a request of 12 megapixels (benchmarks/http_cost.py). As many threads have a
    heap of their own as compute, and the others share these: each takes 64 MiB of address space, which may be
    limited. Threads that were started before keep theirs. Does nothing with other C libraries than glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT_BYTES)
    mallopt(_M_ARENA_MAX, threads)
