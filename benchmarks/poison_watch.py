"""Looking at a server from beside while it is poisoned: is it ready, still the same process, and how large?"""

import http.client
import json
import time

from poison_verdict import Watched
from processes import Server

POLL_SECONDS = 0.1
_POLL_TIMEOUT = 30.0
_SETTLE_SECONDS = 60.0
_FAULTS = ("Traceback", "Error: ", "Exception")
_MOST_FAULTS = 20


class Watch:
    """Polls /readyz of a server and reads its memory."""

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

    @property
    def memory_now(self) -> float:
        """Resident memory at the last poll, in MB."""
        return self._memory_now

    def poll(self) -> bool:
        """Ask once; False where the server's process is gone."""
        self._ask()
        try:
            self._memory_now = self._server.resident_mb()
        except OSError:
            self._unready.append("the process is gone")
            return False
        self._memory_most = max(self._memory_most, self._memory_now)
        return True

    def settle(self) -> None:
        """Poll until nothing waits and nothing is computed, for a minute at the most."""
        ends = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < ends:
            alive, details = self.poll(), self._ask()
            if not alive or details.get("waiting") == details.get("computing") == 0:
                break
            time.sleep(POLL_SECONDS)

    def seen(self, log: str) -> Watched:
        """All of it, with what the server has logged by its end."""
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
        """What it says of itself; nothing where it is not ready."""
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
