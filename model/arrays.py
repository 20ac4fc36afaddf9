"""Reading a NumPy archive (.npz) of known arrays, whatever is wrong with it."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt


def read_arrays(source: Path | BinaryIO, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """The arrays `names` of the archive, as they are.

    Raises ValueError where the file is no archive or is damaged, and OSError where it cannot be opened.
    """
    if not zipfile.is_zipfile(source):
        if isinstance(source, Path):
            source.stat()  # one that is not there is an OSError
        raise ValueError("it is no NumPy archive (.npz)")
    arrays = {}
    with np.load(source, allow_pickle=False) as stored:
        for name in names:
            if name not in stored:
                raise ValueError(f"it has no array {name}")
            try:
                array = stored[name]
            except Exception as error:  # zipfile, zlib and NumPy each have their own for what is damaged
                raise ValueError(f"{name} cannot be read: {error}") from error
            if not isinstance(array, np.ndarray):  # what a member of the archive that is no array comes as
                raise ValueError(f"{name} is no array")
            arrays[name] = array
    return arrays
