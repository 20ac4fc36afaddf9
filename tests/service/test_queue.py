"""More pictures than can be computed: some wait, the rest are refused at once, and nothing else waits with them."""

import asyncio
import gc
import io
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn

import httpx
import pytest
from PIL import Image
from starlette.types import Message

from index.answers.picture_map import PictureMap
from index.answers.recommendation import Recommendation
from index.answers.recommender import Recommender
from model.errors import BundleError
from service.load.queue import PictureQueue, RefusalPace
from service.state import state_of
from tests.service.conftest import Encode, Library, running
from tests.service.test_app import other, started
from tests.service.test_bad_requests import check_problem


def slow_picture() -> bytes:
    """A picture of few bytes that takes long to decode."""
    buffer = io.BytesIO()
    Image.new("RGB", (7000, 7000), "teal").save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def test_a_full_queue_refuses_and_nothing_else_waits(library: Library, encode: Encode) -> None:
    slow = slow_picture()
    with (
        running(library, "--threads", "1", "--queue-seconds", "0.3") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        url = client.get("/sounds?limit=1").json()["sounds"][0]["url"]
        asked = [pool.submit(client.post, "/recommend", files={"image": slow}) for _ in range(12)]
        rounds = 0
        while not all(one.done() for one in asked):
            for path in ("/livez", "/readyz", url, "/materials"):
                assert client.get(path).status_code == 200
            rounds += 1
        assert rounds
        answers = [one.result() for one in asked]
        refused = [answer for answer in answers if answer.status_code != 200]
        # How many were computed while others might wait is the machine's business.
        assert 1 <= len(refused) <= 11
        for answer in refused:
            check_problem(answer, 503, "busy", "try again")
            assert int(answer.headers["retry-after"]) >= 1
        assert client.post("/recommend", files={"image": encode()}).status_code == 200


def test_a_full_queue_refuses_all_the_others(library: Library) -> None:
    async def ask() -> tuple[list[httpx.Response], list[bytes]]:
        async with started(library, threads=1, queue_seconds=60) as (client, current):
            one_may_wait(client)
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            asked = [asyncio.ensure_future(client.post("/recommend", content=b"%d" % n)) for n in range(12)]
            done: set[asyncio.Future[httpx.Response]] = set()
            while len(done) < 10:
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)
            # One is computed and one waits: neither has an answer, whatever happens to the others.
            assert len(done) == 10
            refused = [one.result() for one in done]
            hanging.go_on.set()
            await asyncio.gather(*asked)
            return refused, hanging.seen

    refused, seen = asyncio.run(ask())

    assert len(seen) == 2
    for answer in refused:
        check_problem(answer, 503, "a request would wait for longer than 60 s", "try again")
        assert int(answer.headers["retry-after"]) >= 1


def test_a_refusal_does_not_wait_for_the_body(library: Library) -> None:
    async def ask() -> list[Message]:
        async with started(library, threads=1, queue_seconds=60) as (client, current):
            nobody_may_wait(client)
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            first = asyncio.ensure_future(client.post("/recommend", content=b"x"))
            await has(hanging.begun)
            try:
                return await call(client, never)
            finally:
                hanging.go_on.set()
                await first

    start, _ = asyncio.run(ask())

    assert start["status"] == 503
    assert b"retry-after" in dict(start["headers"])


def test_a_request_whose_client_has_gone_leaves_the_queue(library: Library) -> None:
    async def ask() -> tuple[list[int], list[bytes]]:
        async with started(library, threads=1, queue_seconds=60) as (client, current):
            one_may_wait(client)
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            first = asyncio.ensure_future(client.post("/recommend", content=b"1"))
            await has(hanging.begun)
            received, queued, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

            async def leaving() -> Message:
                if not received.is_set():
                    received.set()
                    return {"type": "http.request", "body": b"2", "more_body": False}
                queued.set()
                await gone.wait()
                return {"type": "http.disconnect"}

            second = asyncio.ensure_future(call(client, leaving))
            await queued.wait()
            third = await client.post("/recommend", content=b"3")
            gone.set()
            await second
            fourth = asyncio.ensure_future(client.post("/recommend", content=b"4"))
            hanging.go_on.set()
            statuses = [answer.status_code for answer in (await first, third, await fourth)]
            return statuses, hanging.seen

    statuses, seen = asyncio.run(ask())

    assert statuses == [500, 503, 500]  # 500 is what the stand-in answers
    assert seen == [b"1", b"4"]  # nobody computed for the one who had gone


