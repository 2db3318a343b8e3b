"""Events of a job: a page, a long poll, and a stream that a real client follows and comes back to."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from support.api import Api, add_episode, add_job, add_show, api_on, end_job
from support.databases import close_services, services_on

from services.access import sessions
from services.api.events import Follower
from services.db.models import Event, Job
from services.jobs import lifecycle

if TYPE_CHECKING:
    from support.redis_server import RealRedis

    from services.context import Services

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SSE = {"Accept": "text/event-stream"}


class Message(NamedTuple):
    """What a stream sent."""

    id: int | None
    event: str
    data: dict[str, Any]


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def job_id(api: Api) -> str:
    return add_job(api.services, add_episode(api.services, add_show(api.services)))


def _note(api: Api, job_id: str, kind: str, **data: Any) -> None:
    with api.services.database.write() as session:
        lifecycle.note(session, session.get_one(Job, job_id), kind, data)


@contextmanager
def _stream(api: Api, job_id: str, **headers: str) -> Iterator[httpx.Response]:
    with api.client.stream(
        "GET", f"/v1/jobs/{job_id}/events", headers={**api.admin.headers, **SSE, **headers}
    ) as answer:
        yield answer


def _messages(answer: httpx.Response) -> Iterator[Message]:
    """As the standard says: fields up to a blank line; lines that begin with a colon are no news."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line and "data" in fields:
            found = fields.get("id")
            yield Message(int(found) if found else None, fields["event"], json.loads(fields["data"]))
        if not line:
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def test_a_stream_brings_what_was_and_what_comes_and_ends_with_the_job(api: Api, job_id: str) -> None:
    def go_on() -> None:
        time.sleep(0.3)
        _note(api, job_id, "stage-done", stage="harvest")
        time.sleep(0.7)
        end_job(api.services, job_id)

    worker = threading.Thread(target=go_on)
    worker.start()
    with _stream(api, job_id) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = list(_messages(answer))
    worker.join()
    assert [m.event for m in found] == ["created", "stage-done", "done"]
    ids = [m.id for m in found]
    assert ids == sorted(set(ids), key=lambda i: i or 0)
    assert found[1].data["data"] == {"stage": "harvest"}
    assert found[1].data["id"] == ids[1]


def test_who_comes_back_gets_what_was_missed_and_nothing_twice(api: Api, job_id: str) -> None:
    for n in range(5):
        _note(api, job_id, "n", n=n)
    with _stream(api, job_id) as answer:
        first = [m for m, _ in zip(_messages(answer), range(3), strict=False)]  # then the line breaks
    for n in range(5, 8):
        _note(api, job_id, "n", n=n)
    end_job(api.services, job_id)
    with _stream(api, job_id, **{"Last-Event-ID": str(first[-1].id)}) as answer:
        rest = list(_messages(answer))
    assert [m.data["data"].get("n") for m in [*first, *rest]] == [None, *range(8), None]
    with _stream(api, job_id, **{"Last-Event-ID": str(rest[-1].id)}) as answer:
        assert answer.status_code == 204  # an EventSource does not come back


def test_a_job_that_failed_and_goes_on_is_followed_to_its_real_end(api: Api, job_id: str) -> None:
    with api.services.database.write() as session:
        lifecycle.give_up(session, session.get_one(Job, job_id), "no")
    api.post(f"/jobs/{job_id}/resume")
    end_job(api.services, job_id)
    with _stream(api, job_id) as answer:
        assert [m.event for m in _messages(answer)] == ["created", "failed", "queued", "done"]


@ON_SQLITE
def test_progress_comes_between_without_an_id(
    database_url: str, tmp_path: Path, real_redis: "RealRedis"
) -> None:
    services = services_on(tmp_path / "data", database_url, real_redis.url)
    with api_on(services) as api:
        job_id = add_job(services, add_episode(services, add_show(services)), state="running")
        stop = threading.Event()

        def run() -> None:
            n = 0
            while not stop.wait(0.2):
                n += 1
                services.board.post(
                    job_id,
                    {"stage": "inference", "done_ms": n, "total_ms": 9, "speed": 1.0, "eta_s": 1.0, "at": n},
                )
            end_job(services, job_id)

        worker = threading.Thread(target=run)
        worker.start()
        threading.Timer(3.2, stop.set).start()
        with _stream(api, job_id) as answer:
            found = list(_messages(answer))
        worker.join()
    close_services(services)
    progress = [m for m in found if m.event == "progress"]
    assert 2 <= len(progress) <= 4  # about one a second
    assert all(m.id is None for m in progress)
    done = [m.data["done_ms"] for m in progress]
    assert done == sorted(set(done))
    assert found[-1].event == "done"


