"""What a server was seen to do under poison, and whether that is as it should be."""

import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.http.servers import Server
from benchmarks.machine import machine
from benchmarks.poison.clients import REFUSED, RIGHT, WRONG, Tally

POLL_SECONDS = 0.1

MOST_MB_AT_END = 600.0
"""Resident memory once the poison has stopped: a fresh server has 200 MB, and memory of large pictures is freed."""
WANTED = {
    "a byte a second": "408",
    "too large": "413",
    "no HTTP": "400",
    "bad chunks": "400",
    "empty body": "422",
    "unknown k, box or at": "422",
    "wrong route": "404",
}
"""The status that some requests of a kind must have got: else these requests do not test what they should."""
_ENOUGH = 30
"""Requests of a kind from which on that is checked."""
_LONG = 60.0
"""Seconds of a run from which on that is checked: slow clients are refused after 10 or 30 s by default."""
_POLL_TIMEOUT = 30.0
_SETTLE_SECONDS = 60.0
_FAULTS = ("Traceback", "Error: ", "Exception")
_MOST_FAULTS = 20


@dataclass(frozen=True)
class Watched:
    """What was seen of the server from outside: polls of /readyz, resident memory in MB, and its processes."""

    polls: int
    unready: list[str]
    poll_milliseconds: list[float]
    memory_start: float
    memory_most: float
    memory_end: float
    processes: list[int]
    faults: list[str]
    """Lines of its log that report a fault."""
    warnings: int
    """How many lines report a warning."""


class Watch:
    """Polls /readyz of a server and reads its memory while it is poisoned."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_POLL_TIMEOUT)
        self._unready: list[str] = []
        self._milliseconds: list[float] = []
        self._processes: list[int] = []
        self.memory_start = self._memory_most = self._memory_now = server.resident_mb()

    @property
    def unready(self) -> int:
        """How many polls were not answered with 200."""
        return len(self._unready)

    def poll(self) -> bool:
        """Poll once; False where the server's process is gone."""
        self._ask()
        try:
            self._memory_now = self._server.resident_mb()
        except OSError:
            self._unready.append("the process is gone")
            return False
        self._memory_most = max(self._memory_most, self._memory_now)
        return True

    def settle(self) -> None:
        """Poll until no request waits or is computed, for a minute at most."""
        ends = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < ends:
            alive, details = self.poll(), self._ask()
            if not alive or details.get("waiting") == details.get("computing") == 0:
                break
            time.sleep(POLL_SECONDS)

    def seen(self, log: str) -> Watched:
        """All that was seen, with the server's `log`."""
        self._connection.close()
        lines = log.splitlines()
        return Watched(
            polls=len(self._milliseconds) + len(self._unready),
            unready=self._unready,
            poll_milliseconds=self._milliseconds,
            memory_start=self.memory_start,
            memory_most=self._memory_most,
            memory_end=self._memory_now,
            processes=self._processes,
            faults=[line for line in lines if any(fault in line for fault in _FAULTS)][:_MOST_FAULTS],
            warnings=sum("Warning: " in line for line in lines),
        )

    def _ask(self) -> dict[str, int]:
        """The details that it answers; empty where it is not ready."""
        began = time.monotonic()
        try:
            self._connection.request("GET", "/readyz?verbose")
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._unready.append(f"{type(error).__name__}: {error}")
            return {}
        if answer.status != 200:
            self._unready.append(f"{answer.status} {body!r:.300}")
            return {}
        self._milliseconds.append(1000 * (time.monotonic() - began))
        details: dict[str, int] = json.loads(body)["details"]
        if details["process"] not in self._processes[-1:]:
            self._processes.append(details["process"])
        return details


