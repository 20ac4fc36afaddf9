"""The pixels of all pictures that are decoded at the same time are bounded."""

import asyncio
import io
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from PIL import Image

from model.errors import BusyError, PictureError
from model.picture import picture_array
from model.picture_format import PictureLimits, structure_of
from service.load.pixels import SMALL, PixelBudget
from service.settings import SettingsError, read_settings
from tests.service.conftest import Library, Server, running
from tests.service.test_app import started
from tests.service.test_bad_requests import check_problem
from tests.service.test_queue import slow_picture
from tests.waiting import within

LARGE = SMALL + 1


def memory(server: Server) -> tuple[float, float]:
    """Resident memory now and at most so far, in megabytes."""
    status = Path(f"/proc/{server.worker}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines())
    now, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing shows how much memory is used")
def test_large_pictures_take_turns(library: Library) -> None:
    picture = slow_picture()  # 49 million pixels, 187 MB in memory
    flags = ["--threads", "4", "--max-pixels-at-once", "52000000", "--deadline-seconds", "300"]
    with (
        running(library, *flags) as server,
        httpx.Client(base_url=server.url, timeout=300) as client,
        ThreadPoolExecutor(4) as pool,
    ):

        def ask(_: int) -> int:
            return client.post("/recommend", content=picture).status_code

        before = memory(server)[0]
        assert ask(0) == 200
        one = memory(server)[1] - before
        assert set(pool.map(ask, range(4))) == {200}
        now, peak = memory(server)
        assert peak - before < 1.5 * one
        assert now - before < 0.5 * one  # nothing of it is kept


def test_a_large_picture_that_waits_in_vain_is_refused(library: Library) -> None:
    state: dict[str, Any] = {}

    async def ask() -> httpx.Response:
        async with started(library, deadline_seconds=2) as (client, served):
            transport = client._transport
            assert isinstance(transport, httpx.ASGITransport)
            app = transport.app

            async def noting(scope: Any, receive: Any, send: Any) -> None:
                scope["state"] = state
                await app(scope, receive, send)

            transport.app = noting
            with served.recommender.pixel_bound.take(2 * PictureLimits.max_pixels, math.inf):
                assert (await client.post("/recommend", content=encoded("JPEG"))).status_code == 200
                return await client.post("/recommend", content=encoded("PNG"))

    refused = asyncio.run(ask())

    check_problem(refused, 503, "too many large pictures are decoded at the moment; try again in 5 s")
    assert refused.headers["retry-after"] == "5"
    assert state["refused"] == "pixels", "the reason, for the metrics"


def test_small_pictures_wait_for_nobody() -> None:
    budget = PixelBudget(most=LARGE)

    with budget.take(LARGE, math.inf):
        with budget.take(SMALL, monotonic()):
            pass
        with pytest.raises(BusyError) as refused, budget.take(LARGE, monotonic() + 0.05):
            pass
        assert refused.value.retry_after == 5
    with budget.take(LARGE, monotonic()):
        pass


def test_the_largest_is_not_passed_over() -> None:
    budget, order = PixelBudget(most=3 * LARGE), []
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with budget.take(LARGE, math.inf):
            begun.set()
            go_on.wait(30)

    def take(pixels: int) -> None:
        with budget.take(pixels, math.inf):
            order.append(pixels)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(hold)
        begun.wait(30)
        largest = pool.submit(take, 3 * LARGE)
        within(30, budget._turn.locked)
        later = pool.submit(take, LARGE)
        go_on.set()
        for one in (first, largest, later):
            one.result(30)

    assert order == [3 * LARGE, LARGE]


def counted(picture: bytes) -> int:
    """The pixels that a picture counts as, also where it then turns out to be broken."""
    found: list[int] = []

    def room(pixels: int) -> threading.Lock:
        found.append(pixels)
        return threading.Lock()

    with suppress(PictureError):
        picture_array(picture, 64, "squash", reserve=room)
    return found[0]


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (1600, 1200), "teal").save(buffer, kind, **options)
    return buffer.getvalue()


def test_what_a_picture_counts() -> None:
    assert counted(encoded("PNG")) == 1600 * 1200
    assert counted(encoded("JPEG")) == 200 * 150  # scaled down while it is decoded
    assert counted(encoded("JPEG", progressive=True)) == 1600 * 1200  # whose coefficients are kept


def test_a_scan_for_each_component_is_counted_in_full() -> None:
    whole = encoded("JPEG", subsampling=0)
    at = whole.index(b"\xff\xda")
    # A scan that names one of the three components; what follows it does not matter to what it counts as.
    first = whole[:at] + b"\xff\xda\x00\x08\x01" + whole[at + 5 : at + 7] + b"\x00\x3f\x00" + whole[at + 14 :]
    assert (structure_of(whole).scans, structure_of(first).scans) == (0, 1)
    assert counted(first) == 1600 * 1200


def test_room_for_less_than_one_picture_is_refused() -> None:
    assert read_settings({"max_pixels": "1000"}).max_pixels_at_once == 2000
    with pytest.raises(SettingsError, match="less than max_pixels"):
        read_settings({"max_pixels": "1000", "max_pixels_at_once": "999"})
