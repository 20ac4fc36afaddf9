"""What clients say, as it may stand in a log: on one line, of bounded length, and without keys."""

import re
import string
from collections.abc import Sequence
from urllib.parse import quote, unquote_to_bytes

from starlette.types import Scope

from service.api_keys import as_sent
from service.settings import SHORTEST_KEY

_MOST_ADDRESS = 512
_MOST_CLIENT = 64

_AS_IT_IS = string.punctuation.translate({ord(sign): None for sign in '"\\'})
"""With letters and digits all that stands as it was sent; the rest, what could end a line or a field, as %XX."""

_KNOWN = re.compile(rb"(box|at)=[\d.,%a-fA-F+-]{0,100}|after=[0-9a-f]{20}")
"""The parameters of the service that may be long."""

_SECRET = re.compile(rb"key|token|secret|pass|pwd|auth|sig|cred|session|jwt|bearer|code", re.IGNORECASE)
"""What names of parameters have in them, whose values are nobody's business however short."""

_HIDDEN = b"***"


class Logged:
    """What may be logged of a request to a service with these API `keys`, given to it in a wrong place or not."""

    def __init__(self, keys: Sequence[str]) -> None:
        forms = {form for key in keys for sent in as_sent(key) for form in (sent, sent.replace(b" ", b"+"))}
        self._keys = sorted(forms, key=len, reverse=True)  # one may begin with another

    def address(self, scope: Scope) -> str:
        """The path and the query as they were sent, still encoded; without what may be a key, right or wrong."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        said = b"?".join([path, *([_without_secrets(query)] if query else [])])
        return _escaped(self.without_keys(said), _MOST_ADDRESS)

    def client(self, client: str) -> str:
        """The address of the client, which is whatever a trusted proxy or a client of it says."""
        return _escaped(self.without_keys(client.encode("latin-1", "replace")), _MOST_CLIENT)

    def text(self, text: str) -> str:
        """What else was said, in letters of any encoding; as it is but for keys."""
        said = text.encode("latin-1" if all(sign <= "\xff" for sign in text) else "utf-8", "replace")
        shown = self.without_keys(said)
        return text if shown == said else shown.decode("utf-8", "replace")

    def without_keys(self, said: bytes) -> bytes:
        """The same where it has no key in it, encoded or not."""
        forms = _decoded(said)
        for key in self._keys:
            found = next((form for form in forms if key in form), None)
            if found is not None:
                forms = _decoded(found.replace(key, _HIDDEN))
        return forms[0]


def _decoded(said: bytes) -> list[bytes]:
    """As it was sent, and decoded once and twice, because some clients encode twice."""
    once = unquote_to_bytes(said)
    return [said, once, unquote_to_bytes(once)]


def _without_secrets(query: bytes) -> bytes:
    return b"".join(map(_without_secret, re.split(rb"([&;])", query)))


def _without_secret(parameter: bytes) -> bytes:
    if _KNOWN.fullmatch(parameter):
        return parameter
    name, equals, value = parameter.partition(b"=")
    # What is as long as a key may be one: a value, or what stands in place of a name.
    short = len(value) < SHORTEST_KEY and not _SECRET.search(unquote_to_bytes(name))
    shown = name if len(name) < SHORTEST_KEY else _HIDDEN
    return shown + equals + (value if short or not equals else _HIDDEN)


def _escaped(said: bytes, most: int) -> str:
    text = quote(said, safe=_AS_IT_IS)
    return text if len(text) <= most else f"{text[:most]}..."
