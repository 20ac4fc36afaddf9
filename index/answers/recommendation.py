"""What a picture is answered with: the sounds, and how likely each material is in the picture.

`Recommender.recommend` returns these dataclasses, HTTP and `thud recommend --json` write them, and the OpenAPI
document describes them. They are not Pydantic models, which check each value: an answer has some 40 of them, and is
made in half the time without.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter
from pydantic_core import to_json

from model.materials import material_named


def sound_url(sound_id: str, root_path: str = "") -> str:
    """Path of a sound's audio under the prefix that the service is published at."""
    return f"{root_path}/sounds/{sound_id}"


Because = Literal["material", "object", "both"]


@dataclass(frozen=True)
class Stages:
    """Seconds that each stage of computing an answer took; `room` is the wait for other large pictures."""

    room: float = 0.0
    decode: float = 0.0
    network: float = 0.0
    search: float = 0.0


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


@dataclass(slots=True)
class PictureObject:
    """An everyday object and how likely the picture shows it."""

    name: Annotated[str, Field(examples=["bottle"])]
    probability: Annotated[float, Field(ge=0, le=1)]


@dataclass(slots=True)
class Result:
    """A recommended sound."""

    rank: Annotated[int, Field(ge=1, description="1 is the best; the answer to a `cursor` goes on counting.")]
    id: Annotated[str, Field(description="The sound's id: 20 hex digits, a hash of its content.")]
    url: Annotated[
        str, Field(description="Where its audio is; ready to be resolved against this service's address.")
    ]
    similarity: Annotated[
        float,
        Field(ge=-1, le=1, description="Cosine between what was asked with and the sound."),
    ]
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
        float,
        Field(description="Seconds at which it is struck; of a file with several hits, the one that fits best."),
    ]
    span: Annotated[
        tuple[float, float],
        Field(description="From when to when to play it, in seconds: from the hit to the next one or the end."),
    ]
    loudness: Annotated[float, Field(description="LUFS of the 0.4 s from the hit on, to match levels by.")]
    title: str
    author: Annotated[str | None, Field(description="Who made it, where the library says so.")]
    licence: Annotated[str | None, Field(description="Under which licence it is, where the library says so.")]
    because: Annotated[
        Because | None,
        Field(
            description="Why it is among the first `k`: `material`, it is near to the picture; `object`, its name, "
            "folder or tags name an object that the picture shows, without which it would not be; `both`, it names "
            "one and would be anyway. Sounds rank by their score, and those with an object by a share more. "
            "Null where a sound was asked with."
        ),
    ] = "material"
    object: Annotated[
        str | None,
        Field(description="The likeliest object in the picture that it names, if any.", examples=["bottle"]),
    ] = None
    path: Annotated[str, Field(exclude=True)] = ""
    """Its file, relative to the folder of sounds (`Recommender.index.root`). HTTP does not send it."""


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
            description="Whether something to touch is in the picture, and a material is clear enough by the "
            "measure of the bundle. False for a picture without contrast. Null where the bundle has no heads or is "
            "not calibrated."
        ),
    ]
    materials: Annotated[
        list[PictureMaterial] | None,
        Field(description="All 17 materials, likeliest first. Null where the bundle has no heads."),
    ]
    objects: Annotated[
        list[PictureObject] | None,
        Field(
            description="The everyday objects that are likely in the picture, likeliest first, at most 5. Null "
            "where the bundle tells none."
        ),
    ]
    results: list[Result]
    next: Annotated[
        str | None,
        Field(
            description="Where the answer goes on: send the same question again with this `cursor`. Null where "
            "there are no more sounds."
        ),
    ] = None
    stages: Annotated[Stages, Field(exclude=True)] = field(default=Stages(), compare=False, repr=False)
    """How long each stage took. HTTP sends it as the header Server-Timing."""

    def json(self, root_path: str = "", *, for_terminal: bool = False) -> bytes:
        """The answer as JSON in UTF-8, which is the body of the HTTP answer.

        `root_path` is the prefix that the service is published at. With `for_terminal` it is what
        `thud recommend --json` prints: the same, indented, and with the `path` of each sound, because a `url` needs
        a running service. All that is not ASCII is escaped there, so that no name of a file controls the terminal.
        """
        if root_path:
            results = [replace(result, url=root_path + result.url) for result in self.results]
            return replace(self, results=results).json(for_terminal=for_terminal)
        if not for_terminal:
            return _RECOMMENDATION.dump_json(self)
        answer = _RECOMMENDATION.dump_python(self)
        for written, result in zip(answer["results"], self.results, strict=True):
            written["path"] = result.path
        return to_json(answer, indent=2, ensure_ascii=True)


_RECOMMENDATION = TypeAdapter(Recommendation)
