"""A proxy that does not know yet where the API is."""

import asyncio

import httpx
import pytest
from ray.serve._private.http_util import convert_object_to_asgi_messages
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from services.proxy import middlewares


async def _serves_own(_: Scope, __: Receive, send: Send) -> None:
    """Answers as Serve does where it has no route."""
    for message in convert_object_to_asgi_messages("Path '/v1/x' not found.", status_code=404):
        await send(message)


def _ask(app: ASGIApp) -> httpx.Response:
    for found in middlewares():
        app = found.cls(app, *found.args, **found.kwargs)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/v1/uploads/u")

    return asyncio.run(ask())


def test_it_says_that_it_is_starting() -> None:
    answer = _ask(_serves_own)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["code"] == "starting"
    assert answer.json()["instance"] == "/v1/uploads/u"


@pytest.mark.parametrize(
    "given",
    [
        JSONResponse({"code": "not-found"}, 404, media_type="application/problem+json"),
        PlainTextResponse("all is well"),
        PlainTextResponse("", 200),
    ],
)
def test_what_the_api_answers_is_left_alone(given: JSONResponse | PlainTextResponse) -> None:
    answer = _ask(given)
    assert (answer.status_code, answer.content) == (given.status_code, given.body)
    assert answer.headers["content-type"] == given.headers["content-type"]
