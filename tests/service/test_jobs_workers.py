"""Workers without a cluster: what each takes up first, and what becomes of a stage whose database is away."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url
from support.databases import close_services, services_on
from support.faults import Line
from support.job_worlds import process, show
from support.redis_server import RealRedis
from support.service import eventually, free_port

from pipelines.layout import plan_layout
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId
from services.context import Services
from services.db.models import Event, Job, StageRun
from services.jobs import lifecycle
from services.jobs.claims import Claim
from services.jobs.plans import PLANS, QUEUES
from services.settings import QueueSettings
from services.work.control import Control
from services.work.stages import Bench, Done
from services.work.worker import Worker

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
_STAGES = [stage for stage, _ in PLANS["process"]]


@dataclass
class Floor:
    """Where workers work; stages do nothing but what is told here."""

    services: Services
    taken: list[Claim] = field(default_factory=list)
    on_stage: Callable[[Claim], None] = lambda _: None

    def run(self, _: Bench, mine: Claim, __: Control) -> Done:
        self.taken.append(mine)
        self.on_stage(mine)
        return Done({mine.stage: mine.attempt})

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        layout = plan_layout(Settings().ray, 1, 0)
        made = [
            Worker(f"w{n}", self.services.main_job, EmbedderId("none", 1, ""), layout, self.run)
            for n in range(count)
        ]
        try:
            yield
        finally:
            left = [w.leave(20) for w in made]
            assert all(left)
            for worker in made:
                close_services(worker._services)


@pytest.fixture
def floor(
    database_url: str, real_redis: RealRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Floor]]:
    """Opens one with some settings of the queues."""
    with ExitStack() as held:

        def make(url: str = database_url, **queues: float) -> Floor:
            made = services_on(tmp_path / "data", url, real_redis.url, queues=queues)
            held.callback(close_services, made)
            monkeypatch.setenv("SCREENALYZER_DATA_ROOT", str(tmp_path / "data"))
            monkeypatch.setenv("DATABASE_URL", url)
            monkeypatch.setenv("REDIS_URL", real_redis.url)
            for name, value in queues.items():
                monkeypatch.setenv(f"SCREENALYZER_QUEUES__{name.upper()}", str(value))
            return Floor(made)

        yield make


def _due(services: Services, name: str, stage: str) -> str:
    """A job whose stages before this one are done; returns its id."""
    with services.database.write() as session:
        job = process(session, show(session, name), "e")
        for run in job.runs[: _STAGES.index(stage)]:
            run.state = "done"
        job.runs[_STAGES.index(stage)].state = "ready"
        return job.id


@ON_SQLITE
def test_inference_and_cluster_come_first_then_late_stages(floor: Callable[..., Floor]) -> None:
    here = floor(workers=2)
    for stage in reversed(_STAGES):
        _due(here.services, f"s-{stage}", stage)
    with here.services.database.write() as session:
        lifecycle.create(session, "purge", user_id=None)
    with here.workers(1):
        eventually(lambda: {c.queue for c in here.taken} == set(QUEUES), 60, "each queue had its turn")
    first_turns = tuple(dict.fromkeys(c.queue for c in here.taken))
    assert first_turns == QUEUES
    assert first_turns[:2] == ("inference", "cluster")


@ON_SQLITE
def test_short_stages_run_while_inference_has_all_it_may_have(floor: Callable[..., Floor]) -> None:
    here = floor(workers=3, inference=3)
    for n in range(4):
        _due(here.services, f"long-{n}", "inference")
    over = threading.Event()

    def stage(mine: Claim) -> None:
        if mine.stage == "inference":
            over.wait(120)

    def begun() -> int:
        return Counter(c.stage for c in here.taken)["inference"]

    here.on_stage = stage
    with here.workers(3):
        try:
            eventually(lambda: begun() == 2, 60, "inference has all but one of the workers")
            late = [_due(here.services, f"short-{n}", "cluster") for n in range(3)]
            with here.services.database.write() as session:
                export = lifecycle.create(session, "export", user_id=None).id

            def ended() -> bool:
                with here.services.database.read() as session:
                    states = session.scalars(select(Job.state).where(Job.id.in_([*late, export]))).all()
                return set(states) == {"done"}

            eventually(ended, 60, "the others are done, though no inference has ended")
            assert begun() == 2
        finally:
            over.set()


def test_inference_leaves_a_worker_to_the_others() -> None:
    assert QueueSettings(workers=4, inference=4).capacity("inference") == 3
    assert QueueSettings(workers=2, max_workers=16, inference=4).capacity("inference") == 4
    assert QueueSettings(workers=6, max_workers=2, inference=9).capacity("inference") == 5
    assert QueueSettings(workers=1, inference=4).capacity("inference") == 1
    assert QueueSettings(workers=1, cluster=3).capacity("cluster") == 3


@ON_POSTGRES
def test_what_ends_while_the_database_is_away_counts(floor: Callable[..., Floor], database_url: str) -> None:
    """Away for longer than the lease, while others wait who would take the stage up again."""
    url = make_url(database_url)
    line = Line(Path(str(url.query["host"])) / ".s.PGSQL.5432", free_port())
    line.open()
    name, port = line.address.split(":")
    far = url.set(host=name, port=int(port), query={}).render_as_string(hide_password=False)
    here = floor(far, lease_s=1)
    finished = threading.Event()

    def stage(mine: Claim) -> None:
        if mine.stage == "analytics":
            line.cut()
            finished.set()

    here.on_stage = stage
    job_id = _due(here.services, "s", "analytics")
    try:
        with here.workers(3):
            assert finished.wait(60)
            time.sleep(4)
            line.open()

            def ended() -> bool:
                with here.services.database.read() as session:
                    return session.get_one(Job, job_id).state == "done"

            eventually(ended, 60, "the job is done")
    finally:
        line.cut()
    assert [c.attempt for c in here.taken if c.job_id == job_id] == [1]
    line.open()
    with here.services.database.read() as session:
        assert session.get_one(Job, job_id).result == {"analytics": 1}
        attempts = session.scalars(select(StageRun.attempt).where(StageRun.job_id == job_id)).all()
        assert sorted(attempts) == [0, 0, 0, 0, 0, 1]
        kinds = session.scalars(select(Event.kind).where(Event.job_id == job_id)).all()
        assert "worker-lost" not in kinds
    line.cut()
