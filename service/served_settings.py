"""The settings that say what is served, and where it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from index import DEFAULT_INDEX
from index.address import DRAIN_SECONDS, MILVUS_SECONDS, IndexAt, SoundsAt, index_at, sounds_at
from model import PRETRAINED
from model.errors import LibraryError


def _index(value: object) -> object:
    return _at(index_at, value)


def _sounds(value: object) -> object:
    return _at(sounds_at, value)


def _at(read: Callable[[str], object], value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return read(value)
    except LibraryError as error:
        raise ValueError(str(error)) from error


class ServedSettings(BaseSettings):
    """Bundle, index and sounds; how their engine and their store are reached."""

    bundle: Path = Field(
        PRETRAINED,
        description="Folder of the bundle (`thud export`).",
        json_schema_extra={"default_text": "the one that comes with Thud"},
    )
    index: Annotated[IndexAt, BeforeValidator(_index)] = Field(
        DEFAULT_INDEX,
        description="Folder of the index (`thud index`), or milvus://HOST:PORT/NAME, made with the same bundle.",
    )
    sounds: Annotated[SoundsAt | None, BeforeValidator(_sounds)] = Field(
        None,
        description="Where the sound files are, a folder or s3://BUCKET/PREFIX, if they have moved since the index "
        "was made.",
    )
    sounds_link_seconds: float = Field(
        0.0,
        ge=0,
        le=604_800,
        description="Answer who asks for a sound in a store with a link to it that is good for so many seconds, in "
        "place of its bytes; 0 sends the bytes.",
    )
    milvus_token: SecretStr = Field(
        SecretStr(""),
        description="user:password or key of the Milvus that has the index. Better given as the variable.",
        json_schema_extra={"default_text": "none"},
    )
    milvus_ca: Path | None = Field(
        None, description="File of certificates that milvus+tls:// is checked with, in place of the system's."
    )
    milvus_seconds: float = Field(
        MILVUS_SECONDS, gt=0, description="Time of a call to the Milvus; what takes longer is answered with 503."
    )
    milvus_drain_seconds: float = Field(
        DRAIN_SECONDS,
        gt=0,
        description="For `thud index`: how long a generation that was replaced is kept in the Milvus.",
    )

    @property
    def index_at(self) -> IndexAt:
        """The folder of the index, or its address with all that is needed to reach it."""
        if isinstance(self.index, Path):
            return self.index
        return replace(
            self.index,
            token=self.milvus_token.get_secret_value(),
            ca=self.milvus_ca,
            seconds=self.milvus_seconds,
            drain_seconds=self.milvus_drain_seconds,
        )
