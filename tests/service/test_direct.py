"""The route without dependencies: what it would ignore is refused when it is made."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel

from service.routes.recommend import DirectRoute


class Asked(BaseModel):
    k: int = 10


async def endpoint(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    return Response(str(asked.k))


async def with_a_header(
    request: Request, asked: Annotated[Asked, Query()], key: Annotated[str, Header()]
) -> None: ...


async def with_another(request: Request, asked: Annotated[Asked, Query()], size: int = 1) -> None: ...


def test_dependencies_and_other_parameters_are_refused() -> None:
    guard = [Depends(lambda: None)]
    for app, route, dependencies in (
        (FastAPI(dependencies=guard), endpoint, []),
        (FastAPI(), endpoint, guard),
        (FastAPI(), with_a_header, []),
        (FastAPI(), with_another, []),
    ):
        with pytest.raises(TypeError, match="would ignore"):
            app.router.add_api_route("/", route, route_class_override=DirectRoute, dependencies=dependencies)


def test_the_last_of_several_values_counts() -> None:
    app = FastAPI()
    app.router.add_api_route("/", endpoint, route_class_override=DirectRoute)

    async def ask() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://thud") as client:
            found = [(await client.get(f"/{query}")).text for query in ("", "?k=3", "?k=3&k=4", "?other=1")]
            assert found == ["10", "3", "4", "10"]
            wrong = await client.get("/?k=some")
            assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["query", "k"])
            assert (await client.post("/")).status_code == 405

    asyncio.run(ask())
