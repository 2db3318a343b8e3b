"""The line to PostgreSQL and Redis is cut: refused at once, or without a word. Nobody hangs, and it heals."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from support.api import Api, add_episode, add_job, add_show, api_on, problem_code
from support.databases import close_services, services_on
from support.faults import FarHost, Line, far_host
from support.load import tolerance
from support.redis_server import RealRedis
from support.service import eventually, free_port

from services.db.engine import Database
from services.db.models import Job, StageRun
from services.jobs import claims
from services.jobs.streams import Message
from services.work.control import Control
from services.work.reconcile import reconcile

if TYPE_CHECKING:
    from services.context import Services

ON_POSTGRES = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
# A fifth of the usual patience, so that the test has less to wait for.
_QUICK = {"connect_timeout": "2", "tcp_user_timeout": "4000"}


@dataclass
class World:
    """The service's stores at the other end of a line each."""

    services: "Services"
    sql: Line
    redis: Line


@contextmanager
def _world(root: Path, database_url: str, redis: RealRedis, host: FarHost | None = None) -> Iterator[World]:
    url = make_url(database_url)
    folder = str(url.query["host"])
    lines = [
        Line(Path(folder) / ".s.PGSQL.5432", free_port(), host),
        Line(Path(redis.url.removeprefix("unix://")), free_port(), host),
    ]
    for line in lines:
        line.open()
    name, port = lines[0].address.split(":")
    query = _QUICK if host else {}
    far = url.set(host=name, port=int(port), query=query).render_as_string(hide_password=False)
    made = services_on(root, far, f"redis://{lines[1].address}")
    try:
        yield World(made, *lines)
    finally:
        close_services(made)
        for line in lines:
            line.cut()


def _running(services: "Services") -> tuple[claims.Claim, str]:
    """A stage that a worker has begun."""
    job_id = add_job(services, add_episode(services, add_show(services, "other"), "e1"))
    reconcile(services)
    with services.database.write() as session:
        run = session.query(StageRun).filter_by(job_id=job_id, stage="harvest").one()
        mine = claims.claim(session, run.id, "worker", services.settings.queues)
    assert mine is not None
    return mine, job_id


@contextmanager
def _asked_all_the_time(api: Api) -> Iterator[list[float]]:
    """Ask for shows from several threads, as browsers do; yields how long each answer took."""
    over, taken = threading.Event(), []

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            api.ask("GET", "/shows")
            taken.append(time.monotonic() - began)
            over.wait(0.05)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        over.set()
        for thread in threads:
            thread.join()


@ON_POSTGRES
def test_a_line_that_is_refused_is_said_and_heals(
    database_url: str, real_redis: RealRedis, tmp_path: Path
) -> None:
    with ExitStack() as held:
        world = held.enter_context(_world(tmp_path / "data", database_url, real_redis))
        api = held.enter_context(api_on(world.services))
        job_id = add_job(world.services, add_episode(world.services, add_show(world.services)))
        world.redis.cut()
        assert api.get(f"/jobs/{job_id}")["live"] is False
        assert api.get("/health")["status"] == "degraded"
        shown = api.post("/shows", {"title": "made meanwhile"})
        world.sql.cut()
        assert problem_code(api.ask("GET", "/shows"), 503) == "database-away"
        assert problem_code(api.ask("POST", "/shows", json={"title": "lost"}), 503) == "database-away"
        assert api.ask("GET", "/health").status_code == 503
        world.sql.open()
        world.redis.open()
        assert {s["title"] for s in api.get("/shows")["items"]} == {"My-Show", shown["title"]}
        reconcile(world.services)  # as workers do every two seconds
        assert world.services.streams.depths()["harvest"] == 1
        assert api.get("/health")["redis"]["status"] == "ok"


@ON_POSTGRES
def test_a_line_that_swallows_everything_hangs_nobody(
    database_url: str, real_redis: RealRedis, tmp_path: Path
) -> None:
    with ExitStack() as held:
        host = held.enter_context(far_host())
        world = held.enter_context(_world(tmp_path / "data", database_url, real_redis, host))
        api = held.enter_context(api_on(world.services))
        mine, job_id = _running(world.services)
        message = Message("harvest", "0-1", mine.run_id)
        with _asked_all_the_time(api) as taken, Control(world.services, mine, message, "worker") as control:
            eventually(lambda: len(taken) > 8, 60, "the API answers")
            host.cut()
            eventually(lambda: control.stopping, 120, "the attempt ends, since somebody else may have it")
            assert api.ask("GET", "/health").status_code == 503
            host.heal()
            eventually(lambda: api.ask("GET", "/shows").status_code == 200, 120, "the API is back")
        with world.services.database.read() as session:
            assert session.get_one(Job, job_id).state == "running"
        time.sleep(world.services.settings.queues.lease_s)  # what beats no more counts as dead
        reconcile(world.services)
        with world.services.database.read() as session:
            run = session.get_one(StageRun, mine.run_id)
            assert (run.state, run.attempt) == ("queued", 1)
        # Given up after 4 s, and the next connection after 2 s.
        assert max(taken) < 10 * tolerance(), "an answer, whatever it says, within a browser's patience"


@ON_POSTGRES
def test_a_client_that_is_gone_does_not_hold_a_lock_for_long(database_url: str) -> None:
    """Its transaction is ended by the server, which cannot know that nobody is there any more."""
    quick = make_url(database_url).update_query_dict(
        {"options": "-c idle_in_transaction_session_timeout=1s -c lock_timeout=20s"}
    )
    database = Database(quick.render_as_string(hide_password=False))
    with database.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE held (n int)")
        connection.exec_driver_sql("INSERT INTO held VALUES (1)")
    gone = database.begin()
    gone.connection().exec_driver_sql("SELECT n FROM held FOR UPDATE")
    with database.write() as session:
        session.connection().exec_driver_sql("UPDATE held SET n = 2")
    with pytest.raises(DBAPIError, match=r"terminat|closed|timeout"):
        gone.connection().exec_driver_sql("SELECT 1")
    gone.close()
    database.close()


@ON_POSTGRES
def test_the_patience_is_told_to_both_sides(database_url: str) -> None:
    own = make_url(database_url).update_query_dict({"options": "-c statement_timeout=7s"})
    database = Database(own.render_as_string(hide_password=False))
    with database.read() as session:
        shown = {
            name: session.connection().exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        }
    database.close()
    assert shown == {
        "statement_timeout": "7s",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "1min",
    }
