"""Load on an HTTP server from a process of its own: requests at a concurrency or at a rate, each one timed.

    python -m benchmarks.http.load < LOAD.json > MEASURED.json

wrk and hey do not do what is needed here: several pictures in turn, arrivals at a rate whether or not the server
keeps up (latency counts from when a request was due), and latencies by status. One process sends thousands of
requests a second, because the bytes of a request are made once.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import uvloop

from benchmarks.http.client import Connection, NoAnswerError, form, request

FAILED = 0
"""Stands for a status where the connection broke or there was no answer in time."""
_NO_MORE = float("inf")


@dataclass(frozen=True)
class Load:
    """What to send: the `pictures` (files) in turn to `http://127.0.0.1:port/recommend?k=10`.

    With a `rate` (requests a second), requests arrive at random (a Poisson process) or `evenly`, and at most
    `connections` of them wait for their answers. Without one, each of the `connections` sends its next request when
    it has its answer. It ends after `seconds`, or after `requests` where that is not 0.
    """

    port: int
    pictures: list[str]
    connections: int
    seconds: float
    rate: float = 0.0
    evenly: bool = False
    requests: int = 0
    warm_up: float = 0.5
    timeout: float = 60.0


@dataclass
class Measured:
    """Milliseconds of each answer, by status (`0`: failed, or still not sent when a rate ended).

    `in_time` counts, by status, the answers that came within the `seconds`; `all_answers` counts those of the
    warm-up, too.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    in_time: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    all_answers: int = 0

    def rate(self, status: int = 200) -> float:
        """Answers of this status a second."""
        return self.in_time.get(str(status), 0) / self.seconds


async def send_load(load: Load, pictures: list[bytes]) -> Measured:
    """Send the load. Latencies are of requests due after the warm-up (at a rate) or answered in time (else)."""
    requests = [request(form(picture)) for picture in pictures]
    measured = Measured()
    began = time.perf_counter() + load.warm_up
    ends = began + load.seconds
    sent = 0
    due: asyncio.Queue[float] = asyncio.Queue()

    def left() -> bool:
        return sent < load.requests if load.requests else time.perf_counter() < ends

    def note(status: int, start: float, now: float) -> None:
        measured.all_answers += status != FAILED
        if load.requests or began <= now <= ends:
            measured.in_time[str(status)] = measured.in_time.get(str(status), 0) + 1
        if load.requests or (began <= start if load.rate else began <= now <= ends):
            measured.milliseconds.setdefault(str(status), []).append(1000 * (now - start))

    async def client() -> None:
        nonlocal sent
        connection = Connection(load.port, load.timeout)
        while left():
            start = await due.get() if load.rate else time.perf_counter()
            if start == _NO_MORE:
                break
            sent += 1
            try:
                status = (await connection.ask(requests[sent % len(requests)])).status
            except NoAnswerError:
                status = FAILED
            note(status, start, time.perf_counter())
        connection.close()

    async def arrivals() -> None:
        at, rng = time.perf_counter(), random.Random(0)
        while at < ends:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            due.put_nowait(at)
            at += 1 / load.rate if load.evenly else rng.expovariate(load.rate)
        for _ in range(load.connections):
            due.put_nowait(_NO_MORE)

    tasks = [client() for _ in range(load.connections)]
    await asyncio.gather(*tasks, *([arrivals()] if load.rate else []))
    while not due.empty() and (start := due.get_nowait()) != _NO_MORE:
        note(FAILED, start, time.perf_counter())
    measured.seconds = time.perf_counter() - began if load.requests else load.seconds
    return measured


def main() -> None:
    """Send the load on the standard input and print what was measured."""
    load = Load(**json.load(sys.stdin))
    pictures = [Path(file).read_bytes() for file in load.pictures]
    json.dump(asdict(uvloop.run(send_load(load, pictures))), sys.stdout)


if __name__ == "__main__":
    main()
