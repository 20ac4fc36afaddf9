"""Which sounds of a library are asked for: by material, action, source, licence, tag, folder, length, loudness."""

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Final

from index.library.licences import licence_called
from model.errors import FilterError
from model.materials import MATERIALS, material_named

UNLABELLED: Final = "unlabelled"
"""Asks for the sounds without a material, in place of a material's name."""

WORDS: Final = ("action", "source", "licence", "tag")
"""The fields of a filter that are compared as words: without regard to case, to how accents are written and to
spaces around."""


@dataclass(frozen=True)
class SoundFilter:
    """Conditions that a sound must meet, all of them; a field that is empty or None sets none.

    Of several values of one field any will do. `material` has names of the 17, or `UNLABELLED`. `folder` has POSIX
    paths under the library root; what lies deeper, and a sound of which a copy lies there, counts as well. The
    bounds are included: seconds of length, LUFS of loudness. They are compared as float32, as the index keeps them.

    Raises FilterError, which names the field, for a material that does not exist and for a bound that is no number
    or above its counterpart. A value that no sound has is no error.
    """

    material: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    licence: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    folder: tuple[str, ...] = ()
    min_duration: float | None = None
    max_duration: float | None = None
    min_loudness: float | None = None
    max_loudness: float | None = None

    def __post_init__(self) -> None:
        for name in self.material:
            if name != UNLABELLED and material_named(name) is None:
                raise FilterError(f"there is no material {name!r}", "material")
        for field in ("duration", "loudness"):
            least, most = self.bounds(field)
            for name, bound in ((f"min_{field}", least), (f"max_{field}", most)):
                if math.isnan(bound):
                    raise FilterError(f"{name} is not a number", name)
            if least > most:
                raise FilterError(f"min_{field} {least:g} is more than max_{field} {most:g}", f"min_{field}")

    def bounds(self, field: str) -> tuple[float, float]:
        """The least and the most of "duration" or "loudness"; infinite where there is no bound."""
        least, most = getattr(self, f"min_{field}"), getattr(self, f"max_{field}")
        return -math.inf if least is None else least, math.inf if most is None else most

    @cached_property
    def material_ids(self) -> frozenset[int]:
        """Ids of the materials that are asked for, -1 for the unlabelled."""
        known = (material_named(name) for name in self.material)
        return frozenset(-1 if one is None else one.id for one in known)

    def words(self, field: str) -> frozenset[str]:
        """The values of one of `WORDS` as they are compared."""
        values: Iterable[str] = getattr(self, field)
        return frozenset(map(folded, map(licence_called, values) if field == "licence" else values))

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return any(getattr(self, field.name) not in ((), None) for field in fields(self))


@lru_cache(2**12)
def folded(text: str) -> str:
    """`text` as words are compared: NFC, without case and without spaces around."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold().strip())


def folder_of(text: str) -> str:
    """A folder as it is written in paths of the library: without "." and slashes at its ends; "" is the root."""
    parts: Iterable[str] = (part for part in text.split("/") if part not in ("", "."))
    return "/".join(parts)


assert UNLABELLED not in {material.name for material in MATERIALS}
