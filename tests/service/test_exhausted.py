"""Threads that are all stuck and memory that is short: said as what they are, and over when they are over."""

import asyncio
import gc
import io
import resource
import threading
import weakref
from functools import partial
from pathlib import Path

import httpx
import pytest
from PIL import Image

from index.answers.recommendation import Recommendation
from index.answers.recommender import Recommender
from model.errors import PictureError
from service.load.queue import PictureQueue
from tests.service.conftest import Encode, Library, running
from tests.service.test_app import other, started
from tests.service.test_bad_requests import check_problem
from tests.service.test_metrics import read_metrics, value
from tests.service.test_queue import Hanging
from tests.waiting import within


async def until(client: httpx.AsyncClient, status: int) -> httpx.Response:
    """The first answer of /readyz with this status, or its last one in 30 s."""
    limit = asyncio.get_running_loop().time() + 30
    answer = await client.get("/readyz")
    while answer.status_code != status and asyncio.get_running_loop().time() < limit:
        answer = await client.get("/readyz")
    return answer


def test_threads_that_are_all_stuck_make_it_unready(library: Library, encode: Encode) -> None:
    async def ask() -> tuple[list[httpx.Response], list[httpx.Response]]:
        async with started(library, threads=2, queue_seconds=60, deadline_seconds=0.3) as (client, served):
            hanging = Hanging.instead_of(library)
            served.replace(hanging)
            given_up = [await client.post("/recommend", content=b"x") for _ in range(2)]
            served.replace(other(Recommender, library))
            stuck = await until(client, 503)
            waiting = await client.post("/recommend", content=encode())
            alive = await client.get("/livez")
            hanging.go_on.set()
            return [*given_up, stuck, waiting], [alive, await until(client, 200)]

    refused, well = asyncio.run(ask())

    for answer in refused:
        check_problem(answer, 503)
    check_problem(refused[2], 503, "every thread", "longer than a request may take")
    assert [answer.status_code for answer in well] == [200, 200]


def test_one_free_thread_is_enough() -> None:
    queue, release = PictureQueue(2, 60, deadline=0), threading.Event()
    begun = [threading.Event() for _ in range(2)]

    def work(number: int) -> None:
        begun[number].set()
        release.wait(30)

    found = [queue.stuck]
    futures = []
    for number in range(2):
        futures.append(queue.submit(partial(work, number)))
        begun[number].wait(30)
        found.append(queue.stuck)
    release.set()
    for future in futures:
        future.result(30)
    assert (*found, queue.stuck) == (False, False, True, False)
    queue.close()


def test_a_thread_that_is_not_old_yet_is_not_stuck() -> None:
    queue, release, begun = PictureQueue(1, 60, deadline=1000), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        release.wait(30)

    running_one = queue.submit(work)
    begun.wait(30)
    assert not queue.stuck
    release.set()
    running_one.result(30)
    queue.close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="nothing bounds the memory of a process that runs")
def test_too_little_memory_is_said_as_such(library: Library, encode: Encode) -> None:
    """And costs only the picture that is too large for what there is: 150 MB of coefficients."""
    buffer = io.BytesIO()
    Image.new("RGB", (5000, 5000), "teal").save(buffer, "JPEG", progressive=True, subsampling=0)
    large = buffer.getvalue()
    with (
        running(library, "--threads", "1", "--watch-seconds", "0", says=True) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert client.post("/recommend", content=encode()).status_code == 200
        process = server.worker
        status = Path(f"/proc/{process}/status").read_text()
        used = int(status.split("VmSize:")[1].split()[0]) * 2**10
        no_limit = resource.RLIM_INFINITY
        resource.prlimit(process, resource.RLIMIT_AS, (used + 2**26, no_limit))
        try:
            refused = client.post("/recommend", content=large)
            small = client.post("/recommend", content=encode())
        finally:
            resource.prlimit(process, resource.RLIMIT_AS, (no_limit, no_limit))
        check_problem(refused, 503, "not enough memory", "try again")
        assert int(refused.headers["retry-after"]) >= 1
        assert small.status_code == 200
        assert client.post("/recommend", content=large).status_code == 200
        assert value(read_metrics(client), "thud_rejected_total", reason="memory") == 1
        within(10, lambda: server.said().count("no memory for a request") == 1)


@pytest.mark.parametrize(("path", "status"), [("/metrics", 503), ("/sounds", 503), ("/readyz", 200)])
def test_no_memory_for_a_thread_is_said_as_such(
    library: Library, monkeypatch: pytest.MonkeyPatch, path: str, status: int
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def ask() -> tuple[httpx.Response, httpx.Response]:
        async with started(library, threads=1) as (client, _):
            with monkeypatch.context() as patched:
                patched.setattr(threading.Thread, "start", start)
                refused = await client.get(path)
            return refused, await client.get(path)

    refused, well = asyncio.run(ask())

    if status == 503:
        check_problem(refused, 503)
    assert refused.status_code == status  # the probe's thread started with the service
    assert well.status_code == 200


class _Pixels:
    """Something large that can be watched going."""


class _Failing(Recommender):
    """Fails with a picture's pixels in its hands."""

    watched: "list[weakref.ref[_Pixels]]"
    error: type[Exception]

    def recommend(self, *_: object, **__: object) -> Recommendation:
        pixels = _Pixels()
        self.watched.append(weakref.ref(pixels))
        raise self.error("made by a stand-in")


@pytest.mark.parametrize("error", [MemoryError, PictureError])
def test_what_a_failure_holds_goes_with_its_answer(library: Library, error: type[Exception]) -> None:
    async def ask() -> list[bool]:
        async with started(library, threads=1) as (client, served):
            failing = other(_Failing, library)
            assert isinstance(failing, _Failing)
            failing.watched, failing.error = [], error
            served.replace(failing)
            gc.collect()
            gc.disable()  # it would come too late for hundreds of megabytes
            try:
                await client.post("/recommend", content=b"x")
                await asyncio.sleep(0.05)
                return [one() is None for one in failing.watched]
            finally:
                gc.enable()

    assert asyncio.run(ask()) == [True]
