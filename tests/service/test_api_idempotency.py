"""A mutation with an Idempotency-Key is applied once: sent twice, at once, over a server that is killed."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.api import Api, add_episode, add_job, add_show, api_on
from support.api_process import ApiProcess
from support.callers import admin

from services.db.models import IdempotencyKey, Job, Show

if TYPE_CHECKING:
    from services.context import Services

RNG = random.Random(7)
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


def _key(name: str) -> dict[str, str]:
    return {"Idempotency-Key": name}


def _count(services: "Services", table: type[Job | Show | IdempotencyKey]) -> int:
    with services.database.read() as session:
        return session.query(table).count()


def test_sent_twice_it_is_applied_once_and_answered_the_same(api: Api) -> None:
    first = api.ask("POST", "/shows", json={"title": "One"}, headers=_key("k"))
    again = api.ask("POST", "/shows", json={"title": "One"}, headers=_key("k"))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    for name in ("content-type", "etag", "location"):
        assert first.headers[name] == again.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert _count(api.services, Show) == 1


@pytest.mark.parametrize("what", ["jobs", "exports"])
def test_sent_by_twenty_at_once_it_makes_one_job(api: Api, what: str) -> None:
    episode = add_episode(api.services, add_show(api.services), content=b"v")
    marker = api.services.settings.root / "outputs/My-Show/s01e01/stages/analytics.json"
    marker.parent.mkdir(parents=True)
    marker.write_text('{"fingerprint": "x"}')
    body = {"format": "csv"} if what == "exports" else {"settings": {}}
    together = threading.Barrier(20)

    def send(_: int) -> httpx.Response:
        together.wait()
        return api.ask("POST", f"/episodes/{episode}/{what}", json=body, headers=_key("k"))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert {a.status_code for a in answers} == {202}
    assert len({a.content for a in answers}) == 1
    assert Counter("idempotency-replayed" in a.headers for a in answers) == {True: 19, False: 1}
    assert _count(api.services, Job) == 1


def test_another_request_with_that_key_is_refused(api: Api) -> None:
    api.post("/shows", {"title": "One"}, headers=_key("k"))
    for path, body in (("/shows", {"title": "Two"}), ("/shows?x=1", {"title": "One"})):
        code = api.refused(422, "POST", path, json=body, headers=_key("k"))
        assert code == "idempotency-key-reused"
    job = add_job(api.services, add_episode(api.services, add_show(api.services)))
    assert api.refused(422, "POST", f"/jobs/{job}/cancel", headers=_key("k")) == "idempotency-key-reused"
    assert api.get(f"/jobs/{job}")["state"] == "queued"


def test_a_key_is_of_one_user(api: Api) -> None:
    one = api.post("/shows", {"title": "One"}, headers=_key("k"))
    two = api.post("/shows", {"title": "Two"}, api.analyst, headers=_key("k"))
    assert one["id"] != two["id"]


def test_what_was_refused_may_be_sent_again(api: Api) -> None:
    episode = add_episode(api.services, add_show(api.services), content=b"v")
    busy = add_job(api.services, episode)
    assert api.refused(409, "POST", f"/episodes/{episode}/jobs", json={}, headers=_key("k")) == "busy"
    api.post(f"/jobs/{busy}/cancel")
    api.post(f"/episodes/{episode}/jobs", {}, headers=_key("k"))
    assert _count(api.services, Job) == 2


def test_a_replayed_action_does_not_act_again(api: Api) -> None:
    path = f"/jobs/{add_job(api.services, add_episode(api.services, add_show(api.services)))}"
    paused = api.post(f"{path}/pause", headers=_key("k"))
    api.post(f"{path}/resume")
    assert api.post(f"{path}/pause", headers=_key("k")) == paused
    assert api.get(path)["state"] == "queued"


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\x7f", "é"])
@ON_SQLITE
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = api.ask("POST", "/shows", json={"title": "One"}, headers=headers)
    assert answer.status_code == 400
    assert _count(api.services, Show) == 0


def test_a_storm_of_changes_and_reads_starves_nobody(api: Api) -> None:
    """More requests at once than there are threads and connections; a change lasts over several threads."""
    show = add_show(api.services)
    episodes = [add_episode(api.services, show, f"e{n}", content=b"v") for n in range(30)]

    def send(n: int) -> int:
        if n % 2:
            return api.ask("GET", "/episodes").status_code
        return api.ask(
            "POST", f"/episodes/{episodes[n % 30]}/jobs", json={}, headers=_key(str(n % 30))
        ).status_code

    begun = time.monotonic()
    with ThreadPoolExecutor(150) as pool:
        found = Counter(pool.map(send, range(300)))
    assert found == {200: 150, 202: 150}
    assert time.monotonic() - begun < 30  # the time after which whoever waits for a lock gives up
    assert _count(api.services, Job) == 15


def _send_until_answered(
    client: httpx.Client, request: tuple[str, dict[str, str], str], patience_s: float
) -> httpx.Response | None:
    """As a good client does: again, with the same key, until there is an answer."""
    url, headers, key = request
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return client.post(url, json={"title": key}, headers={**headers, **_key(key)})
        except httpx.TransportError:
            if time.monotonic() > deadline:
                return None


def _storm(client: httpx.Client, url: str, headers: dict[str, str], keys: list[str], kill: Any) -> None:
    """Eight clients send all keys, each in its own order; the server is killed soon after an answer."""
    answered, over = threading.Event(), threading.Event()

    def send(mine: list[str]) -> None:
        for key in mine:
            if over.is_set():
                return
            if _send_until_answered(client, (url, headers, key), 0):
                answered.set()

    threads = [threading.Thread(target=send, args=(RNG.sample(keys, len(keys)),)) for _ in range(8)]
    for t in threads:
        t.start()
    assert answered.wait(60)
    time.sleep(RNG.uniform(0.05, 0.4))
    kill()
    over.set()
    for t in threads:
        t.join()


def test_over_a_server_that_is_killed_each_key_has_one_effect(
    services: "Services", database_url: str, tmp_path: Path
) -> None:
    person, process = admin(services), ApiProcess(tmp_path / "data", database_url)
    keys, url = [f"key-{n}" for n in range(200)], f"{process.url}/v1/shows"
    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=20)) as client:
        for _ in range(3):
            process.start()
            _storm(client, url, person.headers, keys, process.kill)
        done_before = _count(services, Show)
        process.start()
        answers = [_send_until_answered(client, (url, person.headers, key), 20) for key in keys]
        process.kill()
    assert 0 < done_before < len(keys)  # it was in the middle
    assert [a and a.status_code for a in answers] == [201] * len(keys)
    assert sum("idempotency-replayed" in a.headers for a in answers if a) == done_before
    assert len({a.json()["id"] for a in answers if a}) == len(keys)
    assert _count(services, Show) == _count(services, IdempotencyKey) == len(keys)
