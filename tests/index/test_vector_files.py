"""Files of vectors that Thud did not write, or that were damaged: each is refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from index.nearest.vectors import LISTS, VECTORS, SearchRecord, VectorIndex
from model.errors import LibraryError
from tests.index.test_picture_columns import pictures
from tests.index.test_vectors import COLUMNS, COUNT, SIZE, clustered, load


@pytest.fixture(scope="module")
def narrow() -> VectorIndex:
    return VectorIndex.build(clustered(COUNT), "ivf", threads=2, columns=COLUMNS, queries=pictures(50))


Lie = Callable[[Path, Path], object]


def numbers(path: Path) -> npt.NDArray[np.float32]:
    return np.memmap(path, np.float32, "r+")


def change(place: int, value: float) -> Lie:
    def lie(vectors: Path, lists: Path) -> None:
        numbers(vectors)[place] = value

    return lie


def rewrite(harm: Callable[[Any, Any], faiss.Index | None]) -> Lie:
    """Changes the FAISS index, or writes the one that is returned."""

    def lie(vectors: Path, lists: Path) -> None:
        index: Any = faiss.read_index(str(lists))
        faiss.write_index(harm(index, faiss.downcast_index(index.quantizer)) or index, str(lists))

    return lie


def ids(index: Any, number: int) -> npt.NDArray[np.int64]:
    found: npt.NDArray[np.int64] = faiss.rev_swig_ptr(
        index.invlists.get_ids(number), index.invlists.list_size(number)
    )
    return found


def put(array: npt.NDArray[Any], value: float) -> None:
    array[0] = value


def euclid(index: Any, quantizer: Any) -> None:
    index.metric_type = faiss.METRIC_L2


def graph(index: Any, quantizer: Any) -> faiss.Index:
    made = faiss.IndexHNSWFlat(len(COLUMNS), 4, faiss.METRIC_INNER_PRODUCT)
    made.add(np.ones((10, len(COLUMNS)), np.float32))
    return made


def of_other_columns(index: Any, quantizer: Any) -> faiss.Index:
    made = faiss.IndexIVFFlat(faiss.IndexFlatIP(SIZE), SIZE, 4, faiss.METRIC_INNER_PRODUCT)
    made.train(clustered(1000))
    made.add(clustered(COUNT))
    return made


def fewer(index: Any, quantizer: Any) -> None:
    index.remove_ids(np.array([5]))


def once_more(index: Any, quantizer: Any) -> None:
    index.add_with_ids(np.ones((1, len(COLUMNS)), np.float32), np.array([5]))


def centroid(index: Any, quantizer: Any) -> None:
    put(faiss.rev_swig_ptr(quantizer.get_xb(), len(COLUMNS)), np.nan)


@pytest.mark.parametrize(
    "lie",
    [
        change(0, np.nan),
        change(5, 1000.0),
        change(-1, np.inf),
        change(0, 0.5),
        lambda vectors, lists: vectors.write_bytes(vectors.read_bytes()[:-4]),
        lambda vectors, lists: vectors.write_bytes(vectors.read_bytes() + bytes(4)),
        lambda vectors, lists: lists.write_bytes(lists.read_bytes()[:-100]),
        rewrite(euclid),
        rewrite(graph),
        rewrite(of_other_columns),
        rewrite(fewer),
        rewrite(once_more),
        rewrite(centroid),
        rewrite(lambda index, _: put(ids(index, 3), COUNT)),
        rewrite(lambda index, _: put(ids(index, 3), -1)),
        rewrite(lambda index, _: put(ids(index, 3), ids(index, 4)[0])),
        rewrite(lambda index, _: put(ids(index, 3), ids(index, 3)[1])),
        rewrite(lambda index, _: put(faiss.rev_swig_ptr(index.invlists.get_codes(3), 4), 1)),
    ],
)
def test_what_thud_does_not_write_is_refused(lie: Lie, narrow: VectorIndex, tmp_path: Path) -> None:
    narrow.save(tmp_path)
    load(tmp_path, narrow)
    lie(tmp_path / VECTORS, tmp_path / LISTS)
    with pytest.raises(LibraryError, match="run thud index again"):
        load(tmp_path, narrow)


@pytest.mark.parametrize("columns", [(4, 3), (3, 3), (-1, 3), (3, 128)])
def test_columns_that_are_none_are_refused(columns: tuple[int, ...], narrow: VectorIndex, tmp_path: Path) -> None:
    narrow.save(tmp_path)
    contents = {name: (tmp_path / name).read_bytes() for name in narrow.record.files}
    record = narrow.record.model_copy(update={"columns": columns})
    with pytest.raises(LibraryError, match="columns of the index"):
        VectorIndex.load(contents, record, SIZE)


@pytest.mark.parametrize("probes", [(0, 5), (5, 4), (-1, 5)])
def test_a_record_that_searches_no_lists_is_refused(probes: tuple[int, int], narrow: VectorIndex) -> None:
    fields = narrow.record.model_dump() | {"probes": probes[0], "probes_at_most": probes[1]}
    with pytest.raises(ValidationError, match=r"probes|inverted lists"):
        SearchRecord.model_validate(fields)


def test_a_file_that_is_no_index_is_refused(narrow: VectorIndex, tmp_path: Path) -> None:
    narrow.save(tmp_path)
    (tmp_path / LISTS).write_bytes(b"nothing of FAISS" * 10)
    with pytest.raises(LibraryError, match="cannot read"):
        load(tmp_path, narrow)
    (tmp_path / VECTORS).write_bytes(b"nothing of Thud" * 10)
    with pytest.raises(LibraryError, match="not as many"):
        load(tmp_path, narrow)
