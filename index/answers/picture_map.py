"""What a picture that is touched is answered with: what is at each of its places, and which sounds it makes.

`Recommender.map` returns these dataclasses, HTTP and `thud recommend --map` write them, and the OpenAPI document
describes them.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field, TypeAdapter
from pydantic_core import to_json

from index.answers.recommendation import MaterialName, PictureMaterial, Stages
from model.materials import material_named

MAP_K = 3
"""How many sounds a place has where it is not said."""
MOST_MATERIALS = 3

_Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(slots=True)
class MaterialShare(MaterialName):
    """A material and how much of the picture is of it."""

    share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Of the places at which something is recognised, the share whose likeliest material it is.",
        ),
    ]


@dataclass(slots=True)
class MapSound:
    """A sound of one or more places."""

    id: Annotated[str, Field(description="The sound's id: 20 hex digits, a hash of its content.")]
    url: Annotated[str, Field(description="Where its audio is.")]
    material: Annotated[MaterialName | None, Field(description="What is struck, where the library says so.")]
    duration: Annotated[float, Field(description="Length of the sound in seconds.")]
    hit: Annotated[
        float,
        Field(
            description="Seconds at which it is struck; of several hits, the one that fits its first place best."
        ),
    ]
    span: Annotated[
        tuple[float, float],
        Field(description="From when to when to play it, in seconds: from the hit to the next one or the end."),
    ]
    loudness: Annotated[float, Field(description="LUFS of the 0.4 s from the hit on, to match levels by.")]
    title: str
    author: Annotated[str | None, Field(description="Who made it, where the library says so.")]
    licence: Annotated[str | None, Field(description="Under which licence it is, where the library says so.")]
    path: Annotated[str, Field(exclude=True)] = ""
    """Its file, relative to the folder of sounds (`Recommender.index.root`). HTTP does not send it."""


@dataclass(slots=True)
class Place:
    """A place of the picture."""

    x: Annotated[_Share, Field(description="Its centre, as a fraction of the picture's width from the left.")]
    y: Annotated[_Share, Field(description="Its centre, as a fraction of the picture's height from the top.")]
    recognised: Annotated[
        bool | None,
        Field(description="As in the answer about a picture: whether something to touch is there."),
    ]
    materials: Annotated[
        list[PictureMaterial] | None,
        Field(
            description="The likeliest materials, at most 3, likeliest first. Null where the bundle has no heads."
        ),
    ]
    sounds: Annotated[
        list[Annotated[int, Field(ge=0)]],
        Field(description="Its sounds, best first, as positions from 0 in the answer's `sounds`."),
    ]


@dataclass(slots=True)
class PictureMap:
    """What is at each place of a picture, and the sounds of all places."""

    model: Annotated[str, Field(description="Id of the bundle that embedded the picture.")]
    index: Annotated[str, Field(description="Id of the index that was searched.")]
    library: Annotated[int, Field(description="Sounds in the library.")]
    columns: Annotated[int, Field(ge=1, description="Places from left to right.")]
    rows: Annotated[int, Field(ge=1, description="Places from top to bottom.")]
    size: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="How wide and high the square around a place's centre is that tells what is there, as a "
            "share of the picture's shorter side; near an edge it is moved inside. A point belongs to the place "
            "whose centre is nearest.",
        ),
    ]
    materials: Annotated[
        list[MaterialShare] | None,
        Field(
            description="The materials that are the likeliest at some place, most first. Empty where nothing is "
            "recognised, null where the bundle has no heads."
        ),
    ]
    places: Annotated[list[Place], Field(description="All places, row by row from the upper left.")]
    sounds: Annotated[list[MapSound], Field(description="The sounds of all places, each of them once.")]
    stages: Annotated[Stages, Field(exclude=True)] = field(default=Stages(), compare=False, repr=False)
    """How long each stage took. HTTP sends it as the header Server-Timing."""

    def json(self, root_path: str = "", *, for_terminal: bool = False) -> bytes:
        """The map as JSON in UTF-8, as `Recommendation.json`."""
        if root_path:
            sounds = [replace(sound, url=root_path + sound.url) for sound in self.sounds]
            return replace(self, sounds=sounds).json(for_terminal=for_terminal)
        if not for_terminal:
            return _MAP.dump_json(self)
        answer = _MAP.dump_python(self)
        for written, sound in zip(answer["sounds"], self.sounds, strict=True):
            written["path"] = sound.path
        return to_json(answer, indent=2, ensure_ascii=True)


def material_shares(places: list[Place]) -> list[MaterialShare]:
    """The shares of the likeliest materials of those places at which something is recognised, most first.

    Where the bundle does not tell what is recognised, all places count.
    """
    likeliest = Counter(
        place.materials[0].name for place in places if place.materials and place.recognised is not False
    )
    shares = []
    for name, count in likeliest.items():
        material = material_named(name)
        assert material is not None, "the heads know no other materials"
        shares.append(MaterialShare(material.id, name, round(count / likeliest.total(), 6)))
    return sorted(shares, key=lambda one: (-one.share, one.id))


_MAP = TypeAdapter(PictureMap)
