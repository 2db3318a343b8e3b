import base64
import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import update
from support.api import problem_code
from support.callers import Person, admin, analyst
from support.http_server import serving

from services.access import sessions
from services.access.keys import Keyring
from services.access.sessions import Caller
from services.access.signing import (
    REMEMBERED_S,
    RecentCallers,
    Signed,
    SignedCallerDep,
    UrlError,
    sign,
    signed_url,
    verify,
)
from services.api.app import create_app
from services.api.unit import UnitOfWork
from services.context import Services
from services.db.models import User, now

_PATH = "/v1/probe/a b/é"
_ROUTER = APIRouter(route_class=UnitOfWork)
_USER, _SESSION = "1" * 32, "2" * 32
_AT = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@_ROUTER.get("/probe/{name:path}")
def _probe(name: str, caller: SignedCallerDep) -> PlainTextResponse:
    return PlainTextResponse(f"{caller.name} {caller.role} {name}")


@pytest.fixture
def http(services: Services) -> Iterator[httpx.Client]:
    app = create_app(services, lambda _: None)
    app.include_router(_ROUTER, prefix="/v1")
    with serving(app) as client:
        yield client


def _url(services: Services, person: Person, path: str = _PATH) -> str:
    return signed_url(services, Caller(person.id, person.name, "analyst", person.session_id), path)


def _query(keyring: Keyring, path: str = _PATH, expires: datetime = _AT) -> list[tuple[str, str]]:
    return parse_qsl(sign(keyring, path, _USER, _SESSION, expires))


def _before(seconds: float) -> datetime:
    return _AT - timedelta(seconds=seconds)


