"""What the service counts and measures, in Prometheus' own format.

With several worker processes, each writes its numbers into files of the folder PROMETHEUS_MULTIPROC_DIR and any of
them answers for all. The variable must be set before this module is imported.
"""

import os
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.environment import METRICS_FOLDER

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one application, in a registry of their own. Safe to use from several threads."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        requests = Counter("thud_requests", "Requests answered.", ["route", "method", "status"], registry=registry)
        request_seconds = Histogram(
            "thud_request_seconds",
            "Time to answer, upload included.",
            ["route"],
            registry=registry,
            buckets=_SECONDS,
        )
        stage_seconds = Histogram(
            "thud_stage_seconds",
            "Time of a picture in the queue, decoding, the network and the search.",
            ["stage"],
            registry=registry,
            buckets=_SECONDS,
        )
        rejected = Counter("thud_rejected", "Requests refused.", ["reason"], registry=registry)
        # Finding the series of its labels takes longer than counting in it.
        self._requests, self._request_seconds = cache(requests.labels), cache(request_seconds.labels)
        self._stage_seconds, self._rejected = cache(stage_seconds.labels), cache(rejected.labels)
        self._waiting = Gauge(
            "thud_queue_length", "Pictures that wait.", registry=registry, multiprocess_mode="livesum"
        )
        self._running = Gauge(
            "thud_computing", "Pictures that are computed.", registry=registry, multiprocess_mode="livesum"
        )
        self._info = Gauge(
            "thud_loaded",
            "1 for the bundle and the index that answer.",
            ["bundle", "index"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._sounds = Gauge(
            "thud_library_sounds", "Sounds in the library.", registry=registry, multiprocess_mode="livemax"
        )
        self._swaps = Counter(
            "thud_swaps", "New bundles and indexes, taken over or refused.", ["result"], registry=registry
        )
        self._lines_dropped = Counter(
            "thud_log_lines_dropped", "Lines of the log that could not be written.", ["stream"], registry=registry
        )
        self._loaded: tuple[str, str] | None = None

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        # A method that a client makes up must not become a label.
        self._requests(route, method if method in _METHODS else "other", str(status)).inc()
        self._request_seconds(route).observe(seconds)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused."""
        self._rejected(reason).inc()

    def stage(self, name: str, seconds: float) -> None:
        """Measure one stage of one picture."""
        self._stage_seconds(name).observe(seconds)

    def queue(self, waiting: int, running: int) -> None:
        """Set how many pictures wait and how many are computed."""
        self._waiting.set(waiting)
        self._running.set(running)

    def loaded(self, bundle: str, index: str, sounds: int) -> None:
        """Set what answers from now on."""
        if self._loaded is not None:
            self._info.labels(*self._loaded).set(0)
        self._loaded = (bundle, index)
        self._info.labels(bundle, index).set(1)
        self._sounds.set(sounds)

    def swap(self, result: str) -> None:
        """Count a new bundle or index: `taken` or `refused`."""
        self._swaps.labels(result).inc()

    def lines_dropped(self, stream: str, lines: int) -> None:
        """Count lines that `stdout` or `stderr` did not take."""
        self._lines_dropped.labels(stream).inc(lines)

    def text(self) -> bytes:
        """All of it, of all processes, as Prometheus reads it."""
        registry = self._registry
        if METRICS_FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
