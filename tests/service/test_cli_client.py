"""The command line's client: nothing twice, nothing given up too early, no taken for an answer."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.certificates import self_signed
from support.scripted import Answer, Asked, problem, scripted
from support.service import free_port

from screenalyzer.errors import ServiceError, SettingsError
from services.cli.client import Api, RefusedError, ServerEvent
from services.cli.credentials import Credentials, GivenToken, KeptLogin, Login

_PROXY = Answer(503, "no replica is there", "text/plain")
_EVENTS = "text/event-stream"


def _api(url: str, patience_s: float = 5, said: list[str] | None = None) -> Api:
    return Api(url, GivenToken("t"), say=(said if said is not None else []).append, patience_s=patience_s)


@pytest.mark.parametrize(
    "trouble",
    [
        _PROXY,
        Answer(500, "dead", "text/plain"),
        Answer(0),
        problem(503, retry_after="0"),
        Answer(404, "?", "text/plain"),
    ],
)
def test_a_change_is_sent_again_under_the_same_key(trouble: Answer) -> None:
    said: list[str] = []
    with scripted(trouble, trouble, Answer(201, {"id": "1"})) as server, _api(server.url, said=said) as api:
        assert api.send("POST", "/v1/shows", {"title": "T"}) == {"id": "1"}
        keys = {a.headers["idempotency-key"] for a in server.asked}
        assert len(server.asked) == 3
        assert len(keys) == 1
        assert {a.body for a in server.asked} == {b'{"title":"T"}'}
        assert not server.answers
    assert len(said) == 1
    assert said[0].endswith("Trying again.")


def test_each_change_has_a_key_of_its_own_and_a_read_has_none() -> None:
    with scripted(Answer(), Answer(), Answer()) as server, _api(server.url) as api:
        api.send("DELETE", "/v1/a", revision=7)
        api.send("DELETE", "/v1/a")
        api.get("/v1/a", limit=3, cursor=None)
    first, second, read = server.asked
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    assert "idempotency-key" not in read.headers
    assert first.headers["if-match"] == '"7"'
    assert "if-match" not in second.headers
    assert read.path == "/v1/a?limit=3"
    assert {a.headers["authorization"] for a in server.asked} == {"Bearer t"}


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 422, 500])
def test_no_of_the_api_is_final(status: int) -> None:
    with scripted(problem(status, "why", "Because.")) as server, _api(server.url) as api:
        with pytest.raises(RefusedError, match=r"^Because\.$") as caught:
            api.send("POST", "/v1/x")
        assert (caught.value.status, caught.value.code) == (status, "why")
        assert len(server.asked) == 1


def test_it_waits_as_long_as_it_is_told_to() -> None:
    with scripted(problem(429, retry_after="1"), Answer(200, [])) as server, _api(server.url) as api:
        began = time.monotonic()
        assert api.get("/v1/x") == []
        assert time.monotonic() - began >= 1


def test_in_the_end_it_gives_up() -> None:
    silent = f"http://127.0.0.1:{free_port()}"
    said = pytest.raises(ServiceError, match=r"does not answer \(ConnectError\).*screenalyzer status")
    with _api(silent, patience_s=0.5) as api, said:
        api.get("/v1/x")
    with scripted() as server, _api(server.url, patience_s=0.5) as api:
        server.answer = lambda _: problem(503, detail="The database is away.")
        with pytest.raises(RefusedError, match="The database is away"):
            api.get("/v1/x")
        assert len(server.asked) > 1


def test_a_password_is_not_tried_twice() -> None:
    with scripted(problem(503, "crowded", "Crowded.")) as server, _api(server.url) as api:
        with pytest.raises(RefusedError, match="Crowded"):
            api.log_in("ada", "secret")
        assert len(server.asked) == 1
        assert b"username=ada&password=secret" in server.asked[0].body
        assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense"])
def test_an_address_that_is_none(url: str) -> None:
    with _api(url) as api, pytest.raises(ServiceError, match="is no address of a service"):
        api.get("/v1/x")


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    _, key = self_signed(tmp_path)
    with pytest.raises(ServiceError, match="is no certificate"):
        Api("https://127.0.0.1", GivenToken("t"), key)


def test_lists_are_read_to_their_end() -> None:
    pages = [Answer(200, {"items": [{"id": n}], "next": n or None}) for n in (2, 1, 0)]
    with scripted(*pages) as server, _api(server.url) as api:
        assert [i["id"] for i in api.items("/v1/jobs", state="done")] == [2, 1, 0]
    assert [a.path for a in server.asked] == [
        "/v1/jobs?limit=200&state=done",
        "/v1/jobs?cursor=2&limit=200&state=done",
        "/v1/jobs?cursor=1&limit=200&state=done",
    ]


def test_events_go_on_where_they_broke_off() -> None:
    first = 'retry: 2000\n\nid: 4\nevent: created\ndata: {"a": 1}\n\n'
    first += 'event: progress\ndata: {"b": 2}\n\n: here\n\n'
    second = 'id: 7\nevent: done\ndata: {"c": 3}\n\n'
    with scripted(
        Answer(200, first + "x" * len(first), _EVENTS, cut=True), _PROXY, Answer(0),
        Answer(200, second, _EVENTS), Answer(204),
    ) as server, _api(server.url) as api:  # fmt: skip
        found = list(api.events("/v1/jobs/1/events"))
    assert found == [
        ServerEvent("created", {"a": 1}, "4"),
        ServerEvent("progress", {"b": 2}),
        ServerEvent("done", {"c": 3}, "7"),
    ]
    assert [a.headers.get("last-event-id") for a in server.asked] == [None, "4", "4", "4", "7"]


def test_events_of_a_job_that_is_not_there() -> None:
    refused = pytest.raises(RefusedError, match="There is no job")
    with scripted(problem(404, "not-found", "There is no job.")) as server, _api(server.url) as api, refused:
        list(api.events("/v1/jobs/1/events"))


def _login(access: str = "a1", refresh: str = "r1", left_s: float = 600) -> Login:
    return Login("ada", access, refresh, time.time() + left_s)


def _tokens(number: int) -> Answer:
    body = {
        "access_token": f"a{number}",
        "refresh_token": f"r{number}",
        "expires_in": 600,
        "must_set_password": False,
    }
    return Answer(200, body)


def _kept(url: str, file: Path) -> Api:
    api = Api(url, GivenToken(""), patience_s=5)
    api.access = KeptLogin(Credentials(file), url, api._refresh)
    return api


def test_a_login_is_renewed_when_it_is_refused_and_before_it_expires(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    with scripted(problem(401), _tokens(2), Answer(200, 1)) as server, _kept(server.url, file) as api:
        Credentials(file).put(server.url, _login())
        assert api.get("/v1/x") == 1
        assert [a.headers.get("authorization") for a in server.asked] == ["Bearer a1", None, "Bearer a2"]
        assert b"refresh_token=r1" in server.asked[1].body
        Credentials(file).put(server.url, _login(left_s=5))
        server.answers += [_tokens(3), Answer(200, 2)]
        assert api.get("/v1/x") == 2
        assert server.asked[-1].headers["authorization"] == "Bearer a3"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())[server.url]["refresh_token"] == "r3"


def test_a_login_that_has_ended_says_so(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    with scripted(problem(401), problem(401)) as server, _kept(server.url, file) as api:
        with pytest.raises(ServiceError, match="nobody is logged in"):
            api.get("/v1/x")
        Credentials(file).put(server.url, _login())
        with pytest.raises(ServiceError, match=r"the login at .* has ended"):
            api.get("/v1/x")
        assert Credentials(file).find(server.url) is None


def test_a_given_token_is_not_renewed() -> None:
    with scripted(problem(401, "not-authenticated", "Expired.")) as server, _api(server.url) as api:
        with pytest.raises(RefusedError, match="Expired"):
            api.get("/v1/x")
        assert len(server.asked) == 1


def test_a_refresh_token_is_used_once_by_however_many(tmp_path: Path) -> None:
    """A second use would look like theft, and end the login."""
    file, lock, spent = tmp_path / "credentials.json", threading.Lock(), ["r0"]

    def answer(asked: Asked) -> Answer:
        if asked.path != "/v1/auth/token":
            fresh = asked.headers["authorization"] == f"Bearer a{len(spent) - 1}"
            return Answer(200, 1) if fresh and len(spent) > 1 else problem(401)
        with lock:
            token = asked.body.decode().rpartition("=")[2]
            assert token not in spent[:-1], "it was used twice"
            spent.append(f"r{len(spent)}")
            return _tokens(len(spent) - 1)

    with scripted() as server:
        server.answer = answer
        Credentials(file).put(server.url, _login("a0", "r0"))

        def ask(_: int) -> int:
            with _kept(server.url, file) as api:
                return int(api.get("/v1/x"))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [1] * 8
    assert spent == ["r0", "r1"]


def test_credentials_that_others_can_read_are_not_used(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    Credentials(file).put("http://a", _login())
    Credentials(file).put("http://b", _login("other"))
    Credentials(file).put("http://a", None)
    assert Credentials(file).find("http://a") is None
    assert Credentials(file).find("http://b") is not None
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="open to other users"):
        Credentials(file).find("http://b")
    file.chmod(0o600)
    file.write_text("{")
    with pytest.raises(ServiceError, match="damaged"):
        Credentials(file).find("http://b")
