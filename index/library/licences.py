"""Licences of Creative Commons: one form for each, whether people write its name or the address of its deed."""

import re
from functools import lru_cache

_DEED = re.compile(
    r"(?:https?://)?(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)/(\d\.\d)"
    r"(?:/(?!deed|rdf)([a-z]{2,3}))?(?:/(?:deed|legalcode|rdf)?[a-z._-]*)?(?:[?#].*)?",
    re.IGNORECASE,
)
_ZERO = re.compile(
    r"(?:(?:cc|creative commons) ?(?:0|zero)|cc0)(?: v?1\.0)?(?: universal)?(?: public domain dedication)?"
)
_NAME = re.compile(
    r"(?P<own>cc |creative commons )?"
    r"(?P<kind>by(?: (?:nc|sa|nd))*|attribution(?: (?:non ?commercial|share ?alike|no ?deriv[a-z]*))*)"
    r"(?: v?(?P<version>\d\.\d))?(?: (?:international|unported|generic))?(?: licen[cs]e)?"
)
_PARTS = (
    ("attribution", "by"),
    (r"non ?commercial", "nc"),
    (r"share ?alike", "sa"),
    (r"no ?deriv[a-z]*", "nd"),
)
_NAMES = {"zero": "CC0", "mark": "CC-PDM"}


@lru_cache(2**12)
def licence_called(text: str) -> str:
    """A licence of Creative Commons as SPDX names it, such as CC0-1.0 or CC-BY-NC-4.0; another text as it is.

    `text` is its name, as in `CC BY 4.0` or `Creative Commons Attribution 4.0 International`, or the address of its
    deed. A text that says more than one of these stays as it is.
    """
    stripped = text.strip()
    if deed := _DEED.fullmatch(stripped):
        return _of_deed(deed[1].lower(), deed[2], deed[3] or "")
    plain = " ".join(re.sub(r"[\s_-]+", " ", stripped.lower().replace("(", " ").replace(")", " ")).split())
    if _ZERO.fullmatch(plain):
        return "CC0-1.0"
    named = _NAME.fullmatch(plain)
    if named is None or not (named["own"] or named["version"] or named["kind"].startswith("attribution ")):
        return text
    kind = named["kind"]
    for words, short in _PARTS:
        kind = re.sub(words, short, kind)
    return "-".join(filter(None, ("CC", kind.upper().replace(" ", "-"), named["version"])))


def _of_deed(kind: str, version: str, country: str) -> str:
    if kind == "sampling+":
        return f"Sampling+ {version}"
    name = _NAMES.get(kind) or f"CC-{kind.upper()}"
    return "-".join(filter(None, (name, version, country.upper() if kind not in _NAMES else "")))