@ON_SQLITE
def test_fifty_streams_hold_no_thread_and_no_connection(api: Api, job_id: str) -> None:
    """The pool has 15 connections and 40 threads: with one held by each stream nothing else were answered."""
    begun, answers = threading.Barrier(51), []

    def follow() -> None:
        with _stream(api, job_id) as answer:
            messages = _messages(answer)
            first = next(messages)
            begun.wait(30)
            answers.append([first, *messages][-1].event)

    threads = [threading.Thread(target=follow) for _ in range(50)]
    for t in threads:
        t.start()
    begun.wait(30)
    took = time.monotonic()
    assert api.get(f"/jobs/{job_id}")["state"] == "queued"
    assert api.post("/shows", {"title": "meanwhile"})["name"] == "meanwhile"
    assert time.monotonic() - took < 5
    end_job(api.services, job_id)
    for t in threads:
        t.join(30)
    assert answers == ["done"] * 50


def test_a_stream_ends_with_the_login_that_opened_it(api: Api, job_id: str) -> None:
    follower = Follower(api.services, job_id, api.admin.token, heartbeat_s=0.3)

    async def follow() -> list[str]:
        seen = []
        async for text in follower.stream():
            seen.append(text)
            if text.startswith(":") and seen.count(text) == 2:
                with api.services.database.write() as session:
                    sessions.revoke(session, api.admin.session_id)
        return seen

    found = asyncio.run(asyncio.wait_for(follow(), 20))  # ends, though the job has not
    assert found[0] == "retry: 2000\n\n"
    assert found[-1] == ": still here\n\n"
    assert api.client.get(f"/v1/jobs/{job_id}", headers=api.admin.headers).status_code == 401


def test_a_page_and_the_next(api: Api, job_id: str) -> None:
    for n in range(4):
        _note(api, job_id, "n", n=n)
    page = api.get(f"/jobs/{job_id}/events", params={"limit": 3})
    assert ([e["kind"] for e in page["items"]], page["ended"]) == (["created", "n", "n"], False)
    rest = api.get(f"/jobs/{job_id}/events", params={"after": page["next"], "limit": 3})
    assert [e["data"] for e in rest["items"]] == [{"n": 2}, {"n": 3}]
    empty = api.get(f"/jobs/{job_id}/events", params={"after": rest["next"]})
    assert (empty["items"], empty["next"], empty["ended"]) == ([], rest["next"], False)
    end_job(api.services, job_id)
    assert api.get(f"/jobs/{job_id}/events", params={"after": rest["next"]})["ended"] is True


def test_a_long_poll_answers_as_soon_as_there_is_something(api: Api, job_id: str) -> None:
    last = api.get(f"/jobs/{job_id}/events")["next"]
    threading.Timer(0.5, _note, (api, job_id, "news")).start()
    begun = time.monotonic()
    page = api.get(f"/jobs/{job_id}/events", params={"after": last, "wait": 20})
    assert [e["kind"] for e in page["items"]] == ["news"]
    assert 0.4 < time.monotonic() - begun < 5
    begun = time.monotonic()
    assert api.get(f"/jobs/{job_id}/events", params={"after": page["next"], "wait": 1})["items"] == []
    assert 0.9 < time.monotonic() - begun < 3


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 16])
@ON_SQLITE
def test_an_id_that_is_none_is_refused(api: Api, job_id: str, last: str) -> None:
    assert api.refused(422, "GET", f"/jobs/{job_id}/events", headers={"Last-Event-ID": last}) == "invalid"


def test_nobody_follows_a_job_without_a_token(api: Api, job_id: str) -> None:
    assert api.client.get(f"/v1/jobs/{job_id}/events", headers=SSE).status_code == 401
    assert api.refused(404, "GET", f"/jobs/{'0' * 32}/events", headers=SSE) == "not-found"


@ON_SQLITE
def test_events_of_other_jobs_stay_out(api: Api, job_id: str) -> None:
    other = add_job(api.services, add_episode(api.services, add_show(api.services, "o")))
    kinds = [e["kind"] for e in api.get(f"/jobs/{job_id}/events")["items"]]
    assert kinds == ["created"]
    with api.services.database.read() as session:
        assert session.query(Event).filter_by(job_id=other).count() == 1
