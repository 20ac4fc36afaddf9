"""What the application holds while it runs, for its routes and for the server."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from index.answers.recommender import Recommender
from service.excerpts import Excerpts
from service.hot_swap import ServedRecommender, Watcher
from service.load.queue import PictureQueue
from service.metrics import Metrics
from service.played import PlayedCopies
from service.readiness import Prober, SoundsFolder


@dataclass
class State:
    """Made when the application starts. `link_seconds`: how long links to sounds in a store are good, 0 where their
    bytes are sent. `draining` says that it is about to stop, and so is not ready."""

    metrics: Metrics
    queue: PictureQueue
    served: ServedRecommender
    prober: Prober
    sounds: SoundsFolder
    played: PlayedCopies
    excerpts: Excerpts
    watcher: Watcher
    link_seconds: float = 0.0
    draining: bool = False


def keep_state(app: FastAPI, state: State) -> None:
    """Give `app` its state."""
    app.state.thud = state


def state_of(app: FastAPI) -> State:
    """The state of a running application, of a request that of `request.app`."""
    state: State = app.state.thud
    return state


async def _leased(request: Request) -> AsyncIterator[Recommender]:
    with state_of(request.app).served.lease() as recommender:
        yield recommender


LeasedRecommender = Annotated[Recommender, Depends(_leased)]
"""The parameter of a route that uses the recommender, which stays open until the answer is sent."""