def test_a_signature_is_hmac_sha256_over_what_it_opens(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    query = dict(_query(keyring))
    key = keyring.newest("url")
    assert query.keys() == {"exp", "user", "session", "kid", "sig"}
    assert (query["exp"], query["user"], query["session"]) == (str(int(_AT.timestamp())), _USER, _SESSION)
    text = f"{query['exp']}\n{_USER}\n{_SESSION}\n{key.kid}\n{_PATH}".encode()
    assert base64.urlsafe_b64decode(query["sig"] + "=") == hmac.new(key.secret, text, hashlib.sha256).digest()


def test_a_url_opens_until_its_second_and_not_in_it(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    assert verify(keyring, _PATH, _query(keyring), _before(0.001)) == Signed(_USER, _SESSION)
    with pytest.raises(UrlError) as found:
        verify(keyring, _PATH, _query(keyring), _AT)
    assert found.value.code == "url-expired"


@pytest.mark.parametrize("name", ["exp", "user", "session", "kid", "sig"])
def test_no_part_of_it_can_be_changed_left_out_or_given_twice(tmp_path: Path, name: str) -> None:
    keyring = Keyring(tmp_path)
    good = _query(keyring)
    value = dict(good)[name]
    later = str(int(value) + 1) if name == "exp" else value[:-2] + ("00" if value[-2:] != "00" else "11")
    changed = [(k, later if k == name else v) for k, v in good]
    missing = [(k, v) for k, v in good if k != name]
    odd = [
        [(k, v if k != name else o) for k, v in good]
        for o in ("", "é", "\ud800", "9" * 13, "1e9", "-1", "１")
    ]
    for query in (
        changed,
        missing,
        [*good, (name, value)],
        [*good, (name, later)],
        [*changed, (name, value)],
        *odd,
    ):
        with pytest.raises(UrlError) as found:
            verify(keyring, _PATH, query, _before(1))
        assert found.value.code == "bad-url"


@pytest.mark.parametrize(
    "path", ["", "/", _PATH + "/", _PATH + "x", _PATH[:-1], _PATH.upper(), "/v1/probe/a%20b/é"]
)
def test_it_opens_no_other_path(tmp_path: Path, path: str) -> None:
    keyring = Keyring(tmp_path)
    with pytest.raises(UrlError, match="not made for this path"):
        verify(keyring, path, _query(keyring), _before(1))


def test_a_forged_url_that_has_expired_is_called_forged(tmp_path: Path) -> None:
    keyring, other = Keyring(tmp_path / "a"), Keyring(tmp_path / "b")
    with pytest.raises(UrlError) as found:
        verify(keyring, _PATH, _query(other), _AT + timedelta(days=1))
    assert found.value.code == "bad-url"


def test_a_url_outlives_one_rotation_and_not_two(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    query = _query(keyring)
    keyring.rotate()
    assert verify(keyring, _PATH, query, _before(1)) == Signed(_USER, _SESSION)
    assert dict(_query(keyring))["kid"] != dict(query)["kid"]
    keyring.rotate()
    with pytest.raises(UrlError, match="damaged"):
        verify(keyring, _PATH, query, _before(1))


def test_other_parameters_are_not_looked_at(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    query = [("t", "1"), *reversed(_query(keyring)), ("t", "2")]
    assert verify(keyring, _PATH, query, _before(1)) == Signed(_USER, _SESSION)


# ---- folders


_FOLDER = "/v1/probe/thumbs/"


def _folder_query(keyring: Keyring, folder: str = _FOLDER, expires: datetime = _AT) -> list[tuple[str, str]]:
    return parse_qsl(sign(keyring, folder, _USER, _SESSION, expires, folder=True))


def test_a_folder_is_signed_apart_from_a_path(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    query, key = dict(_folder_query(keyring)), keyring.newest("url")
    text = f"folder\n{query['exp']}\n{_USER}\n{_SESSION}\n{key.kid}\n{_FOLDER}".encode()
    assert base64.urlsafe_b64decode(query["sig"] + "=") == hmac.new(key.secret, text, hashlib.sha256).digest()


@pytest.mark.parametrize("name", ["a.webp", "b.webp", "é b", "...", ".a", "a.", "*", "%2e%2e", "..%2Fa"])
def test_a_folder_opens_every_file_in_it(tmp_path: Path, name: str) -> None:
    keyring = Keyring(tmp_path)
    signed = verify(keyring, _FOLDER + name, _folder_query(keyring), _before(1))
    assert signed == Signed(_USER, _SESSION, folder=True)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", _FOLDER, _FOLDER[:-1], _FOLDER + "/", _FOLDER + "/a", _FOLDER + "a/", _FOLDER + "a/b",
        _FOLDER + ".", _FOLDER + "..", _FOLDER + "../video", _FOLDER + "./a", _FOLDER + "../thumbs/a",
        "/v1/probe/video", "/v1/probe/crops/a", "/v1/other/thumbs/a", "//v1/probe/thumbs/a",
        _FOLDER.upper() + "a", "/v1/probe/thumbs%2Fa", "/v1/probe/thumbsa", "v1/probe/thumbs/a",
    ],
)  # fmt: skip
def test_a_folder_opens_nothing_else(tmp_path: Path, path: str) -> None:
    keyring = Keyring(tmp_path)
    with pytest.raises(UrlError) as found:
        verify(keyring, path, _folder_query(keyring), _before(1))
    assert found.value.code == "bad-url"


def test_a_path_that_looks_like_a_folder_opens_no_file_in_it(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    query = _query(keyring, _FOLDER)
    assert verify(keyring, _FOLDER, query, _before(1)) == Signed(_USER, _SESSION)
    with pytest.raises(UrlError):
        verify(keyring, _FOLDER + "a", query, _before(1))


@pytest.mark.parametrize("name", ["exp", "user", "session", "kid", "sig"])
def test_no_part_of_a_folders_signature_can_be_changed(tmp_path: Path, name: str) -> None:
    keyring = Keyring(tmp_path)
    good = _folder_query(keyring)
    value = dict(good)[name]
    later = str(int(value) + 1) if name == "exp" else value[:-2] + ("00" if value[-2:] != "00" else "11")
    for query in (
        [(k, later if k == name else v) for k, v in good],
        [(k, v) for k, v in good if k != name],
        [*good, (name, value)],
    ):
        with pytest.raises(UrlError) as found:
            verify(keyring, _FOLDER + "a", query, _before(1))
        assert found.value.code == "bad-url"


def test_a_folder_expires_and_falls_to_the_second_rotation(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    query = _folder_query(keyring)
    with pytest.raises(UrlError, match="expired"):
        verify(keyring, _FOLDER + "a", query, _AT)
    keyring.rotate()
    verify(keyring, _FOLDER + "a", query, _before(1))
    keyring.rotate()
    with pytest.raises(UrlError, match="damaged"):
        verify(keyring, _FOLDER + "a", query, _before(1))


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_folder_is_no_key_to_paths(folder: str, path: str) -> None:
    """Only what stands in it directly, whatever both are called."""
    keyring, folder = _Fixed(), folder + "/"
    query = _folder_query(keyring, folder)
    name = path.removeprefix(folder)
    inside = path.startswith(folder) and "/" not in name and name not in {"", ".", ".."}
    if inside:
        assert verify(keyring, path, query, _before(1)).folder
        return
    with pytest.raises(UrlError):
        verify(keyring, path, query, _before(1))


def test_logins_are_remembered_for_seconds_and_by_login() -> None:
    at = 100.0
    recent = RecentCallers(lambda: at)
    one, other = Signed(_USER, _SESSION, folder=True), Signed(_USER, "3" * 32, folder=True)
    ben = Caller(_USER, "ben", "analyst", _SESSION)
    assert recent.find(one) is None
    recent.remember(one, ben)
    at += REMEMBERED_S - 0.01
    assert recent.find(one) == ben
    assert recent.find(other) is None
    assert recent.find(Signed("0" * 32, _SESSION, folder=True)) is None
    at += 0.02
    assert recent.find(one) is None
    recent.remember(other, ben)
    assert len(recent._found) == 1  # what is too old is forgotten


@given(st.text(max_size=30), st.text(max_size=30))
def test_two_paths_never_share_a_signature(one: str, other: str) -> None:
    keyring = _Fixed()
    query = _query(keyring, one)
    if one == other:
        assert verify(keyring, other, query, _before(1)) == Signed(_USER, _SESSION)
        return
    with pytest.raises(UrlError):
        verify(keyring, other, query, _before(1))


class _Fixed(Keyring):
    """Keys that need no file."""

    def __init__(self) -> None:
        secret = base64.b64encode(b"k" * 32).decode()
        super().__init__(Path("unused"), SecretStr(f'{{"keys": [{{"kid": "k", "secret": "{secret}"}}]}}'))


def test_a_url_lives_no_longer_than_the_settings_say_and_is_the_same_for_a_while(services: Services) -> None:
    ben = analyst(services)
    url = urlsplit(_url(services, ben))
    assert url.path == "/v1/probe/a%20b/%C3%A9"
    left_s = int(dict(parse_qsl(url.query))["exp"]) - now().timestamp()
    assert 3600 * 5 / 6 - 1 <= left_s <= 3600
    same = {_url(services, ben) for _ in range(20)}
    assert len(same) <= 2  # two where a sixth of the hour has just begun


def test_a_signed_url_opens_without_a_token_as_its_user_with_the_role_of_the_moment(
    services: Services, http: httpx.Client
) -> None:
    ben = analyst(services)
    url = _url(services, ben)
    assert http.get(url).text == "ben analyst a b/é"
    assert http.get(url + "&t=1").text == "ben analyst a b/é"
    with services.database.write() as session:
        session.execute(update(User).where(User.id == ben.id).values(role="admin"))
    assert http.get(url).text == "ben admin a b/é"


def test_a_token_opens_it_too_and_both_together_if_they_are_of_one_user(
    services: Services, http: httpx.Client
) -> None:
    ben, eve, ada = analyst(services), analyst(services, "eve"), admin(services)
    assert http.get("/v1/probe/x", headers=eve.headers).text == "eve analyst x"
    url = _url(services, ben)
    assert http.get(url, headers=ben.headers).status_code == 200
    for other in (eve, ada):
        assert problem_code(http.get(url, headers=other.headers), 403) == "other-users-url"
    with services.database.write() as session:
        row, refresh = sessions.begin(session, session.get_one(User, ben.id), services.settings.access)
    again = sessions.grant(services, session.get_one(User, ben.id), row.id, refresh)
    assert http.get(url, headers={"Authorization": f"Bearer {again.access_token}"}).status_code == 200


def test_what_opens_nothing_says_why(services: Services, http: httpx.Client) -> None:
    ben = analyst(services)
    url = _url(services, ben)
    expired = sign(services.keyring, _PATH, ben.id, ben.session_id, now() - timedelta(seconds=1))
    unknown = sign(services.keyring, _PATH, ben.id, "0" * 32, now() + timedelta(hours=1))
    mixed = sign(services.keyring, _PATH, "0" * 32, ben.session_id, now() + timedelta(hours=1))
    refused = {
        "/v1/probe/x": "not-authenticated",
        url.replace("/v1/probe/a%20b", "/v1/probe/a%20c"): "bad-url",
        url[:-3]: "bad-url",
        "/v1/probe/x?sig=": "bad-url",
        f"/v1/probe/x?{urlencode({'exp': 'é', 'sig': 'é'})}": "bad-url",
        f"/v1/probe/a%20b/%C3%A9?{expired}": "url-expired",
        f"/v1/probe/a%20b/%C3%A9?{unknown}": "url-revoked",
        f"/v1/probe/a%20b/%C3%A9?{mixed}": "url-revoked",
    }
    for bad, code in refused.items():
        answer = http.get(bad)
        assert problem_code(answer, 401) == code, bad
        assert answer.headers["www-authenticate"] == "Bearer"
    wrong = {"Authorization": "Bearer x.y.z"}
    assert problem_code(http.get(url, headers=wrong), 401) == "not-authenticated"
    assert http.get(url, headers={"Authorization": "Basic eDp5"}).status_code == 200  # of a proxy, not for us


@pytest.mark.parametrize("end", ["logout", "inactive", "expired", "removed"])
def test_a_url_dies_with_its_login(services: Services, http: httpx.Client, end: str) -> None:
    ada, ben = admin(services), analyst(services)
    url = _url(services, ben)
    assert http.get(url).status_code == 200
    if end == "logout":
        assert http.post("/v1/auth/logout", headers=ben.headers).status_code == 204
    elif end == "inactive":
        headers = {**ada.headers, "If-Match": '"1"'}
        assert http.patch(f"/v1/users/{ben.id}", headers=headers, json={"active": False}).status_code == 200
    elif end == "removed":
        assert http.delete(f"/v1/users/{ben.id}", headers=ada.headers).status_code == 204
    else:
        with services.database.write() as session:
            row = session.get_one(sessions.LoginSession, ben.session_id)
            row.expires_at = now() - timedelta(seconds=1)
    assert problem_code(http.get(url), 401) == "url-revoked"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_schema_shows_both_ways_in(http: httpx.Client) -> None:
    route = http.get("/v1/openapi.json").json()["paths"]["/v1/probe/{name}"]["get"]
    assert route["security"] == [{"OAuth2PasswordBearer": []}]
    optional = {p["name"] for p in route["parameters"] if p["in"] == "query" and not p["required"]}
    assert optional == {"exp", "user", "session", "kid", "sig"}
