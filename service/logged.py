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

_MEANT_TO_BE_SEEN = frozenset({b"k", b"box", b"at", b"verbose", b"material", b"after", b"limit", b"v"})
"""The parameters that the service knows. In others may be anything, a key as well."""

_USUAL = re.compile(rb"[\w.,%+-]{0,100}", re.ASCII)

_HIDDEN = b"***"


class Logged:
    """What may be logged of a request to a service with these API `keys`, given to it in a wrong place or not."""

    def __init__(self, keys: Sequence[str]) -> None:
        forms = {form for key in keys for sent in as_sent(key) for form in (sent, sent.replace(b" ", b"+"))}
        self._keys = sorted(forms, key=len, reverse=True)  # one may begin with another

    def address(self, scope: Scope) -> str:
        """The path and the query as they were sent, still encoded; of unknown parameters, only names."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        said = b"?".join([path, *([_without_values(query)] if query else [])])
        for key in self._keys:
            # Decoded twice, because some clients encode twice.
            for decoded in (said, unquote_to_bytes(said), unquote_to_bytes(unquote_to_bytes(said))):
                if key in decoded:
                    said = decoded.replace(key, _HIDDEN)
                    break
        return _escaped(said, _MOST_ADDRESS)


def logged_client(client: str) -> str:
    """The address of the client, which is whatever a trusted proxy or a client of it says."""
    return _escaped(client.encode("latin-1", "replace"), _MOST_CLIENT)


def _without_values(query: bytes) -> bytes:
    said = []
    for part in query.split(b"&"):
        name, equals, value = part.partition(b"=")
        known = name in _MEANT_TO_BE_SEEN and _USUAL.fullmatch(value)
        # What is as long as a key may be one, without a name or in place of a name.
        shown = name if len(name) < SHORTEST_KEY else _HIDDEN
        said.append(part if known else shown + equals + (_HIDDEN if value else b""))
    return b"&".join(said)


def _escaped(said: bytes, most: int) -> str:
    text = quote(said, safe=_AS_IT_IS)
    return text if len(text) <= most else f"{text[:most]}..."
