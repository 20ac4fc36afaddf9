"""One choice of arithmetic kernels for x86-64 under Linux, not left to each library and the processor; and memory.

PyTorch, oneDNN, MKL, OpenBLAS and NumPy each choose code by the processor, and add up in another order on another
one, or with another number of threads. They read their environment when they are loaded, so that it is set before.
"""

import ctypes
import os
import platform
import sys
from collections.abc import MutableMapping
from importlib.metadata import version
from pathlib import Path

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_AS_WITH_AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    # What MKL computes with AVX2 is another sum on AMD's processors. This is its slowest code; large products are
    # NumPy's (`products`).
    "MKL_CBWR": "COMPATIBLE",
}
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""What glibc's mallopt calls the most free bytes that it keeps, and the most blocks with pages of their own."""
_NUMPY_NAMES = "X86_V4 AVX512_ICL AVX512_SPR"
_NUMPY_NAMES_BEFORE = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
"""What NumPy calls the kernels that it is not to use; the first names are those of 2.4 and later."""


def fix_kernels(environment: MutableMapping[str, str] = os.environ, machine: str | None = None) -> bool:
    """Compute with code for AVX2, by one thread, whatever the processor has beyond that; whether that was possible.

    It is not, and nothing is changed, where NumPy or PyTorch is loaded already, as in a program that imports Thud,
    and on a processor (`machine`, by default this one) without AVX2, or one of which that is not known.
    """
    if "numpy" in sys.modules or "torch" in sys.modules or not _has_avx2(machine or platform.machine()):
        return False
    environment.update(_ONE_THREAD | _AS_WITH_AVX2)
    environment.pop("NPY_ENABLE_CPU_FEATURES", None)  # NumPy takes one of the two
    major, minor = (int(part) for part in version("numpy").split(".")[:2])
    environment["NPY_DISABLE_CPU_FEATURES"] = _NUMPY_NAMES if (major, minor) >= (2, 4) else _NUMPY_NAMES_BEFORE
    return True


def keep_memory() -> bool:
    """Have the C library keep freed memory for the next batch, where it is glibc; whether it does.

    It gives large blocks back to the system and asks for them again, and each time every page is cleared.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or system
        return False
    return all(mallopt(name, value) for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1)))


def kernels_fixed(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Whether this process has started with `fix_kernels`."""
    return all(environment.get(name) == value for name, value in (_ONE_THREAD | _AS_WITH_AVX2).items())


def _has_avx2(machine: str) -> bool:
    if machine not in ("x86_64", "AMD64"):
        return False
    try:
        return " avx2 " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False  # not Linux
