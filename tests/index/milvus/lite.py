"""Milvus Lite: the interface of a Milvus in this process, by which unit tests see an index in one."""

import logging
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from index.address import MilvusAddress
from index.answers.milvus_store import MilvusStore
from index.catalogue import SoundRecord, write_catalogue
from index.milvus.publisher import MilvusPublisher
from index.nearest.hubs import HubnessRecord, Hubs
from index.nearest.vectors import Vectors
from index.publishing import About, Prepared

BUNDLE = "1" * 16
_numbers = count()


@cache
def milvus_lite() -> tuple[str, int]:
    """Host and port of one that runs as long as this process does."""
    from milvus_lite import server_manager_instance

    logging.getLogger("faiss").setLevel(logging.ERROR)
    address = server_manager_instance.start_and_get_uri(str(Path(mkdtemp(prefix="thud-milvus-"), "lite.db")))
    host, _, port = address.rpartition("/")[2].rpartition(":")
    return host, int(port)


def new_address(**known: object) -> MilvusAddress:
    """An address in it at which there is nothing yet."""
    host, port = milvus_lite()
    options = {"seconds": 20.0, "drain_seconds": 0.01} | known
    return MilvusAddress(host, port, f"library_{next(_numbers)}", **options)  # type: ignore[arg-type]


def about(records: list[SoundRecord], identity: str = "0" * 16) -> About:
    """What is said of a generation of records."""
    return About(identity, BUNDLE, "/sounds", len(records), Counter(one.material for one in records), 0, 0)


@contextmanager
def published(
    address: MilvusAddress,
    records: list[SoundRecord],
    vectors: Vectors,
    biases: Vectors | None = None,
    columns: tuple[int, ...] | None = None,
) -> Iterator[MilvusStore]:
    """The store of a generation that was just published."""
    hubs = None
    if biases is not None:
        hubs = Hubs(biases, HubnessRecord(strength=1, neighbours=1, pictures=1, skew_before=0, skew_after=0))
    with TemporaryDirectory() as folder, closing(MilvusPublisher(address)) as publisher:
        write_catalogue(Path(folder, "catalogue.sqlite"), records)
        publisher.begin(about(records))
        publisher.add(Prepared(vectors, Path(folder, "catalogue.sqlite"), hubs, columns))
        publisher.commit()
        publisher.drop()
    with closing(MilvusStore.open(address, BUNDLE)) as store:
        yield store


def nobody_listens() -> int:
    """A port at which nobody does."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
