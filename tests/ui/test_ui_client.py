"""The pages' way to the service: logins that are renewed, requests applied once, errors for people."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from support.api import Api, add_episode, add_job, add_show
from support.callers import PASSWORD

from review_ui.client import Client
from review_ui.logins import LOGINS, Login, log_in
from review_ui.wire import Address, LoginEndedError, ServiceError, Wire


@pytest.fixture
def login(lines: Wire) -> Login:
    return log_in("ada", PASSWORD, None, lambda: lines)


@pytest.fixture
def client(login: Login, lines: Wire) -> Client:
    return Client(login, lines)


def test_a_login_knows_who_it_is(login: Login, client: Client) -> None:
    assert login.user["name"] == client.me()["name"] == "ada"
    assert not login.must_set_password
    assert LOGINS.find(login.id) is login


def test_a_wrong_password_says_what_to_do(lines: Wire) -> None:
    with pytest.raises(LoginEndedError) as caught:
        log_in("ada", "not this one at all", None, lambda: lines)
    assert caught.value.code == "invalid-grant"
    assert "Ask an Admin" in caught.value.what
    assert caught.value.where == "POST /v1/auth/token"


def test_many_threads_renew_a_token_once(login: Login, client: Client) -> None:
    first = login.token()
    time.sleep(1.1)  # tokens tell their second, and nothing finer
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: login.token(refused=first), range(8)))
    assert len(found) == 1
    assert first not in found
    assert client.me()["name"] == "ada"  # a refresh token that is used twice would have ended the login


def test_a_refused_token_is_renewed_under_way(login: Login, client: Client) -> None:
    login._tokens.access = "nonsense"
    assert client.me()["name"] == "ada"
    assert login.token() != "nonsense"


def test_a_login_that_was_ended_elsewhere_says_so(api: Api, login: Login, client: Client) -> None:
    client.log_out()
    with pytest.raises(LoginEndedError):
        client.me()
    assert login.over
    assert LOGINS.find(login.id) is None


def test_a_key_makes_a_request_count_once(client: Client) -> None:
    first = client.send("POST", "/v1/shows", {"title": "Twice"}, key="the-same-key")
    again = client.send("POST", "/v1/shows", {"title": "Twice"}, key="the-same-key")
    assert first == again
    with pytest.raises(ServiceError) as caught:
        client.send("POST", "/v1/shows", {"title": "Twice"})
    assert caught.value.code == "exists"


def test_an_old_revision_is_refused(client: Client) -> None:
    show = client.send("POST", "/v1/shows", {"title": "Once"})
    client.send("PATCH", f"/v1/shows/{show['id']}", {"title": "Changed"}, revision=show["revision"])
    with pytest.raises(ServiceError) as caught:
        client.send("PATCH", f"/v1/shows/{show['id']}", {"title": "Late"}, revision=show["revision"])
    assert caught.value.status == 412
    assert "decide anew" in caught.value.what


def test_fields_that_are_wrong_are_named(client: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        client.send("POST", "/v1/shows", {"titel": "x"})
    assert caught.value.status == 422
    assert {"titel", "title"} <= {str(e["where"][-1]) for e in caught.value.errors}


def test_lists_are_read_to_their_end(api: Api, client: Client) -> None:
    show = add_show(api.services)
    for n in range(230):
        add_episode(api.services, show, f"e{n}")
    assert len({e["id"] for e in client.episodes(show)}) == 230


def test_jobs_are_steered_on_what_was_seen(api: Api, client: Client) -> None:
    show = add_show(api.services)
    job_id = add_job(api.services, add_episode(api.services, show))
    seen = client.job(job_id)
    paused = client.act_on_job(seen, "pause")
    assert paused["state"] == "paused"
    with pytest.raises(ServiceError) as caught:
        client.act_on_job(seen, "cancel")
    assert caught.value.status == 412
    assert client.act_on_job(paused, "resume")["state"] == "queued"


def test_a_service_that_is_away_says_so_soon() -> None:
    nowhere = Address("http://127.0.0.1:9", "http://127.0.0.1:9", "")
    with closing(Wire(nowhere)) as wire, pytest.raises(ServiceError) as caught:
        wire.ask("GET", "/v1/health")
    assert caught.value.code == "unreachable"
    assert caught.value.away


def test_one_time_secrets_want_a_password(lines: Wire, client: Client) -> None:
    made = client.add_user("cleo", "analyst")
    assert made["secret"]
    fresh = log_in("cleo", made["secret"], None, lambda: lines)
    assert fresh.must_set_password
    Client(fresh, lines).set_password(None, "five words that nobody knows")
    assert not fresh.must_set_password
    assert log_in("cleo", "five words that nobody knows", None, lambda: lines).user["role"] == "analyst"
