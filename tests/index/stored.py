"""A store that speaks S3, in this process (moto), and sounds in it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from model.addresses import BucketAddress

KEYS = {
    "AWS_ACCESS_KEY_ID": "key-of-a-test",
    "AWS_SECRET_ACCESS_KEY": "secret-of-a-test",
    "AWS_REGION": "us-east-1",
}
_numbers = count()


class Store:
    """A bucket, and what a person does with it."""

    def __init__(self, url: str, bucket: str) -> None:
        import boto3

        self.bucket = bucket
        self.environment = KEYS | {"AWS_ENDPOINT_URL": url}
        self._client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_REGION"],
        )
        self._client.create_bucket(Bucket=bucket)

    def address(self, prefix: str = "") -> BucketAddress:
        return BucketAddress(self.bucket, prefix)

    def put(self, name: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=name, Body=content)

    def remove(self, name: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=name)

    def put_folder(self, folder: Path, prefix: str = "") -> None:
        """All files of a folder."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(prefix + file.relative_to(folder).as_posix(), file.read_bytes())


@contextmanager
def moto_server() -> Iterator[str]:
    """The address of a store that holds nothing."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_store(url: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A bucket of its own, which this process may read."""
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": url}).items():
        monkeypatch.setenv(name, value)
    return Store(url, f"sounds-{next(_numbers)}")
