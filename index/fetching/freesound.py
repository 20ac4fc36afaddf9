"""Searching Freesound and fetching its sounds, through its APIv2.

What is relied on of its documentation (freesound.org/docs/api):

- the text search `search/text/`, since 2025 also `search/`, to which the older one redirects; its parameters
  `query`, `filter` (`license:"…"`, `duration:[… TO …]`), `fields`, `page` and `page_size` (at most 150); its answer
  with `next` (null on the last page) and `results`
- of a sound: `id`, `url`, `name`, `tags`, `description`, `license` (the address of a deed), `type`, `filesize`,
  `duration`, `username`, `previews` (`preview-hq-ogg`, `preview-hq-mp3`)
- `sounds/<id>/download/` for originals, which needs OAuth2
- the header `Authorization`, `Token …` with an API key or `Bearer …` with an access token of OAuth2
- 429 where a limit is reached, with a `detail` that names it, such as (60/minute)
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import httpx

from index.fetching.licences import LICENCES
from model.atomic import atomic_file
from model.errors import FetchError

API = "https://freesound.org/apiv2/"
ORIGINAL_TYPES = ("wav", "aif", "aiff", "flac", "ogg", "mp3")
"""Types of originals that Thud can read; of others (m4a) the preview is fetched."""

_FIELDS = "id,url,name,tags,description,license,type,filesize,duration,username,previews"
_PAGE_SIZE = 150
_SEARCHES = ("search/text/", "search/")
_PREVIEWS = ("preview-hq-ogg", "preview-hq-mp3")
_LARGEST = 2**31
_LARGEST_ANSWER = 2**26
_TIMEOUT = httpx.Timeout(30.0)
_TRIES = 4
_FIRST_PAUSE = 1.0
# Waits for one address that are longer together, or more, are left to the person.
_LONGEST_WAIT = 600.0
_MOST_WAITS = 8
_LIMIT = re.compile(r"\((\d+)/(second|minute|hour|day)\)")
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class FoundSound:
    """A sound that was found. `licence_url` is the address of its licence's deed, `bytes` the original's size."""

    id: int
    url: str
    name: str
    author: str
    tags: tuple[str, ...]
    description: str
    licence_url: str
    type: str
    bytes: int
    seconds: float
    preview: str

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Self:
        """From a result of the search. Raises FetchError where something is not there that is needed of it."""
        try:
            previews = result["previews"]
            return cls(
                id=int(result["id"]),
                url=str(result["url"]),
                name=str(result["name"]),
                author=str(result["username"]),
                tags=tuple(str(tag) for tag in result.get("tags") or ()),
                description=str(result.get("description") or ""),
                licence_url=_address(result, "license"),
                type=str(result.get("type") or "").lower(),
                bytes=int(result.get("filesize") or 0),
                seconds=float(result.get("duration") or 0.0),
                preview=_address(previews, next((name for name in _PREVIEWS if previews.get(name)), "preview")),
            )
        except KeyError as error:
            raise FetchError(f"it came without {error.args[0]}") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FetchError(f"it is not what the documentation says: {error}") from error


def _address(fields: Mapping[str, Any], name: str) -> str:
    if not isinstance(found := fields.get(name), str) or not found:
        raise KeyError(name)
    return found


class NotThereError(FetchError):
    """What was asked for does not exist, or no longer."""


class RefusedError(FetchError):
    """Freesound refuses everything: the token is wrong, or a limit is reached."""


class Freesound:
    """A connection to Freesound with a person's own `token`; close it when done, or use it as a context manager.

    With `oauth`, the token is an OAuth2 access token, which originals need, else an API key. `say` is called with a
    line whenever it has to wait. `sleep` waits that many seconds.
    """

    def __init__(
        self,
        token: str,
        *,
        oauth: bool = False,
        api: str = API,
        say: Callable[[str], None] = lambda line: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Raises FetchError for an address to which a token should not be sent."""
        address = _split(api)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise FetchError(f"{api} is no address that begins with https://")
        if address.scheme == "http" and address.hostname not in _LOOPBACK:
            raise FetchError(f"{api}: a token is sent by https:// only")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise FetchError("the token holds spaces or other characters that no token has")
        try:
            self._api = str(httpx.URL(api if api.endswith("/") else f"{api}/"))
        except httpx.InvalidURL as error:
            raise FetchError(f"{api} is no address: {error}") from error
        self._authorization = {"Authorization": f"{'Bearer' if oauth else 'Token'} {token}"}
        self._client = httpx.Client(timeout=_TIMEOUT, follow_redirects=True, headers={"User-Agent": "thud"})
        self._say, self._sleep = say, sleep

    def search(
        self, query: str, licences: tuple[str, ...] = (), seconds: tuple[float, float] | None = None
    ) -> Iterator[FoundSound]:
        """The sounds that fit `query`, best first, of any of the `licences` (keys of `LICENCES`), page by page.

        `seconds`: the shortest and the longest. A result that lacks what is needed of it is left out, and `say` is
        called with the reason. Raises FetchError.
        """
        conditions = []
        if licences:
            names = " OR ".join(f'"{LICENCES[one].filter}"' for one in licences)
            conditions.append(f"license:({names})" if len(licences) > 1 else f"license:{names}")
        if seconds is not None:
            conditions.append(f"duration:[{seconds[0]:g} TO {seconds[1]:g}]")
        parameters = {"query": query, "fields": _FIELDS, "page_size": str(_PAGE_SIZE)}
        if conditions:
            parameters["filter"] = " ".join(conditions)
        page, path, seen = 1, _SEARCHES[0], set[int]()
        while True:
            try:
                found = self._json(path, parameters | {"page": str(page)})
            except NotThereError:
                if page > 1:
                    return  # fewer pages than the first one said
                if path == _SEARCHES[-1]:
                    raise
                path = _SEARCHES[-1]
                continue
            results = found.get("results")
            if not isinstance(results, list):
                raise FetchError("Freesound's answer to the search has no results in it; is --api right?")
            for result in results:
                fields = result if isinstance(result, dict) else {}
                try:
                    sound = FoundSound.of(fields)
                except FetchError as error:
                    self._say(f"left out sound {str(fields.get('id'))[:20]} of the search: {error}")
                    continue
                if sound.id not in seen:  # where sounds were added meanwhile, pages overlap
                    seen.add(sound.id)
                    yield sound
            if not results or not found.get("next"):
                return
            page += 1

    def fetch(self, sound: FoundSound, target: Path, *, original: bool) -> None:
        """Write the sound's original, or its preview, to `target`, whole or not at all.

        Raises FetchError, NotThereError where it is gone, and OSError where it cannot be written.
        """
        url = f"{self._api}sounds/{sound.id}/download/" if original else sound.preview
        address = _split(url)
        if address.scheme != "https" and address.hostname not in _LOOPBACK:
            raise FetchError(f"sound {sound.id}: {url[:100]} is no https:// address")

        def take(response: httpx.Response) -> None:
            kind = response.headers.get("content-type", "").lower()
            if kind.startswith(("text/", "application/json", "application/xhtml")):
                raise FetchError(f"{address.netloc} sent {kind[:60]} in place of a sound")
            with atomic_file(target) as aside, aside.open("wb") as out:
                for block in response.iter_bytes():
                    out.write(block)
                    if out.tell() > _LARGEST:
                        raise FetchError(f"sound {sound.id} is larger than {_LARGEST:,} bytes")
                size = out.tell()
                if size == 0 or (original and sound.bytes and size != sound.bytes):
                    raise httpx.RemoteProtocolError(f"{size:,} of {sound.bytes:,} bytes came")

        self._get(url, {}, take)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _json(self, path: str, parameters: dict[str, str]) -> dict[str, Any]:
        answer: dict[str, Any] = {}

        def take(response: httpx.Response) -> None:
            content = bytearray()
            for block in response.iter_bytes():
                content += block
                if len(content) > _LARGEST_ANSWER:
                    raise FetchError(f"Freesound's answer is larger than {_LARGEST_ANSWER:,} bytes")
            kind = response.headers.get("content-type", "no media type")[:60]
            try:
                found = json.loads(content)
            except (ValueError, RecursionError) as error:
                raise FetchError(f"Freesound's answer is not JSON but {kind}; is --api right?") from error
            if not isinstance(found, dict):
                raise FetchError("Freesound's answer is not what its documentation says; is --api right?")
            answer.update(found)

        self._get(self._api + path, parameters, take)
        return answer

    def _get(self, url: str, parameters: dict[str, str], take: Callable[[httpx.Response], None]) -> None:
        """Get `url`, trying again where that may help, and give the response to `take`. Raises FetchError."""
        address = _split(url)
        why, tries, pause = "", 0, _FIRST_PAUSE
        waits: list[float] = []
        while tries < _TRIES:
            try:
                headers = self._authorization if self._is_own(url) else {}
                with self._client.stream("GET", url, params=parameters or None, headers=headers) as response:
                    if response.status_code == 429:
                        self._wait(response, waits)  # no failed try: waiting is what it asks for
                        continue
                    if response.status_code < 500:
                        self._checked(response)
                        take(response)
                        return
                    why = f"it answered {response.status_code}"
            except (httpx.TransportError, httpx.DecodingError) as error:
                why = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise FetchError(f"{address.netloc} cannot be asked: {error}") from error
            tries += 1
            if tries < _TRIES:
                self._say(f"{address.netloc}: {why}; trying again in {pause:g} s")
                self._sleep(pause)
                pause *= 3
        raise FetchError(f"{address.netloc} did not answer properly, tried {_TRIES} times: {why}")

    def _is_own(self, url: str) -> bool:
        """Whether the address is one of the API: only it gets the token, and only it can refuse it."""
        return url.startswith(self._api)

    def _wait(self, response: httpx.Response, waits: list[float]) -> None:
        """Wait for as long as a 429 asks for, and longer each time, after `waits` for the same address.

        The wait is added to them. Raises RefusedError where they become too many, or too long together.
        """
        detail = _detail(response)
        limit = _LIMIT.search(detail)
        asked = response.headers.get("retry-after", "")
        seconds = float(asked) if re.fullmatch(r"\d{1,7}", asked) else _SECONDS[limit[2]] if limit else 60.0
        seconds = max(seconds, _FIRST_PAUSE * 2 ** len(waits))
        if len(waits) == _MOST_WAITS or sum(waits) + seconds > _LONGEST_WAIT:
            raise RefusedError(
                f"Freesound's limit is reached ({detail or 'it did not say which'}); "
                "run the same command again later, and it goes on from here"
            )
        waits.append(seconds)
        self._say(f"Freesound asks to wait: {detail or 'too many requests'}; going on in {seconds:g} s")
        self._sleep(seconds)

    def _checked(self, response: httpx.Response) -> None:
        """Raise FetchError unless the status is 200."""
        status = response.status_code
        if status == 200:
            return
        if status in (401, 403) and self._is_own(str(response.url)):
            raise RefusedError(
                f"Freesound does not accept the token ({status}: {_detail(response) or 'no reason given'}); "
                "an API key comes from freesound.org/apiv2/apply, an access token for originals lasts 24 hours"
            )
        if status in (404, 410):
            raise NotThereError(f"{response.url.host} has nothing at {response.url.path} ({status})")
        raise FetchError(f"{response.url.host} answered {status}: {_detail(response) or 'no reason given'}")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise FetchError(f"{url[:100]} is no address: {error}") from error


def _detail(response: httpx.Response) -> str:
    """The reason that an answer gives, in one short line; "" where it gives none."""
    try:
        response.read()
        detail = response.json()["detail"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return ""
    return " ".join(str(detail).split())[:200]
