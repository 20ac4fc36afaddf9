"""What the service answers besides recommendations (`index.answers.recommendation`)."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, Field

from index.answers.attribution import attribution_line
from index.answers.recommendation import MaterialName, sound_url
from index.catalogue import SoundRecord


class Sound(BaseModel):
    """The record of a sound in the catalogue."""

    id: str = Field(description="20 hex digits, a hash of the sound's content.")
    url: str = Field(description="Where its audio is.")
    title: str
    description: str | None
    tags: list[str]
    path: str = Field(description="Its file, relative to the library's folder.")
    copies: int = Field(description="How many more files of the library have the same content.")
    material: MaterialName | None
    label_from: str | None = Field(
        description="Where its material is said: `manifest`, `folder`, `tag` (of the file itself) or `name`."
    )
    action: str | None = Field(description="How it was made, such as hit or scratch, where the library says so.")
    duration: float = Field(description="Length in seconds.")
    hit: float = Field(description="Seconds at which it is struck, the main one of its hits.")
    hits: list[float] = Field(description="Seconds of all its hits, rising.")
    ends: list[float] = Field(description="For each of the hits, the seconds until which it is to be played.")
    peak: float = Field(description="Largest sample, relative to full scale.")
    loudness: float = Field(
        description="LUFS of the 0.4 s from the hit on (ITU-R BS.1770, momentary): play a sound louder by the "
        "difference to the level you want."
    )
    brightness: float = Field(description="Spectral centroid of the clip around its hit, in Hz.")
    sample_rate: int = Field(description="Of the file, in Hz.")
    channels: int
    format: str = Field(description="Of the file, such as WAV.")
    media_type: str
    playable: bool = Field(description="Whether browsers play the file as it is.")
    bytes: int = Field(description="Size of the file.")
    objects: list[str] = Field(description="Everyday objects that its name, its folders or its tags name.")
    source: str | None = Field(description="The site or dataset that it comes from, where the library says so.")
    origin: str | None = Field(description="Its address or name there.")
    author: str | None
    licence: str | None = Field(description="Under which licence it is, where the library says so.")
    attribution: str = Field(description="What credits must say of it, in one line.")

    @classmethod
    def of(cls, record: SoundRecord, root_path: str) -> Self:
        """A record of the catalogue; `root_path` is the prefix that the service is published at."""
        known = asdict(record) | {
            "url": sound_url(record.id, root_path),
            "duration": record.seconds,
            "material": MaterialName.of(record.material),
            "copies": len(record.copies),
            "attribution": attribution_line(record),
        }
        return cls(**{name: known[name] for name in cls.model_fields})


class Peaks(BaseModel):
    """The waveform of a sound, roughly."""

    duration: float = Field(description="Length in seconds.")
    hit: float = Field(description="Seconds at which it is struck, the main one of its hits.")
    hits: list[float] = Field(description="Seconds of all its hits, rising.")
    peaks: list[float] = Field(description="Of each of as many equal parts the largest sample, 1 for full scale.")


class SoundList(BaseModel):
    """The records of chosen sounds."""

    sounds: list[Sound]


class SoundPage(BaseModel):
    """One page of the catalogue."""

    total: int = Field(description="Sounds that match, over all pages.")
    sounds: list[Sound]
    next: str | None = Field(description="Address of the next page, null on the last one.")


@dataclass(slots=True)
class MaterialCount(MaterialName):
    """A material and how many sounds of it the library has."""

    sounds: int


class Materials(BaseModel):
    """The 17 materials as this library has them."""

    materials: list[MaterialCount]
    unlabelled: int = Field(description="Sounds whose material the library does not say.")
    total: int = Field(description="All sounds of the library.")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class RefusedSwap(BaseModel):
    """A bundle or an index that was not taken over, when and why."""

    when: datetime
    reason: str


class ReadyDetails(BaseModel):
    """What `?verbose` says of the process that answers."""

    process: int = Field(description="Its id.")
    waiting: int = Field(description="Pictures in the queue.")
    computing: int = Field(description="Pictures that are computed.")
    wait: float = Field(description="Seconds after which the turn of a picture should come that is sent now.")
    loaded: datetime = Field(description="When bundle and index were loaded.")
    precision: str = Field(
        description="In what pictures are computed: `float32`; `int8`; `int8 by exact kernels`, which are slower, "
        "where the fastest of this processor gave something else on a trial picture.",
        examples=["int8"],
    )
    refused: RefusedSwap | None = Field(None, description="The last bundle or index that was not taken over.")


class Ready(BaseModel):
    """The probe picture was just embedded and searched for."""

    status: Literal["ready"] = "ready"
    model: str
    index: str
    library: int = Field(description="Sounds in the library.")
    details: ReadyDetails | None = Field(None, description="Where `?verbose` asks for them.")
