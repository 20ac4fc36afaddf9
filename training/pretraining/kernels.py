"""One set of arithmetic kernels on every x86-64 processor: the same files then give the same bundle, to the bit.

PyTorch, oneDNN, MKL, OpenBLAS and NumPy each choose code by the processor, and add up in another order on another
one, or with another number of threads. They read their environment when they are loaded, so that it is set before.
"""

import os
import sys
from collections.abc import MutableMapping

_ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    # What MKL computes with AVX2 is another sum on AMD's processors. This is its slowest code; large products are
    # NumPy's (`products`).
    "MKL_CBWR": "COMPATIBLE",
    # Of NumPy 2.4 and later, then of the ones before; names that a NumPy does not know it ignores.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def fix_kernels(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Have the same code run on every x86-64 processor with AVX2, by one thread; whether that was possible.

    It is not where NumPy or PyTorch is loaded already, as in a program that imports Thud; then nothing is changed.
    """
    if "numpy" in sys.modules or "torch" in sys.modules:
        return False
    environment.update(_ENVIRONMENT)
    return True


def kernels_fixed(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Whether this process was started, or has started, with `fix_kernels`."""
    return all(environment.get(name) == value for name, value in _ENVIRONMENT.items())
