"""What benchmarks/poison.py found, whether the service stood it, and how that is printed."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from poison_clients import REFUSED, RIGHT, WRONG, Tally

MOST_MB_AT_END = 600.0
"""Resident memory once the poison has stopped: a fresh server has 200 MB, and what large pictures took is freed."""
WANTED = {
    "a byte a second": "408",
    "too large": "413",
    "no HTTP": "400",
    "bad chunks": "400",
    "empty body": "422",
    "unknown k, box or at": "422",
    "wrong route": "404",
}
"""An answer that some requests of a kind must have had, where there were enough: else they poison nothing."""
_ENOUGH = 30
_LONG = 60.0
"""Seconds in which whoever is slow has been refused: the default limits are 10 and 30."""


@dataclass(frozen=True)
class Watched:
    """What was seen of the server from beside: polls of /readyz, resident memory in MB, and its processes."""

    polls: int
    unready: list[str]
    poll_milliseconds: list[float]
    memory_start: float
    memory_most: float
    memory_end: float
    processes: list[int]
    faults: list[str]
    """Lines of its log that tell of a fault."""
    warnings: int
    """How many more tell of a warning."""


@dataclass(frozen=True)
class Poisoned:
    """A run: both halves of the clients, and the server meanwhile."""

    seconds: float
    good: Tally
    broken: Tally
    watched: Watched
    memory_bound: float

    def failures(self) -> list[str]:
        """Why the service did not stand it; nothing where it did."""
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
