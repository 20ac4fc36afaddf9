"""The route without dependencies: what it would ignore is refused when it is made."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel

from service.routes.strict import DirectRoute


class Asked(BaseModel):
    k: int = 10
    tag: list[str] = []


async def endpoint(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    return Response(f"{asked.k} {asked.tag}")


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


def test_its_parameters_are_those_of_its_model() -> None:
    app = FastAPI()
    app.router.add_api_route("/", endpoint, route_class_override=DirectRoute)

    async def ask() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://thud", timeout=60
        ) as client:
            found = [(await client.get(f"/{query}")).text for query in ("", "?k=3", "?tag=a&tag=b", "?k=4&tag=")]
            assert found == ["10 []", "3 []", "10 ['a', 'b']", "4 ['']"]
            for query, name in (("k=some", "k"), ("k=3&k=3", "k"), ("other=1", "other"), ("k=3&K=3", "K")):
                wrong = await client.get(f"/?{query}")
                assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["query", name])
            assert (await client.post("/?other=1")).status_code == 405

    asyncio.run(ask())
