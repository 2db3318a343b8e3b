"""The cookie of a login, the token for uploads, and the headers of every page."""

import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from support.api import Api
from support.callers import PASSWORD
from support.http_server import serving

from review_ui.logins import LOGINS, Login, log_in
from review_ui.web import ROUTES, SecurityHeaders
from review_ui.wire import Wire


@pytest.fixture
def login(lines: Wire) -> Login:
    return log_in("ada", PASSWORD, None, lambda: lines)


@pytest.fixture
def browser_of() -> Iterator[httpx.Client]:
    """A browser that shows a page of the UI."""
    around = [Middleware(SecurityHeaders, api_url="https://api.example")]
    with serving(Starlette(routes=ROUTES, middleware=around)) as client:
        client.headers["Origin"] = str(client.base_url).rstrip("/")
        yield client


def _claim(client: httpx.Client, ticket: str, **headers: str) -> httpx.Response:
    return client.post("/session", json={"ticket": ticket}, headers=headers)


def test_a_ticket_becomes_a_cookie_that_no_script_can_read(browser_of: httpx.Client, login: Login) -> None:
    answer = _claim(browser_of, LOGINS.ticket(login))
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert login.id.lower() in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie  # this page came without TLS
    assert login.token() not in cookie


def test_over_tls_the_cookie_stays_there(browser_of: httpx.Client, login: Login) -> None:
    origin = browser_of.headers["Origin"].replace("http:", "https:")
    answer = _claim(browser_of, LOGINS.ticket(login), Origin=origin)
    assert "secure" in answer.headers["set-cookie"].lower()


def test_a_ticket_works_once(browser_of: httpx.Client, login: Login) -> None:
    ticket = LOGINS.ticket(login)
    assert _claim(browser_of, ticket).status_code == 204
    assert _claim(browser_of, ticket).status_code == 410
    assert _claim(browser_of, "made up").status_code == 410


def test_an_old_ticket_is_worth_nothing(
    browser_of: httpx.Client, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = LOGINS.ticket(login)
    monkeypatch.setitem(LOGINS._tickets, ticket, (login.id, 0.0))
    assert _claim(browser_of, ticket).status_code == 410


@pytest.mark.parametrize("path", ["/session", "/session/token"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_other_sites_are_sent_away(browser_of: httpx.Client, login: Login, path: str, origin: str) -> None:
    _claim(browser_of, LOGINS.ticket(login))
    answer = browser_of.post(path, json={"ticket": LOGINS.ticket(login)}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_form_of_another_site_cannot_pass_for_a_page(browser_of: httpx.Client, login: Login) -> None:
    ticket = LOGINS.ticket(login)
    form = browser_of.post("/session", data={"ticket": ticket})
    assert form.status_code == 403
    assert _claim(browser_of, ticket).status_code == 204  # it was not spent


def test_the_cookie_gives_tokens_that_the_service_takes(
    browser_of: httpx.Client, api: Api, login: Login
) -> None:
    assert browser_of.post("/session/token", json={"refused": None}).status_code == 401
    _claim(browser_of, LOGINS.ticket(login))
    first = browser_of.post("/session/token", json={"refused": None}).json()["access_token"]
    time.sleep(1.1)  # tokens tell their second, and nothing finer
    again = browser_of.post("/session/token", json={"refused": first}).json()["access_token"]
    assert first != again
    found = api.client.get("/v1/users/me", headers={"Authorization": f"Bearer {again}"})
    assert found.json()["name"] == "ada"


def test_after_a_logout_the_cookie_gives_nothing(browser_of: httpx.Client, login: Login) -> None:
    _claim(browser_of, LOGINS.ticket(login))
    LOGINS.end(login)
    answer = browser_of.post("/session/token", json={"refused": None})
    assert answer.status_code == 401
    assert LOGINS.find(login.id) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"ticket": 7}', b'{"ticket": "' + b"x" * 9000 + b'"}'])
def test_bodies_that_are_none_are_no_tickets(browser_of: httpx.Client, body: bytes) -> None:
    answer = browser_of.post("/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 410


def test_pages_load_from_here_and_the_service_alone(browser_of: httpx.Client) -> None:
    headers = browser_of.get("/anything").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "https://api.example" in policy["connect-src"]
    for sources in policy.values():
        assert "*" not in sources
        assert "https:" not in sources.replace("https://api.example", "")
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
