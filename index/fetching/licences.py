"""Creative Commons licences by the addresses of their deeds."""

import re
from dataclasses import dataclass

_DEED = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z+-]+)/(\d\.\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Licence:
    """`deed` is its part of a deed's address; `filter` is what Freesound's search calls it."""

    deed: str
    filter: str


LICENCES = {
    "cc0": Licence("zero", "Creative Commons 0"),
    "by": Licence("by", "Attribution"),
    "by-nc": Licence("by-nc", "Attribution NonCommercial"),
}
"""Those that Freesound's search can ask for."""

_OPEN = ("zero", "mark", "by", "by-sa")


def is_open(url: str) -> bool:
    """Whether what has the licence may be used freely, also commercially."""
    found = _DEED.search(url)
    return found is not None and found[2].lower() in _OPEN


def has_licence(url: str, licences: tuple[str, ...]) -> bool:
    """Whether the deed is that of one of the `licences` (keys of `LICENCES`); of none, any will do."""
    found = _DEED.search(url)
    deeds = [LICENCES[one].deed for one in licences]
    return not deeds or (found is not None and found[2].lower() in deeds)
