"""Clients of the poison benchmark in a process of their own: all of them good, or all of them broken.

    python -m benchmarks.poison.clients < CLIENTS.json

Prints a line of JSON (a `Tally`) twice a second and at the end.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import uvloop

from benchmarks.http.client import Answer, Connection, NoAnswerError, form, request
from benchmarks.poison.requests import Broken, Poison

RIGHT, REFUSED = "right", "refused"
"""Outcomes of good requests that are as they should be: the right answer, or a refusal with Retry-After."""
NOTHING = "no answer"
"""Outcome of broken requests that may end without an answer."""
WRONG = "WRONG: "
"""The start of every outcome that must not be."""

_TIMEOUT = 60.0
"""Seconds to wait for an answer that must come: twice the server's default deadline."""
_PATIENCE = 5.0
"""Seconds to wait for an answer that may not come, and in which a deaf client reads nothing."""
_MOST_HELD = 100
"""Most connections at a time that may get no answer; the clients' own are not counted."""
_MOST_EXAMPLES = 20
_RETRIES = 100


@dataclass(frozen=True)
class Clients:
    """How many clients send what for how long; with `expected`, the answers to `pictures`, they are good ones."""

    port: int
    seconds: float
    clients: int
    pictures: list[str]
    expected: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """Counts of outcomes, by kind of request; good requests are of the kind `good`."""

    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, outcome: str) -> None:
        """Count one."""
        counts = self.outcomes.setdefault(kind, {})
        counts[outcome] = counts.get(outcome, 0) + 1

    def count(self, start: str = "") -> int:
        """The number of outcomes whose text starts with `start`."""
        return sum(
            times
            for counts in self.outcomes.values()
            for outcome, times in counts.items()
            if outcome.startswith(start)
        )


async def good_clients(work: Clients, pictures: list[bytes], tally: Tally) -> None:
    """Send good pictures, in a form or as the body, and compare each answer; a refused one is sent again."""
    expected = [body.encode() for body in work.expected]
    requests = [(request(form(one)), request([one], content_type="image/jpeg")) for one in pictures]
    ends = time.monotonic() + work.seconds

    async def client(number: int) -> None:
        rng = random.Random(number)
        connection = Connection(work.port, _TIMEOUT)
        while time.monotonic() < ends:
            at = rng.randrange(len(requests))
            await _ask_until_answered(connection, rng.choice(requests[at]), expected[at], tally)
        connection.close()

    await asyncio.gather(*(client(number) for number in range(work.clients)))


async def _ask_until_answered(connection: Connection, asked: list[bytes], expected: bytes, tally: Tally) -> None:
    for _ in range(_RETRIES):
        began = time.monotonic()
        try:
            answer = await connection.ask(asked)
        except NoAnswerError as error:
            tally.note("good", f"{WRONG}{error}")
            return
        tally.milliseconds.append(1000 * (time.monotonic() - began))
        if answer.status != 503:
            outcome = RIGHT if answer.status == 200 and answer.body == expected else f"{WRONG}{answer.status}"
            tally.note("good", outcome)
            if outcome != RIGHT:
                _example(tally, f"good: {answer.status} {answer.body!r:.500} in place of {expected!r:.500}")
            return
        wait = answer.header("retry-after")
        if wait is None:
            tally.note("good", f"{WRONG}503 without Retry-After")
            return
        tally.note("good", REFUSED)
        connection.close()  # the server would close it while it is idle
        await asyncio.sleep(float(wait))
    tally.note("good", f"{WRONG}refused {_RETRIES} times")


async def broken_clients(work: Clients, pictures: list[bytes], tally: Tally) -> None:
    """Send broken requests one after the other; those that take long have connections of their own."""
    poison = Poison(pictures)
    ends = time.monotonic() + work.seconds
    held: set[asyncio.Task[None]] = set()
    next_number = 0

    async def hold(broken: Broken, number: int) -> None:
        note(broken, number, *await _LONE[broken.then](work.port, broken, ends))

    def note(broken: Broken, number: int, outcome: str, answer: Answer | None) -> None:
        tally.note(broken.kind, outcome)
        if outcome.startswith(WRONG):
            body = answer.body if answer else b""
            _example(tally, f"{broken.kind}, number {number}: {outcome[len(WRONG) :]} {body!r:.500}")

    async def client() -> None:
        nonlocal next_number
        connection = Connection(work.port, _TIMEOUT)
        while time.monotonic() < ends:
            number, next_number = next_number, next_number + 1
            broken = poison.request(number)
            if broken.then == "answer":
                note(broken, number, *await _whole(connection, broken))
            elif len(held) < _MOST_HELD:
                held.add(task := asyncio.ensure_future(hold(broken, number)))
                task.add_done_callback(held.discard)
            else:
                await asyncio.sleep(0)
        connection.close()

    await asyncio.gather(*(client() for _ in range(work.clients)))
    await asyncio.gather(*held)


