"""What the service answers: the responses of the OpenAPI document.

Pydantic models; those of a recommendation are dataclasses, of which nothing is checked when they are made: an
answer has some 40 of them, and is made in half the time.
"""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter
from pydantic_core import PydanticCustomError

from index.answer import Answer, RecommendedSound
from index.catalogue import SoundRecord
from model.materials import material_named

_WHOLE = re.compile(r"-?[0-9]+")
_DECIMAL = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")


def decimal(text: str) -> float:
    """The number, which may have an exponent, and spaces around it. Raises ValueError for anything else."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text!r} is no number")
    return float(text)


def _whole(given: Any) -> Any:
    if isinstance(given, str) and not _WHOLE.fullmatch(given):
        raise PydanticCustomError("int_parsing", "Input should be a whole number, in the digits 0 to 9")
    return given


WholeNumber = Annotated[int, BeforeValidator(_whole)]
"""The type of a parameter that is a whole number."""


@dataclass(slots=True)
class MaterialName:
    """One of the 17 materials."""

    id: Annotated[int, Field(ge=0, le=16, description="The material's number in the paper.", examples=[3])]
    name: Annotated[str, Field(examples=["metal"])]

    @classmethod
    def of(cls, name: str | None) -> Self | None:
        """The material of a record, None where the record names none."""
        material = material_named(name) if name is not None else None
        return cls(id=material.id, name=material.name) if material is not None else None


@dataclass(slots=True)
class PictureMaterial(MaterialName):
    """A material and how likely it is in the picture."""

    probability: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="That the material is in the picture; several can be, so they need not add up to 1.",
        ),
    ]

    @classmethod
    def all_of(cls, answer: Answer) -> list[Self] | None:
        """The materials of an answer, likeliest first; None where the bundle cannot tell."""
        if answer.materials is None:
            return None
        return [cls(one.material.id, one.material.name, one.probability) for one in answer.materials]


@dataclass(slots=True)
class Result:
    """A recommended sound."""

    rank: Annotated[int, Field(ge=1, description="1 is the best.")]
    id: Annotated[str, Field(description="The sound's id: 20 hex digits, a hash of its content.")]
    url: Annotated[
        str, Field(description="Where its audio is; ready to be resolved against this service's address.")
    ]
    similarity: Annotated[float, Field(ge=-1, le=1, description="Cosine between the picture and the sound.")]
    score: Annotated[float, Field(ge=0, le=1, description="(similarity + 1) / 2.")]
    match: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Probability that the sound's material is in the picture. Where the library does not say "
            "what is struck, it is told from the sound. Null where the bundle has no heads.",
        ),
    ]
    material: Annotated[MaterialName | None, Field(description="What is struck, where the library says so.")]
    duration: Annotated[float, Field(description="Length of the sound in seconds.")]
    hit: Annotated[
        float, Field(description="Seconds at which it is struck: start there to skip the silence before.")
    ]
    loudness: Annotated[float, Field(description="LUFS of the 0.4 s from the hit on, to match levels by.")]
    title: str

    @classmethod
    def of(cls, rank: int, sound: RecommendedSound, root_path: str) -> Self:
        """A sound of an answer; `root_path` is the prefix that the service is published at."""
        record = sound.found.record
        return cls(
            rank=rank,
            id=record.id,
            url=sound_url(record.id, root_path),
            similarity=sound.found.similarity,
            score=sound.found.score,
            match=sound.match,
            material=MaterialName.of(record.material),
            duration=record.seconds,
            hit=record.hit,
            loudness=record.loudness,
            title=record.title,
        )


@dataclass(slots=True)
class Recommendation:
    """The sounds for a picture, best first."""

    model: Annotated[str, Field(description="Id of the bundle that embedded the picture.")]
    index: Annotated[str, Field(description="Id of the index that was searched.")]
    k: Annotated[int, Field(description="How many were asked for.")]
    returned: Annotated[int, Field(description="How many there are: fewer than `k` where the library is smaller.")]
    library: Annotated[int, Field(description="Sounds in the library.")]
    recognised: Annotated[
        bool | None,
        Field(
            description="Whether the likeliest material is as probable as the bundle asks before it counts as "
            "recognised. Null where the bundle has no heads or is not calibrated."
        ),
    ]
    materials: Annotated[
        list[PictureMaterial] | None,
        Field(description="All 17 materials, likeliest first. Null where the bundle has no heads."),
    ]
    results: list[Result]

    @classmethod
    def of(cls, model: str, index: str, library: int, k: int, answer: Answer, root_path: str) -> Self:
        """The answer to a request for `k` sounds; `root_path` is the prefix that the service is published at."""
        return cls(
            model=model,
            index=index,
            k=k,
            returned=len(answer.sounds),
            library=library,
            recognised=answer.recognised,
            materials=PictureMaterial.all_of(answer),
            results=[Result.of(rank, sound, root_path) for rank, sound in enumerate(answer.sounds, start=1)],
        )

    def json(self) -> bytes:
        """The body of the answer."""
        return _RECOMMENDATION.dump_json(self)


_RECOMMENDATION = TypeAdapter(Recommendation)


class Sound(BaseModel):
    """The record of a sound in the catalogue."""

    id: str = Field(description="20 hex digits, a hash of the sound's content.")
    url: str = Field(description="Where its audio is.")
    title: str
    path: str = Field(description="Its file, relative to the library's folder.")
    material: MaterialName | None
    duration: float = Field(description="Length in seconds.")
    hit: float = Field(description="Seconds at which it is struck.")
    peak: float = Field(description="Largest sample, relative to full scale.")
    loudness: float = Field(
        description="LUFS of the 0.4 s from the hit on (ITU-R BS.1770, momentary): play a sound louder by the "
        "difference to the level you want."
    )
    sample_rate: int = Field(description="Of the file, in Hz.")
    channels: int
    format: str = Field(description="Of the file, such as WAV.")
    media_type: str
    bytes: int = Field(description="Size of the file.")
    source: str | None = Field(description="Where it comes from, where the library says so.")
    licence: str | None = Field(description="Under which licence it is, where the library says so.")

    @classmethod
    def of(cls, record: SoundRecord, root_path: str) -> Self:
        """A record of the catalogue; `root_path` is the prefix that the service is published at."""
        known = asdict(record) | {
            "url": sound_url(record.id, root_path),
            "duration": record.seconds,
            "material": MaterialName.of(record.material),
        }
        return cls(**{name: known[name] for name in cls.model_fields})


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
    """A bundle or an index that was not taken over."""

    when: datetime
    reason: str


class ReadyDetails(BaseModel):
    """What `?verbose` says of the process that answers."""

    process: int = Field(description="Its id.")
    waiting: int = Field(description="Pictures in the queue.")
    computing: int = Field(description="Pictures that are computed.")
    places: int = Field(description="Pictures that may be in the queue.")
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


def sound_url(sound_id: str, root_path: str) -> str:
    """Path of a sound's audio under the prefix that the service is published at."""
    return f"{root_path}/sounds/{sound_id}"
