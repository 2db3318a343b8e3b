import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, update
from support.api import Api, api_on, problem_code
from support.callers import PASSWORD
from support.databases import close_services, services_on

from services.access.first_admin import ensure_first_admin
from services.access.keys import KEYS_FILE
from services.context import Services
from services.db.models import IdempotencyKey, LoginSession, User


@pytest.fixture
def api(services: Services) -> Iterator[Api]:
    with api_on(services) as made:
        yield made


def _log_in(api: Api, name: str = "ben", password: str = PASSWORD, **more: str) -> httpx.Response:
    form = {"grant_type": "password", "username": name, "password": password, **more}
    return api.client.post("/v1/auth/token", data=form)


def _refresh(api: Api, token: str) -> httpx.Response:
    return api.client.post("/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": token})


def _me(api: Api, token: str) -> httpx.Response:
    return api.client.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"})


def test_the_password_flow_gives_tokens_that_work(api: Api) -> None:
    answer = _log_in(api, scope="", client_id="", client_secret="")
    assert answer.status_code == 200
    found = answer.json()
    assert found.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "must_set_password"}
    assert (found["token_type"], found["expires_in"], found["must_set_password"]) == ("bearer", 900, False)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    assert _me(api, found["access_token"]).json()["name"] == "ben"


def test_a_multipart_form_is_as_good(api: Api) -> None:
    fields = {"grant_type": "password", "username": "ben", "password": PASSWORD}
    answer = api.client.post("/v1/auth/token", files={k: (None, v) for k, v in fields.items()})
    assert answer.status_code == 200


