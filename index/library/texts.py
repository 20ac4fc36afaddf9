"""What strangers wrote, as short clean text: one line, without control characters, no longer than its field."""

import re
import unicodedata
from collections.abc import Iterable, Mapping

_MOST_SIGNS = 300
FACTS = {
    **dict.fromkeys(("title", "action", "author", "licence", "source", "material", "catid", "music"), _MOST_SIGNS),
    **{"description": 2_000, "tags": 2_000, "attribution": 1_000, "origin": 1_000},
}
"""The fields that are kept of a sound, and how many characters of each."""

_MOST_TAGS, _LONGEST_TAG = 64, 80
_APART = re.compile(r"[,;|\t\r\n]|\s/\s")
# Control characters, lone surrogates, and what turns the direction of text around.
_STRANGE = re.compile("[\\s\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]+")


def clean(text: str, most: int = _MOST_SIGNS) -> str:
    """The text in one line and in composed Unicode (NFC), cut after `most` characters."""
    if text.isascii() and text.isprintable() and len(text) <= most and "  " not in text:
        return text.strip()
    # Cut before, so that a text of many megabytes costs nothing; composing makes a text shorter.
    text = _STRANGE.sub(" ", text[: 4 * most])
    return unicodedata.normalize("NFC", text)[:most].strip()


def cleaned(fields: Mapping[str, str]) -> dict[str, str]:
    """The FACTS among the fields, each cleaned and cut to its length, without empty ones."""
    found = {}
    for name, most in FACTS.items():
        text = fields.get(name)
        if not text:
            continue
        if name == "tags":  # lines may separate them
            text = re.sub(r"[\r\n]+", "; ", text[: 4 * most])
        if short := clean(text, most):
            found[name] = short
    return found


def tags_in(text: str) -> tuple[str, ...]:
    """The tags that a text lists, separated by commas, semicolons or lines, or by spaces where there is neither."""
    if not text:
        return ()
    parts: Iterable[str] = _APART.split(text) if _APART.search(text) else text.split()
    tags = (clean(part, _LONGEST_TAG) for part in parts)
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:_MOST_TAGS]
