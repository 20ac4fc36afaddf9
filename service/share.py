"""Whether the folder of sounds is there: it may lie on a share that is not mounted, or does not answer."""

import logging

from model.errors import SoundsAwayError
from service.current import Current
from service.probes import Prober
from service.problems import ProblemError

SECONDS = 2.0
"""How long a look at the folder may take: a share whose server is gone does not answer at all."""

_log = logging.getLogger("thud")


class Share:
    """The folder of sounds of the index in use. That it goes and that it returns is logged, once each.

    Those who ask within a second share one look, on a thread of its own.
    """

    def __init__(self, current: Current) -> None:
        self._prober = Prober(current, lambda recommender: recommender.index.check_sounds(), SECONDS)
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
            raise self.gone(f"the folder of sounds does not answer within {SECONDS:g} s") from None
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
