"""What a page plays and draws of a sound: an excerpt around one hit, the peaks of its waveform. Both are small."""

import hashlib
import io
import json
import threading
from collections.abc import Callable

import anyio
import anyio.to_thread

from index.answers.sound_files import SoundFile
from index.catalogue import SoundRecord
from model.errors import SoundError, SoundTooLargeError
from model.excerpt import EXCERPT_VERSION, flac_excerpt
from model.peaks import PEAKS_VERSION, peaks_of
from model.stretches import FileFacts
from service.problems import ProblemError
from service.sound_content import SoundContent

MOST_BYTES = 32 * 2**20
"""A process keeps so many bytes of excerpts and peaks in memory."""
_THREADS = 2
_MOST_WAITING = 64
"""More than the six that one browser asks for at a time, with some ten pages open."""
_PATIENCE_SECONDS = 10.0
_RETRY_AFTER = 2
_PEAK_DECIMALS = 5

_SAME = 0.005
"""Seconds by which a hit may be named too early: answers round it."""


def clip_name(record: SoundRecord, hit: float) -> str:
    """What tells an excerpt from every other one, also after the index was replaced."""
    return f"{record.id}.{_made_from(record)}.clip{EXCERPT_VERSION}.{hit!r}"


def peaks_name(record: SoundRecord, count: int) -> str:
    """What tells peaks from all others, also after the index was replaced."""
    return f"{record.id}.{_made_from(record)}.peaks{PEAKS_VERSION}.{count}"


def _made_from(record: SoundRecord) -> str:
    """A hash of what the record says of the sound, in which another index may have found other hits: the id is that
    of the content."""
    said = (record.hit, record.hits, record.ends, record.seconds, record.peak, record.format, record.playable)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]


class Excerpts:
    """Makes excerpts and peaks, two at a time, and keeps those that were used last."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._making = anyio.CapacityLimiter(_THREADS)
        self._waiting = 0
        self._lock = threading.Lock()
        self._kept: dict[str, bytes] = {}

    async def clip(self, record: SoundRecord, sound: SoundFile, hit: float) -> bytes:
        """The excerpt of a sound as FLAC around `hit`, in seconds, made from its file where it is not kept.

        Raises ProblemError where too many others wait (503) and where too much would have to be decoded (422), and
        LibraryError and OSError as `SoundFile.read` does.
        """

        def make(content: io.BufferedReader, facts: FileFacts) -> bytes:
            return flac_excerpt(content, sound.size, facts, hit, _end(record, hit))

        return await self._made(clip_name(record, hit), record, sound, make)

    async def peaks(self, record: SoundRecord, sound: SoundFile, count: int) -> bytes:
        """The JSON of `count` peaks and of the hits of a sound. Raises the same."""

        def make(content: io.BufferedReader, facts: FileFacts) -> bytes:
            found = peaks_of(content, sound.size, facts, count, record.hits)
            answer = {
                "duration": record.seconds,
                "hit": record.hit,
                "hits": record.hits,
                "peaks": [round(peak, _PEAK_DECIMALS) for peak in found.tolist()],
            }
            return json.dumps(answer, separators=(",", ":")).encode()

        return await self._made(peaks_name(record, count), record, sound, make)

    async def _made(
        self,
        key: str,
        record: SoundRecord,
        sound: SoundFile,
        make: Callable[[io.BufferedReader, FileFacts], bytes],
    ) -> bytes:
        if (kept := self._known(key)) is not None:
            return kept
        if self._waiting >= _MOST_WAITING:
            raise _busy(f"{_MOST_WAITING} excerpts of sounds are waited for already", "queue_full")
        self._waiting += 1
        try:
            with anyio.fail_after(_PATIENCE_SECONDS):
                await self._making.acquire()
        except TimeoutError:
            raise _busy(f"the excerpt could not be made within {_PATIENCE_SECONDS:g} s", "deadline") from None
        finally:
            self._waiting -= 1
        try:
            # Somebody else may have made it while this one waited.
            if (kept := self._known(key)) is None:
                kept = await anyio.to_thread.run_sync(_decoded, record, sound, make)
                self._keep(key, kept)
            return kept
        finally:
            self._making.release()

    def _known(self, key: str) -> bytes | None:
        with self._lock:
            kept = self._kept.pop(key, None)
            if kept is not None:
                self._kept[key] = kept  # as the last that was used
            return kept

    def _keep(self, key: str, made: bytes) -> None:
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._most_bytes:
                del self._kept[next(iter(self._kept))]


def _decoded(record: SoundRecord, sound: SoundFile, make: Callable[[io.BufferedReader, FileFacts], bytes]) -> bytes:
    content = SoundContent(sound)
    facts = FileFacts(record.seconds, record.peak, record.format, record.playable)
    try:
        return make(io.BufferedReader(content), facts)
    except OSError as error:
        raise content.error or error from error
    except SoundTooLargeError as error:
        raise ProblemError(422, f"of this sound no such excerpt is made: {error}") from error
    except SoundError as error:  # it could be decoded when it was indexed
        raise content.error or _busy(f"the sound cannot be decoded: {error}", "not_playable") from error


def _end(record: SoundRecord, hit: float) -> float:
    """Until when to play from `hit` on, in seconds: as long as the hit that is heard there, or to the next one."""
    begun = [(start, end) for start, end in zip(record.hits, record.ends, strict=False) if start <= hit + _SAME]
    if begun and hit < begun[-1][1]:
        return begun[-1][1]
    return min([record.seconds, *(start for start in record.hits if start > hit)])


def _busy(detail: str, reason: str) -> ProblemError:
    return ProblemError(503, detail, headers={"Retry-After": str(_RETRY_AFTER)}, reason=reason)
