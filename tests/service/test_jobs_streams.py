"""The queues on a real Redis: delivered at least once, taken over from the dead, rebuilt from SQL."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import select
from support.databases import close_services, services_on
from support.job_worlds import let_pass, process, show
from support.redis_server import RealRedis

from services.context import Services
from services.db.models import StageRun
from services.jobs.board import JobBoard
from services.jobs.send import send
from services.jobs.streams import Streams
from services.settings import QueueSettings
from services.work.reconcile import reconcile


@pytest.fixture
def streams(real_redis: RealRedis) -> Iterator[Streams]:
    client = Redis.from_url(real_redis.url, decode_responses=True)
    yield Streams(client, QueueSettings(lease_s=1))
    client.close()


@pytest.fixture
def world(real_redis: RealRedis, database_url: str, tmp_path: Path) -> Iterator[Services]:
    made = services_on(tmp_path / "data", database_url, real_redis.url)
    yield made
    close_services(made)


def _new_job(services: Services, name: str = "e") -> None:
    with services.database.write() as session:
        process(session, show(session, f"s-{name}"), name)


def test_a_message_is_handed_out_once_and_gone_when_done(streams: Streams) -> None:
    assert streams.take("harvest", "w1") is None  # makes the group
    streams.put("harvest", "r1")
    message = streams.take("harvest", "w1")
    assert message is not None
    assert message.run_id == "r1"
    assert streams.take("harvest", "w2") is None
    assert streams.depths()["harvest"] == 1
    streams.done(message)
    assert streams.depths()["harvest"] == 0


def test_what_a_dead_worker_held_is_taken_over_after_its_lease(streams: Streams) -> None:
    streams.take("harvest", "w1")
    streams.put("harvest", "r1")
    first = streams.take("harvest", "w1")
    assert first is not None
    began = time.monotonic()
    second = None
    while second is None and time.monotonic() - began < 5:
        time.sleep(0.05)
        second = streams.take("harvest", "w2")
    assert second == first
    assert 0.9 <= time.monotonic() - began <= 2


def test_a_living_worker_keeps_its_message(streams: Streams) -> None:
    streams.take("harvest", "w1")
    streams.put("harvest", "r1")
    mine = streams.take("harvest", "w1")
    assert mine is not None
    for _ in range(8):
        time.sleep(0.25)
        streams.keep(mine, "w1")
        assert streams.take("harvest", "w2") is None


def test_a_flush_loses_nothing(world: Services, real_redis: RealRedis) -> None:
    _new_job(world)
    send(world)
    world.redis.flushall()
    assert world.streams.held("harvest") == set()
    with world.database.write() as session:
        let_pass(session, 5)
    reconcile(world)
    assert world.streams.take("harvest", "w") is None
    found = world.streams.take("harvest", "w")
    with world.database.read() as session:
        queued = session.scalars(select(StageRun.id).where(StageRun.queue == "harvest")).one()
    assert found is not None
    assert found.run_id == queued


def test_a_dead_redis_takes_no_job_with_it(world: Services, real_redis: RealRedis) -> None:
    real_redis.kill()
    _new_job(world)
    send(world)  # must not raise: SQL has it
    with world.database.write() as session:
        let_pass(session, 5)
    with pytest.raises(RedisError):
        reconcile(world)
    real_redis.start()
    reconcile(world)
    assert len(world.streams.held("harvest")) == 1
    reconcile(world)
    assert world.redis.xlen("harvest.q") == 1  # it is not put in again while it is there


def test_messages_survive_a_kill_of_redis(streams: Streams, real_redis: RealRedis) -> None:
    streams.take("harvest", "w1")
    streams.put("harvest", "r1")
    time.sleep(1.2)  # the append-only file is flushed every second
    real_redis.kill()
    real_redis.start()
    message = streams.take("harvest", "w1")
    assert message is not None
    assert message.run_id == "r1"


def test_the_board_says_whether_redis_answers(real_redis: RealRedis) -> None:
    client = Redis.from_url(real_redis.url, decode_responses=True, socket_connect_timeout=1)
    board = JobBoard(client)
    news = {"stage": "inference", "done_ms": 5, "total_ms": 10, "speed": 2.0, "eta_s": 3.0, "at": 1.0}
    board.post("j1", news)  # type: ignore[arg-type]
    assert board.read(["j1", "j2"]) == ({"j1": news}, True)
    board.clear("j1")
    assert board.read(["j1"]) == ({}, True)
    real_redis.kill()
    board.post("j1", news)  # type: ignore[arg-type]
    assert board.read(["j1"]) == ({}, False)
    client.close()