def test_a_refused_login_is_a_problem_that_oauth_clients_understand_too(api: Api) -> None:
    answers = [_log_in(api, password="wrong"), _log_in(api, "nobody"), _log_in(api, "a\x00b\u202e")]
    with api.services.database.write() as session:
        session.execute(update(User).where(User.name == "ben").values(active=False))
    answers.append(_log_in(api))
    for answer in answers:
        assert problem_code(answer, 401) == "invalid-grant"
        assert answer.json()["error"] == "invalid_grant"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
    assert len({a.text for a in answers}) == 1


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({}, 400, "bad-token-request"),
        ({"grant_type": "client_credentials"}, 400, "unsupported-grant-type"),
        ({"grant_type": ""}, 400, "bad-token-request"),
        ({"grant_type": "password"}, 400, "bad-token-request"),
        ({"grant_type": "password", "username": "ben"}, 400, "bad-token-request"),
        ({"grant_type": "password", "username": "", "password": ""}, 400, "bad-token-request"),
        ({"grant_type": "refresh_token"}, 400, "bad-token-request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 401, "invalid-grant"),
        ({"grant_type": "password", "username": "ben", "password": "x" * 5000}, 422, "invalid"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_form_that_asks_for_nothing_is_refused(
    api: Api, form: dict[str, str], status: int, code: str
) -> None:
    assert problem_code(api.client.post("/v1/auth/token", data=form), status) == code


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"grant_type": "password"}', "application/json"),
        (b"grant_type=password&username=%FF%FE&password=%00%ff", "application/x-www-form-urlencoded"),
        (b"\xff\xfe\x00", "application/x-www-form-urlencoded"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"x", "multipart/form-data"),
        (b"", "text/plain"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_body_that_is_no_form_is_refused(api: Api, body: bytes, kind: str) -> None:
    answer = api.client.post("/v1/auth/token", content=body, headers={"Content-Type": kind})
    assert answer.status_code in {400, 401, 422}
    problem_code(answer, answer.status_code)


def test_a_refresh_token_works_once_and_its_reuse_ends_the_login(api: Api) -> None:
    first = _log_in(api).json()
    second = _refresh(api, first["refresh_token"]).json()
    assert _me(api, second["access_token"]).status_code == 200
    assert problem_code(_refresh(api, first["refresh_token"]), 401) == "invalid-grant"
    assert problem_code(_me(api, second["access_token"]), 401) == "not-authenticated"
    assert problem_code(_refresh(api, second["refresh_token"]), 401) == "invalid-grant"
    assert _me(api, api.analyst.token).status_code == 200  # another login of the same user


def test_of_refreshes_at_once_one_is_answered(api: Api) -> None:
    token, statuses, together = _log_in(api).json()["refresh_token"], [], threading.Barrier(6)

    def one() -> None:
        together.wait()
        statuses.append(_refresh(api, token).status_code)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(statuses) == [200, *[401] * 5]


def test_logging_out_ends_this_login_alone(api: Api) -> None:
    found = _log_in(api).json()
    headers = {"Authorization": f"Bearer {found['access_token']}"}
    assert api.client.post("/v1/auth/logout", headers=headers).status_code == 204
    assert problem_code(_me(api, found["access_token"]), 401) == "not-authenticated"
    assert problem_code(api.client.post("/v1/auth/logout", headers=headers), 401) == "not-authenticated"
    assert problem_code(_refresh(api, found["refresh_token"]), 401) == "invalid-grant"
    assert _me(api, api.analyst.token).status_code == 200


def test_too_many_failures_are_told_to_wait_and_the_wait_is_true(api: Api) -> None:
    for _ in range(5):
        assert _log_in(api, password="wrong").status_code == 401
    answer = _log_in(api)
    assert problem_code(answer, 429) == "slow-down"
    assert answer.headers["retry-after"] == "1"
    time.sleep(1.05)
    assert _log_in(api).status_code == 200


def test_guesses_over_http_at_once_are_all_counted(api: Api) -> None:
    statuses, together = [], threading.Barrier(20)

    def guess(n: int) -> None:
        together.wait()
        statuses.append(_log_in(api, password=f"guess {n}").status_code)

    threads = [threading.Thread(target=guess, args=(n,)) for n in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses.count(401) == 5
    assert statuses.count(429) == 15


def test_no_token_is_ever_stored_with_an_idempotency_key(api: Api) -> None:
    form = {"grant_type": "password", "username": "ben", "password": PASSWORD}
    both = [
        api.client.post("/v1/auth/token", data=form, headers={"Idempotency-Key": "k"}).json()["access_token"]
        for _ in range(2)
    ]
    assert both[0] != both[1]
    with api.services.database.read() as session:
        assert list(session.scalars(select(IdempotencyKey))) == []


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic eDp5", "Bearer a.b.c", "bearer \xe9"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_a_token_nobody_is_let_in(api: Api, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
    answer = api.client.get("/v1/users/me", headers=headers)
    assert problem_code(answer, 401) == "not-authenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_ends_after_its_minutes(database_url: str, tmp_path: Path) -> None:
    services = services_on(tmp_path / "data", database_url, access={"access_minutes": 2 / 60})
    with api_on(services) as api:
        found = _log_in(api).json()
        assert found["expires_in"] == 2
        assert _me(api, found["access_token"]).status_code == 200
        time.sleep(2.1)
        assert _me(api, found["access_token"]).status_code == 401
        assert _me(api, _refresh(api, found["refresh_token"]).json()["access_token"]).status_code == 200
    close_services(services)


def test_a_rotation_of_the_keys_lets_tokens_live_and_two_end_them(api: Api) -> None:
    api.services.keyring.rotate()
    assert _me(api, api.analyst.token).status_code == 200
    fresh = _log_in(api).json()
    api.services.keyring.rotate()
    assert _me(api, api.analyst.token).status_code == 401
    assert _me(api, fresh["access_token"]).status_code == 200
    assert _refresh(api, api.analyst.refresh_token).status_code == 200  # signed with nothing: it lives on


def test_the_first_admin_gets_in_by_the_file_and_sets_a_password(services: Services) -> None:
    first = ensure_first_admin(services)
    assert first.secret_path is not None
    secret = first.secret_path.read_text().strip()
    with api_on(services) as api:
        found = _log_in(api, first.name, secret).json()
        assert found["must_set_password"] is True
        assert not first.secret_path.exists()
        assert problem_code(_log_in(api, first.name, secret), 401) == "invalid-grant"
        headers = {"Authorization": f"Bearer {found['access_token']}"}
        new = {"new_password": "nine teal otters hum"}
        assert api.client.put("/v1/users/me/password", headers=headers, json=new).status_code == 204
        again = _log_in(api, first.name, "nine teal otters hum").json()
        assert again["must_set_password"] is False
        assert _refresh(api, found["refresh_token"]).json()["must_set_password"] is False


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_expired_login_is_told_apart_from_nothing(api: Api) -> None:
    with api.services.database.write() as session:
        session.execute(update(LoginSession).values(expires_at=LoginSession.created_at))
    assert problem_code(_me(api, api.analyst.token), 401) == "not-authenticated"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_keys_that_others_can_read_let_nobody_in_and_are_told_to_the_operator_alone(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    (api.services.settings.secrets / KEYS_FILE).chmod(0o644)
    for answer in (_me(api, api.analyst.token), _log_in(api)):
        assert problem_code(answer, 503) == "keys-unusable"
        assert KEYS_FILE not in answer.text
    assert "chmod 600" in caplog.text
    (api.services.settings.secrets / KEYS_FILE).chmod(0o600)
    assert _me(api, api.analyst.token).status_code == 200
