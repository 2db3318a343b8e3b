"""The description of the API is whole, and what goes around every request is there."""

import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from support.api import Api, api_on
from support.http_server import serving

from services.api.middleware import BodyLimit, RequestLog

if TYPE_CHECKING:
    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get("/v1/openapi.json").json()
    return found


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


@ON_SQLITE
def test_every_operation_says_what_it_is_and_how_it_may_fail(document: dict[str, Any]) -> None:
    tags = {t["name"] for t in document["tags"]}
    public = set()
    for name, operation in _operations(document):
        assert operation["summary"], name
        assert len(operation["description"]) > 5, name
        assert set(operation["tags"]) <= tags, name
        answers = operation["responses"]
        for status, answer in answers.items():
            if status[0] in "45" and name != "GET /v1/health":
                assert answer["content"]["application/problem+json"]["schema"] == PROBLEM, (name, status)
        if "security" not in operation:
            public.add(name)
        else:
            assert {"401", "503"} <= answers.keys(), name
        if name.split()[0] in {"POST", "PUT", "PATCH", "DELETE"}:
            assert {"400", "409", "413", "422"} <= answers.keys(), name
            keys = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
            assert bool(keys) == ("security" in operation), name
        if name.startswith("PATCH") and "uploads" not in name:
            match = next(p for p in operation["parameters"] if p["name"] == "if-match")
            assert match["required"], name
    assert public == {"POST /v1/auth/token", "GET /v1/health", "OPTIONS /v1/uploads"}


@ON_SQLITE
def test_bodies_and_answers_have_examples(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    used = set()
    for name, operation in _operations(document):
        bodies = [operation.get("requestBody", {}).get("content", {})]
        for content in bodies + [
            a.get("content", {}) for s, a in operation["responses"].items() if s[0] == "2"
        ]:
            schema = content.get("application/json", {}).get("schema", {})
            if "$ref" in schema:
                used.add(schema["$ref"].rsplit("/", 1)[-1])
            else:
                assert schema.get("format", "binary") == "binary", f"{name} has a schema without a name"
    pages = {u for u in used if u.startswith("Page_")}
    used |= {schemas[p]["properties"]["items"]["items"]["$ref"].rsplit("/", 1)[-1] for p in pages}
    assert len(used) > 15
    assert [u for u in sorted(used - pages) if not schemas[u].get("examples")] == []
    assert schemas["Problem"]["examples"]
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()
    assert "HTTPValidationError" not in json.dumps(document)


@ON_SQLITE
def test_it_can_be_logged_in_from_the_documentation(document: dict[str, Any]) -> None:
    scheme = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]
    assert scheme["flows"]["password"]["tokenUrl"] == "/v1/auth/token"
    assert document["servers"][0]["url"] == "/"
    ids = [o["operationId"] for _, o in _operations(document)]
    assert len(ids) == len(set(ids))


# ---- around every request


@ON_SQLITE
def test_an_id_that_is_sent_is_kept_and_one_that_is_none_is_replaced(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "services.api.requests"):
        kept = api.ask("GET", "/shows", headers={"X-Request-ID": "abc-1.2_3"})
        assert kept.headers["x-request-id"] == "abc-1.2_3"
        for bad in ("", "a b", "x" * 65, "a;b", '"'):
            made = api.ask("GET", "/nothing", headers={"X-Request-ID": bad})
            assert made.headers["x-request-id"] not in {"", bad}
            assert len(made.headers["x-request-id"]) == 32
    lines = [r.getMessage() for r in caplog.records if r.name == "services.api.requests"]
    assert any("GET '/v1/shows' 200" in line and "abc-1.2_3" in line for line in lines)
    assert not any("Bearer" in line or api.admin.token in line for line in lines)


async def _fails(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("the secret cause")


def test_what_nobody_foresaw_is_a_problem_and_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with serving(RequestLog(_fails)) as client, caplog.at_level(logging.ERROR):
        answer = client.get("/v1/x", headers={"X-Request-ID": "follow-me"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "follow-me"
    assert answer.json()["code"] == "unexpected"
    assert "follow-me" in answer.json()["detail"]
    assert "secret" not in answer.text
    assert "the secret cause" in caplog.text
    assert "follow-me" in caplog.text


def test_the_limit_of_bodies_is_exact_and_uploads_have_their_own() -> None:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        read, more = 0, True
        while more:
            message = await receive()
            read, more = read + len(message.get("body", b"")), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(read).encode()})

    with serving(BodyLimit(echo, exempt="/v1/uploads", largest=100)) as client:
        assert client.post("/v1/x", content=b"x" * 100).text == "100"
        assert client.post("/v1/x", content=b"x" * 101).status_code == 413
        assert client.post("/v1/uploads/1", content=b"x" * 1000).text == "1000"
        assert client.post("/v1/uploadsx", content=b"x" * 101).status_code == 413