Came = tuple[str, Answer | None]
"""The outcome of a broken request, and its answer if there was one."""


async def _whole(connection: Connection, broken: Broken) -> Came:
    """Send a whole request on a connection that may have carried others, and wait for its answer."""
    try:
        answer = await connection.ask(broken.pieces)
    except NoAnswerError as error:
        return f"{WRONG}{error}, and an answer was due", None
    if not broken.again:
        connection.close()
    return _judged(answer), answer


async def _incomplete(port: int, broken: Broken, ends: float) -> Came:
    """Send it, and wait some seconds for what comes."""
    connection = Connection(port, _PATIENCE)
    try:
        answer = await connection.ask(broken.pieces, ends=broken.then == "end")
    except NoAnswerError:
        return NOTHING, None
    finally:
        connection.close(abort=broken.then == "wait")
    return _judged(answer), answer


async def _cut(port: int, broken: Broken, ends: float) -> Came:
    """Send it and break the connection."""
    connection = Connection(port, _PATIENCE)
    with contextlib.suppress(OSError):
        await connection.send(b"".join(broken.pieces))
    connection.close(abort=True)
    return NOTHING, None


async def _slow(port: int, broken: Broken, ends: float) -> Came:
    """Send a byte a second until the server answers or closes, or the run ends."""
    connection = Connection(port, _TIMEOUT)
    try:
        await connection.send(b"".join(broken.pieces))
        answer = asyncio.ensure_future(connection.ask([]))
        while not answer.done() and time.monotonic() < ends:
            await connection.send(b"x")
            await asyncio.wait({answer}, timeout=1.0)
        answer.cancel()
        return _judged(await answer), answer.result()
    except (OSError, NoAnswerError, asyncio.CancelledError):
        return NOTHING, None
    finally:
        connection.close(abort=True)


async def _deaf(port: int, broken: Broken, ends: float) -> Came:
    """Send it, read nothing for some seconds, and break the connection."""
    connection = Connection(port, _PATIENCE)
    with contextlib.suppress(OSError):
        await connection.send(b"".join(broken.pieces))
        await asyncio.sleep(min(_PATIENCE, max(0.0, ends - time.monotonic())))
    connection.close(abort=True)
    return NOTHING, None


_LONE = {"wait": _incomplete, "end": _incomplete, "cut": _cut, "slow": _slow, "deaf": _deaf}


def _judged(answer: Answer) -> str:
    if answer.status >= 500 and answer.status != 503:
        return f"{WRONG}{answer.status}"
    if answer.status == 503 and answer.header("retry-after") is None:
        return f"{WRONG}503 without Retry-After"
    if answer.status >= 400 and answer.header("content-type") != "application/problem+json":
        return f"{WRONG}{answer.status} that is no problem document"
    return str(answer.status)


def _example(tally: Tally, text: str) -> None:
    if len(tally.examples) < _MOST_EXAMPLES:
        tally.examples.append(text)


async def _run(work: Clients, pictures: list[bytes]) -> None:
    tally = Tally()
    running = asyncio.ensure_future((good_clients if work.expected else broken_clients)(work, pictures, tally))
    while not running.done():
        await asyncio.wait({running}, timeout=0.5)
        # The latencies are many: only at the end.
        so_far = tally if running.done() else replace(tally, milliseconds=[])
        print(json.dumps(asdict(so_far)), flush=True)
    running.result()


def main() -> None:
    """Run the clients that the standard input describes."""
    work = Clients(**json.load(sys.stdin))
    uvloop.run(_run(work, [Path(file).read_bytes() for file in work.pictures]))


if __name__ == "__main__":
    main()
