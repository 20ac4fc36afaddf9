"""The engines, one of each for all tests that change nothing of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.servers import MilvusServer, milvus_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.engines)


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A Milvus that runs as long as the tests do."""
    with milvus_server(tmp_path_factory.mktemp("milvus") / "server") as server:
        yield server
