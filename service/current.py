"""The recommender that answers the current request, for routes to declare as a parameter."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from service.recommender import Recommender


def set_recommender(app: FastAPI, recommender: Recommender) -> None:
    """Let `recommender` answer the requests that `app` gets from now on."""
    app.state.recommender = recommender


async def _current(request: Request) -> Recommender:
    recommender: Recommender = request.app.state.recommender
    return recommender


CurrentRecommender = Annotated[Recommender, Depends(_current)]