@dataclass(frozen=True)
class Poisoned:
    """A run: the good clients, the broken ones, and the server meanwhile."""

    seconds: float
    good: Tally
    broken: Tally
    watched: Watched
    memory_bound: float

    def failures(self) -> list[str]:
        """Each thing that must not happen and did."""
        return list(self._failures())

    def as_json(self) -> dict[str, Any]:
        """For programs; latencies as quantiles."""
        good, broken, watched = asdict(self.good), asdict(self.broken), asdict(self.watched)
        good["milliseconds"] = _quantiles(self.good.milliseconds)
        watched["poll_milliseconds"] = _quantiles(self.watched.poll_milliseconds)
        del broken["milliseconds"]
        return {
            "seconds": self.seconds,
            "failures": self.failures(),
            "good": good,
            "broken": broken,
            "watched": watched,
            "memory_bound": self.memory_bound,
        }

    def _failures(self) -> Iterator[str]:
        if not self.good.outcomes.get("good", {}).get(RIGHT):
            yield "no good request was answered right"
        if not self.broken.outcomes:
            yield "no broken request was sent"
        for tally in (self.good, self.broken):
            for kind, counts in tally.outcomes.items():
                for outcome, times in counts.items():
                    if outcome.startswith(WRONG):
                        yield f"{kind}: {outcome[len(WRONG) :]} ({times:,} times)"
        for kind, wanted in WANTED.items():
            counts = self.broken.outcomes.get(kind, {})
            if self.seconds >= _LONG and sum(counts.values()) >= _ENOUGH and wanted not in counts:
                yield f"{kind}: none of {sum(counts.values()):,} was answered {wanted}"
        seen = self.watched
        if seen.unready or not seen.polls:
            yield f"not ready at {len(seen.unready):,} of {seen.polls:,} polls, first: {(*seen.unready, '')[0]}"
        if len(set(seen.processes)) != 1:
            yield f"served by the processes {', '.join(map(str, seen.processes))}"
        if seen.memory_most > self.memory_bound:
            yield f"{seen.memory_most:.0f} MB of memory, at most {self.memory_bound:.0f} are within its limits"
        if seen.memory_end > MOST_MB_AT_END:
            yield f"{seen.memory_end:.0f} MB of memory at the end, at most {MOST_MB_AT_END:.0f} were wanted"
        yield from (f"logged: {line}" for line in seen.faults)

    def as_text(self) -> str:
        """For a terminal."""
        good, seen = self.good.outcomes.get("good", {}), self.watched
        asked = sum(good.values()) - good.get(REFUSED, 0)
        answers, polls = _quantiles(self.good.milliseconds), _quantiles(seen.poll_milliseconds)
        broken = {kind: self.broken.outcomes[kind] for kind in sorted(self.broken.outcomes)}
        sent = self.broken.count()
        width = max((len(kind) for kind in broken), default=0)
        return "\n".join(
            [
                machine(),
                f"good requests    {asked:,} in {self.seconds:.0f} s, {good.get(RIGHT, 0):,} answered right, "
                f"refused with 503 and tried again {good.get(REFUSED, 0):,} times; {_spread(answers)}",
                f"broken requests  {sent:,}",
                *(
                    f"  {kind:<{width}}  {sum(counts.values()):>7,}  "
                    + ", ".join(f"{outcome} {times:,}" for outcome, times in sorted(counts.items()))
                    for kind, counts in broken.items()
                ),
                f"/readyz          {seen.polls:,} polls, {len(seen.unready):,} not ready; " + _spread(polls),
                f"memory           {seen.memory_start:.0f} MB at the start, {seen.memory_most:.0f} MB at the most, "
                f"{seen.memory_end:.0f} MB at the end",
                f"process          {', '.join(map(str, seen.processes))}; {seen.warnings:,} warnings in its log",
                *(f"example          {text}" for text in (*self.good.examples, *self.broken.examples)),
                *(f"FAILED           {text}" for text in self.failures()),
            ]
        )


def _quantiles(milliseconds: list[float]) -> dict[str, float]:
    p50, p95, p99, longest = np.quantile(milliseconds or [np.nan], (0.5, 0.95, 0.99, 1.0))
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "longest": float(longest)}


def _spread(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in found.items())