def test_a_deadline_covers_waiting_and_computing(library: Library) -> None:
    async def ask() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        async with started(library, threads=1, deadline_seconds=0.2) as (client, current):
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            two = [asyncio.ensure_future(client.post("/recommend", content=b"x")) for _ in range(2)]
            computing, waiting = await asyncio.gather(*two)
            # The thread is still at it, so its place is taken; the place of the one who waited is free again.
            third = await client.post("/recommend", content=b"x")
            hanging.go_on.set()
            return computing, waiting, third

    for response in asyncio.run(ask()):
        check_problem(response, 503, "within 0.2 s")
        assert response.headers["retry-after"]


def test_an_upload_that_does_not_end_is_given_up(library: Library) -> None:
    async def ask() -> list[Message]:
        async with started(library, deadline_seconds=0.2) as (client, _):
            return await call(client, never)

    start, _ = asyncio.run(ask())

    assert start["status"] == 408


def test_the_memory_of_all_uploads_is_bounded(library: Library, encode: Encode) -> None:
    async def ask() -> tuple[list[Message], httpx.Response, httpx.Response]:
        async with started(library, upload_memory_bytes=2**20, max_body_bytes=2**20) as (client, _):
            filled, gone = asyncio.Event(), asyncio.Event()

            async def endless() -> Message:
                if not filled.is_set():
                    filled.set()
                    return {"type": "http.request", "body": b"x" * (2**20 - 100), "more_body": True}
                await gone.wait()
                return {"type": "http.disconnect"}

            large = asyncio.ensure_future(call(client, endless))
            await filled.wait()
            refused = await client.post("/recommend", content=encode())
            gone.set()
            return await large, refused, await client.post("/recommend", content=encode())

    _, refused, after = asyncio.run(ask())

    check_problem(refused, 503, "too many uploads")
    assert refused.headers["retry-after"] == "1"
    assert after.status_code == 200


def test_nobody_waits_for_too_long(library: Library) -> None:
    """Also where the last pictures took no time, and the one that is computed does not end."""

    async def ask() -> tuple[list[httpx.Response], list[bytes]]:
        async with started(library, threads=1, queue_seconds=0.5) as (client, current):
            hanging = Hanging.instead_of(library)
            current.replace(hanging)
            first = asyncio.ensure_future(client.post("/recommend", content=b"1"))
            await has(hanging.begun)
            refused = await asyncio.gather(*(client.post("/recommend", content=b"2") for _ in range(3)))
            assert not first.done()
            hanging.go_on.set()
            return [*refused, await first, await client.post("/recommend", content=b"3")], hanging.seen

    answers, seen = asyncio.run(ask())
    for answer in answers[:3]:
        check_problem(answer, 503, "would wait for longer than 0.5 s", "try again")
        assert int(answer.headers["retry-after"]) >= 1
    assert [answer.status_code for answer in answers[3:]] == [500, 500]  # what the stand-in answers
    assert seen == [b"1", b"3"]


def test_each_kind_of_work_has_its_own_time() -> None:
    queue, go_on, begun = PictureQueue(threads=1, seconds=60), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(60)

    def fail() -> None:
        raise BundleError("nothing is computed")

    queue._seconds |= {"picture": 20.0, "sound": 10.0}
    for _ in range(20):
        queue.submit(lambda: None, kind="sound").result(60)
        with pytest.raises(BundleError):
            queue.submit(fail).result(60)
    running = queue.submit(work)
    begun.wait(60)
    assert queue.wait == 20.0  # neither sounds nor what fails say how long a picture takes
    waiting = queue.submit(lambda: None, kind="sound")
    assert 20.0 < queue.wait < 22.0
    go_on.set()
    running.result(60)
    waiting.result(60)
    queue.close()


def test_what_would_wait_for_too_long_is_refused_at_once() -> None:
    queue, go_on, begun = PictureQueue(threads=2, seconds=60), threading.Event(), threading.Barrier(3)

    def work() -> None:
        begun.wait(60)
        go_on.wait(60)

    queue._seconds["picture"] = 6.0
    running = [queue.submit(work) for _ in range(2)]
    begun.wait(60)
    assert queue.wait == pytest.approx(3.0)
    waiting = []
    while not queue.full:
        waiting.append(queue.submit(lambda: None))
    assert len(waiting) == 16  # 48 s of work for two threads
    queue._seconds["picture"] = 0.6
    assert not queue.full
    go_on.set()
    for one in (*running, *waiting):
        one.result(60)
    queue.close()


def test_refusals_are_held_back_the_more_there_are() -> None:
    async def held(count: int) -> float:
        pace, began = RefusalPace(), time.monotonic()
        await asyncio.gather(*(pace.hold(("127.0.0.1", number)) for number in range(count)))
        return time.monotonic() - began

    assert asyncio.run(held(1)) >= 0.03
    assert asyncio.run(held(700)) >= 1.4
    assert asyncio.run(held(3000)) < 30  # there is an end to it


