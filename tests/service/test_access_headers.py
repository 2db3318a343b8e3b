import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from support.databases import close_services, services_on
from support.http_server import serving

from services.api.app import create_app

_ORIGIN = "https://review.studio.example"


def _add_probes(app: FastAPI) -> None:
    @app.get("/v1/probe/stream")
    def stream() -> StreamingResponse:
        def slowly() -> Iterator[bytes]:
            yield b"first\n"
            time.sleep(1.5)
            yield b"second\n"

        return StreamingResponse(slowly(), media_type="text/event-stream")

    @app.get("/v1/probe/picture")
    def picture() -> PlainTextResponse:
        return PlainTextResponse(
            "x", headers={"Cache-Control": "private, max-age=600", "X-Frame-Options": "ALLOW"}
        )

    @app.get("/v1/probe/fault")
    def fault() -> None:
        raise RuntimeError("unforeseen")

    @app.get("/v1/probe/json")
    def plain() -> JSONResponse:
        return JSONResponse({}, headers={"ETag": '"1"'})


@pytest.fixture
def http(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    groups: dict[str, Any] = getattr(request, "param", {})
    services = services_on(tmp_path / "data", f"sqlite:///{tmp_path / 'service.db'}", **groups)
    app = create_app(services, lambda _: None)
    _add_probes(app)
    with serving(app) as client:
        yield client
    close_services(services)


_open = pytest.mark.parametrize("http", [{"api": {"cors_origins": (_ORIGIN,)}}], indirect=True)


@pytest.mark.parametrize(
    "path", ["/v1/probe/json", "/v1/probe/fault", "/v1/users/me", "/v1/nothing", "/v1/openapi.json", "/"]
)
def test_every_answer_says_what_a_browser_must_not_do(http: httpx.Client, path: str) -> None:
    headers = http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy == "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers
    assert "access-control-allow-origin" not in headers


def test_a_route_may_let_its_answer_be_kept_and_no_route_may_be_framed(http: httpx.Client) -> None:
    headers = http.get("/v1/probe/picture").headers
    assert headers["cache-control"] == "private, max-age=600"
    assert headers.get_list("x-frame-options") == ["DENY"]


def test_the_documentation_alone_may_run_scripts(http: httpx.Client) -> None:
    answer = http.get("/v1/docs")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'unsafe-inline' https://cdn.jsdelivr.net" in policy
    assert "frame-ancestors 'none'" in policy
    sources = [s.split('"')[0] for s in answer.text.replace('href="', 'src="').split('src="')[1:]]
    assert sources
    assert all(
        any(s.startswith(allowed) for allowed in policy.replace(";", " ").split() if "//" in allowed)
        for s in sources
    )
    assert "unsafe-inline" not in http.get("/v1/docs/").headers["content-security-policy"]


@pytest.mark.parametrize(
    "http", [{"api": {"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")}}], indirect=True
)
def test_with_tls_browsers_never_try_without(http: httpx.Client) -> None:
    assert http.get("/v1/probe/json").headers["strict-transport-security"] == "max-age=31536000"


def test_a_stream_streams(http: httpx.Client) -> None:
    start = time.monotonic()
    with http.stream("GET", "/v1/probe/stream") as answer:
        chunks = answer.iter_bytes()
        assert next(chunks) == b"first\n"
        assert time.monotonic() - start < 1.2
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"".join(chunks) == b"second\n"


def test_no_other_origin_may_read_by_default(http: httpx.Client) -> None:
    asked = {"Origin": _ORIGIN, "Access-Control-Request-Method": "GET"}
    answers = [http.get("/v1/probe/json", headers=asked), http.options("/v1/probe/json", headers=asked)]
    for answer in answers:
        assert not any(h.startswith("access-control-") for h in answer.headers)
    assert answers[1].status_code == 405


@_open
def test_an_origin_of_the_settings_may_read_and_use_tus(http: httpx.Client) -> None:
    answer = http.get("/v1/probe/json", headers={"Origin": _ORIGIN})
    assert answer.headers["access-control-allow-origin"] == _ORIGIN
    assert "access-control-allow-credentials" not in answer.headers
    readable = {h.strip().lower() for h in answer.headers["access-control-expose-headers"].split(",")}
    assert {"etag", "location", "upload-offset", "upload-expires", "tus-resumable", "retry-after"} <= readable
    asked = {
        "Origin": _ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,tus-resumable,upload-offset,upload-checksum",
    }
    answer = http.options("/v1/uploads/x", headers=asked)
    assert answer.status_code == 200
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@_open
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://review.studio.example", _ORIGIN + ".evil"]
)
def test_another_origin_may_not(http: httpx.Client, origin: str) -> None:
    answer = http.get("/v1/probe/json", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    assert http.options("/v1/uploads/x", headers=asked).status_code == 400
