"""Requests at a service whose index is swapped: each one timed, and when which index answered it."""

import asyncio
import math
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.http.client import Connection, NoAnswerError, form, request
from benchmarks.http.servers import Server, Worker
from benchmarks.swaps.generations import TwoGenerations
from index.generation import POINTER
from model.atomic import atomic_file

_LOOK_EVERY = 0.1
_LONGEST_SWAP = 120.0
_AFTER = 1.0
"""Seconds after the last worker has taken the index over that still count as the swap: the one before is closed."""
_LEAST = 4
"""Requests that are waited for with and without a swap, also on a slow machine: none would have no greatest."""
_TIMEOUT = 60.0
_TAKEN = re.compile(rb'^thud_swaps_total\{result="taken"\} (\d+)', re.MULTILINE)


class Asked(NamedTuple):
    """A request: when it was due, of `time.perf_counter`, its milliseconds from then on, and if it was answered."""

    due: float
    milliseconds: float
    well: bool

    @property
    def over(self) -> float:
        """When it was answered."""
        return self.due + self.milliseconds / 1000


@dataclass
class Window:
    """The requests of some seconds."""

    seconds: float
    milliseconds: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def greatest(self) -> float:
        """Of the request that took longest, in milliseconds."""
        return max(self.milliseconds)


@dataclass
class Swaps:
    """For each swap the requests beside it: those of as many seconds before it, those of the swap itself; and the
    memory of all workers after it."""

    without: list[Window] = field(default_factory=list)
    over: list[Window] = field(default_factory=list)
    memory: list[list[Worker]] = field(default_factory=list)
    taking_over: list[float] = field(default_factory=list)


class Clients:
    """So many clients, each of which sends a picture when it has the answer to the one before.

    With a `rate`, they send so many a second together, evenly; a request that is sent late because the one before
    was answered late counts from when it was due.
    """

    def __init__(self, port: int, pictures: list[bytes], clients: int, rate: float = 0.0) -> None:
        self._requests = [request(form(picture)) for picture in pictures]
        self._port, self._clients = port, clients
        self._every = clients / rate if rate else 0.0
        self._asked: list[Asked] = []

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask until the context ends."""
        tasks = [asyncio.ensure_future(self._ask(number, self._every)) for number in range(self._clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def several(self, requests: int) -> None:
        """Ask so many times, without pause."""
        await asyncio.gather(*(self._ask(number, 0.0, requests) for number in range(self._clients)))

    def within(self, began: float, ended: float) -> Window:
        """The requests that were due and answered in this time."""
        return self._window(began, ended, [one for one in self._asked if began < one.due and one.over < ended])

    def beside(self, began: float, ended: float) -> Window:
        """The requests of which any part was in this time."""
        return self._window(began, ended, [one for one in self._asked if one.due < ended and one.over > began])

    @staticmethod
    def _window(began: float, ended: float, inside: list[Asked]) -> Window:
        return Window(
            ended - began,
            [one.milliseconds for one in inside if one.well],
            sum(not one.well for one in inside),
        )

    async def _ask(self, number: int, every: float, most: float = math.inf) -> None:
        connection = Connection(self._port, _TIMEOUT)
        due = time.perf_counter() + every * number / self._clients
        try:
            while number < most:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                try:
                    well = (await connection.ask(self._requests[number % len(self._requests)])).status == 200
                except NoAnswerError:
                    well = False
                now = time.perf_counter()
                self._asked.append(Asked(due, 1000 * (now - due), well))
                due = due + every if every else now
                number += self._clients
        finally:
            connection.close()


async def swap_often(
    server: Server, index: TwoGenerations, load: Clients, swaps: int, quiet_seconds: float
) -> Swaps:
    """Swap the two generations so many times while clients ask; before each they ask for a while without one."""
    found = Swaps()
    workers = len(server.workers())
    looking = Connection(server.port, _TIMEOUT)
    taken = await _taken(looking)
    looking.close()
    for number in range(swaps):
        async with load.asking():
            await asyncio.sleep(quiet_seconds / 4)
            settled = time.perf_counter()
            await asyncio.sleep(quiet_seconds - quiet_seconds / 4)
            pointed = await _enough(load.within, settled)
            # Not here: it waits for the disk, and no request would be sent meanwhile.
            await asyncio.to_thread(_point_to, index.folder, index.ids[(number + 1) % 2])
            os.kill(server.process, signal.SIGHUP)
            while await _taken(looking) < taken + workers:
                if time.perf_counter() - pointed > _LONGEST_SWAP:
                    raise SystemExit(f"the service did not take the index over within {_LONGEST_SWAP:g} s")
                await asyncio.sleep(_LOOK_EVERY)
            taken += workers
            over = time.perf_counter()
            await asyncio.sleep(_AFTER)
            ended = await _enough(load.beside, pointed)
        found.without.append(load.within(settled, pointed))
        found.over.append(load.beside(pointed, ended))
        found.taking_over.append(over - pointed)
        found.memory.append(server.workers())
        looking.close()  # else the service may close it at the very moment at which it is asked again
    return found


async def _enough(window: Callable[[float, float], Window], began: float) -> float:
    """The moment at which the window that has begun then has some requests that were answered."""
    while len(window(began, now := time.perf_counter()).milliseconds) < _LEAST:
        if now - began > _LONGEST_SWAP:
            raise SystemExit(f"the service did not answer {_LEAST} requests within {_LONGEST_SWAP:g} s")
        await asyncio.sleep(_LOOK_EVERY)
    return now


def _point_to(folder: Path, identity: str) -> None:
    """Make a generation the current one, as publishing does, and leave the other where it is."""
    with atomic_file(folder / POINTER) as pointer:
        pointer.write_text(identity + "\n", encoding="ascii")


async def _taken(connection: Connection) -> int:
    """How many times a worker has taken another index over."""
    answer = await connection.ask(request([], method="GET", target="/metrics"))
    return sum(map(int, _TAKEN.findall(answer.body)))