def test_who_asks_again_at_once_is_held_back_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = 1000.0

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def ask() -> None:
        pace = RefusalPace()
        for _ in range(8):
            await pace.hold(("127.0.0.1", 1))
        await pace.hold(("127.0.0.1", 2))
        monkeypatch.setattr("service.load.queue.monotonic", lambda: now + 1)  # it waited
        await pace.hold(("127.0.0.1", 1))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr("service.load.queue.monotonic", lambda: now)
    asyncio.run(ask())
    assert slept == pytest.approx([0.03, 0.25, *[0.5] * 6, 0.03, 0.03])


def test_only_the_last_refusals_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> RefusalPace:
        pace = RefusalPace()
        await asyncio.gather(*(pace.hold(number) for number in range(9)))
        return pace

    monkeypatch.setattr("service.load.queue._MOST_REMEMBERED", 4)
    assert len(asyncio.run(ask())._refused) == 4


def test_the_queue_counts() -> None:
    queue = PictureQueue(threads=1, seconds=60)
    queue._seconds["picture"] = 40.0
    go_on, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(60)

    running_one = queue.submit(work)
    assert begun.wait(60)
    waiting_one = queue.submit(lambda: None)
    assert (queue.running, queue.waiting, queue.full) == (1, 1, True)
    waiting_one.cancel()
    assert (queue.running, queue.waiting, queue.full) == (1, 0, False)
    go_on.set()
    running_one.result()
    queue.close()
    with pytest.raises(RuntimeError):
        queue.submit(work)
    assert (queue.running, queue.waiting, queue.wait) == (0, 0, 0.0)


def test_whether_it_is_full_can_be_asked_while_threads_finish() -> None:
    queue, ended = PictureQueue(threads=1, seconds=60), threading.Event()

    def ask() -> None:
        while not ended.is_set():
            assert 0 <= queue.wait < 60
            assert not queue.full

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(2) as pool:
        try:
            asked = [pool.submit(ask) for _ in range(2)]
            for _ in range(2000):
                queue.submit(lambda: None).result(60)
        finally:
            ended.set()
            sys.setswitchinterval(before)
            queue.close()
        for one in asked:
            one.result(60)


def one_may_wait(client: httpx.AsyncClient) -> None:
    """As if pictures had taken two thirds of the 60 s for which one may wait."""
    _have_taken(client, 40.0)


def nobody_may_wait(client: httpx.AsyncClient) -> None:
    """As if pictures and sounds had taken as long as one may wait.

    With a bound of milliseconds in place of this, a busy machine refuses the first request too, before its turn.
    """
    _have_taken(client, 60.0)


def _have_taken(client: httpx.AsyncClient, seconds: float) -> None:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    state_of(transport.app).queue._seconds |= dict.fromkeys(("picture", "sound"), seconds)  # type: ignore[arg-type]


async def has(event: threading.Event) -> None:
    """Return when another thread has set `event`; a test must not hang where none does."""
    assert await asyncio.to_thread(event.wait, 60)


class Hanging(Recommender):
    """Computes nothing until told to go on, and then fails."""

    begun: threading.Event
    go_on: threading.Event
    seen: list[bytes]

    @classmethod
    def instead_of(cls, library: Library) -> "Hanging":
        hanging = other(cls, library)
        assert isinstance(hanging, cls)
        hanging.begun, hanging.go_on, hanging.seen = threading.Event(), threading.Event(), []
        return hanging

    def recommend(self, picture: object, *_: object, **__: object) -> Recommendation:
        self._hang(picture)

    def map(self, picture: object, *_: object, **__: object) -> PictureMap:
        self._hang(picture)

    def _hang(self, picture: object) -> NoReturn:
        assert isinstance(picture, bytes)
        self.seen.append(picture)
        self.begun.set()
        self.go_on.wait(60)
        raise BundleError("a stand-in computes nothing")


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def call(client: httpx.AsyncClient, receive: Callable[[], Any]) -> list[Message]:
    """POST a picture that comes from `receive`; the messages of the answer."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/recommend",
        "raw_path": b"/recommend",
        "query_string": b"",
        "headers": [(b"host", b"thud"), (b"content-type", b"image/png")],
        "scheme": "http",
        "http_version": "1.1",
        "server": ("thud", 80),
        "client": ("test", 1),
        "root_path": "",
    }
    await transport.app(scope, receive, send)
    return sent


def test_what_a_cancelled_piece_of_work_holds_goes_at_once() -> None:
    class Upload:
        """Something that can be watched going."""

    queue, release = PictureQueue(threads=1, seconds=60), threading.Event()
    running = queue.submit(lambda: release.wait(30))
    upload = Upload()
    watched = weakref.ref(upload)
    waiting = queue.submit(partial(str, upload))
    del upload
    assert waiting.cancel()
    gc.collect()
    assert watched() is None
    release.set()
    assert running.result(30)
    queue.close()
