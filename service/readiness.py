"""Whether the service can do its work: the probe picture, and a look at the folder of the sounds."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

from index.answers.recommender import Recommender
from model.errors import SoundsAwayError
from service.hot_swap import ServedRecommender
from service.problems import ProblemError

PROBE_SECONDS = 5.0
"""How long the probe may take before the service counts as not ready."""

_FRESH_SECONDS = 1.0

FOLDER_SECONDS = 2.0
"""How long a look at the folder may take: a network share whose server is gone does not answer at all."""

_log = logging.getLogger("thud")


class Prober:
    """Embeds and searches for a small picture, on a thread of its own: pictures that wait do not hold it up.

    Those who ask at the same time, or within a second, share one probe: asking costs nobody any computing.
    `ask` is called with the recommender; it counts as failed after so many `seconds`, by default PROBE_SECONDS.
    """

    def __init__(
        self,
        served: ServedRecommender,
        ask: Callable[[Recommender], None] = Recommender.probe,
        seconds: float | None = None,
    ) -> None:
        self._served, self._ask = served, ask
        self._seconds = PROBE_SECONDS if seconds is None else seconds
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._pool.submit(int)  # starts the thread now: later there may be no memory for one
        self._probe: asyncio.Future[None] | None = None
        self._stale_at = self._late_at = 0.0

    async def probe(self) -> None:
        """Raises what the probe raises, and TimeoutError once it takes too long."""
        now = monotonic()
        if self._probe is None or (self._probe.done() and now > self._stale_at):
            self._stale_at, self._late_at = now + _FRESH_SECONDS, now + self._seconds
            self._probe = asyncio.get_running_loop().run_in_executor(self._pool, self._compute)
        await asyncio.wait_for(asyncio.shield(self._probe), max(0.0, self._late_at - now))

    @property
    def busy(self) -> bool:
        """Whether a probe is under way."""
        return self._probe is not None and not self._probe.done()

    def forget(self) -> None:
        """Make the next one who asks start a probe anew."""
        self._stale_at = 0.0

    def close(self) -> None:
        """Take no more probes."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compute(self) -> None:
        with self._served.lease() as recommender:
            self._ask(recommender)


class SoundsFolder:
    """The folder of sounds of the index in use. When it goes and when it comes back is logged, once each.

    Those who ask within a second share one look, on a thread of its own.
    """

    def __init__(self, served: ServedRecommender) -> None:
        self._prober = Prober(served, lambda recommender: recommender.index.check_sounds(), FOLDER_SECONDS)
        self.away: str | None = None
        """Why it is not there, None where it is."""

    @property
    def busy(self) -> bool:
        """Whether a look is under way."""
        return self._prober.busy

    async def check(self) -> None:
        """Raise ProblemError (503) where the folder is not there, or does not answer in time."""
        try:
            await self._prober.probe()
        except TimeoutError:
            raise self.gone(f"the folder of sounds does not answer within {FOLDER_SECONDS:g} s") from None
        except SoundsAwayError as error:
            raise self.gone(str(error)) from error
        if self.away is not None:
            self.away = None
            _log.info("the sounds are there again")

    def gone(self, why: str) -> ProblemError:
        """The problem for who asks for what is not there."""
        if self.away is None:
            _log.warning("not ready, and no sound is sent: %s", why)
        self.away = why
        self._prober.forget()
        return ProblemError(
            503, "the sounds cannot be reached at the moment", headers={"Retry-After": "5"}, reason="sounds_away"
        )

    def close(self) -> None:
        """Look no more."""
        self._prober.close()
