"""Whatever happens to jobs, in any order: nothing runs twice at once, nothing is lost, all has an end."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from support.job_worlds import due_at_once, let_pass, process, show

from screenalyzer.errors import JobStateError
from services.db.engine import Database
from services.db.models import ENDED, Base, Job, StageRun
from services.jobs import claims, lifecycle
from services.jobs.claims import Claim, Fenced
from services.jobs.dispatch import dispatch
from services.jobs.plans import PLANS
from services.settings import QueueSettings

CFG = QueueSettings(lease_s=6, max_attempts=3, harvest=2, inference=1, tracking=1, cluster=1)
_STAGES = [stage for stage, _ in PLANS["process"]]


class JobWorld(RuleBasedStateMachine):
    """Jobs, workers that die or dawdle, and people who pause, cancel, resume and retry."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(f"sqlite:///{self.folder / 'jobs.db'}")
        Base.metadata.create_all(self.database.engine)
        self.jobs: list[str] = []
        self.messages: list[str] = []  # delivered or not, perhaps twice
        self.held: list[Claim] = []  # by workers, some of whom are thought dead
        self.commits: Counter[tuple[str, str]] = Counter()
        self.passes: Counter[tuple[str, str]] = Counter()  # how often a stage was asked for

    def teardown(self) -> None:
        self.drain()
        self.database.close()
        shutil.rmtree(self.folder)

    @initialize(count=st.integers(1, 4))
    def begin(self, count: int) -> None:
        with self.database.write() as session:
            shows = [show(session, f"s{n}") for n in range(2)]
            for n in range(count):
                self.jobs.append(process(session, shows[n % 2], f"e{n}").id)
        self.passes.update((job, stage) for job in self.jobs for stage in _STAGES)

    @rule()
    def send(self) -> None:
        with self.database.write() as session:
            due_at_once(session)
            self.messages += [run_id for _, run_id in dispatch(session, CFG)]

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        if not self.messages:
            return
        run_id = data.draw(st.sampled_from(self.messages))
        if data.draw(st.booleans()):
            self.messages.remove(run_id)
        with self.database.write() as session:
            if mine := claims.claim(session, run_id, "w", CFG):
                self.held.append(mine)

    @rule(data=st.data(), done_ms=st.integers(0, 1000))
    def beat(self, data: st.DataObject, done_ms: int) -> None:
        self._act(data, keep=True, act=lambda s, c: claims.beat(s, c, done_ms, 1000))

    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        if mine := self._act(data, keep=False, act=claims.complete):
            self.commits[mine.job_id, mine.stage] += 1

    @rule(data=st.data(), final=st.booleans())
    def fail(self, data: st.DataObject, final: bool) -> None:
        self._act(data, keep=False, act=lambda s, c: claims.fail(s, c, "broke", "", CFG, final=final))

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        self._act(data, keep=False, act=claims.stopped)

    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        self._act(data, keep=False, act=lambda s, c: claims.wait(s, c, "busy", 1))

    @rule(seconds=st.sampled_from([1, 7]))
    def pass_time(self, seconds: int) -> None:
        with self.database.write() as session:
            let_pass(session, seconds)
            claims.reap(session, CFG)

    @rule()
    def flush(self) -> None:
        self.messages.clear()

    @rule()
    def resend(self) -> None:
        with self.database.read() as session:
            queued = session.scalars(select(StageRun.id).where(StageRun.state == "queued")).all()
        self.messages += [r for r in queued if r not in self.messages]

    @rule(data=st.data(), act=st.sampled_from([lifecycle.pause, lifecycle.cancel, lifecycle.resume]))
    def ask(self, data: st.DataObject, act: object) -> None:
        self._ask(data, act)

    @rule(data=st.data(), stage=st.sampled_from(_STAGES))
    def retry(self, data: st.DataObject, stage: str) -> None:
        job_id = self._ask(data, lambda s, j: lifecycle.retry(s, j, stage))
        if job_id:
            self.passes.update((job_id, s) for s in _STAGES[_STAGES.index(stage) :])

    @invariant()
    def capacity_is_kept(self) -> None:
        with self.database.read() as session:
            busy = Counter(
                session.scalars(select(StageRun.queue).where(StageRun.state.in_(["queued", "running"])))
            )
        assert all(count <= CFG.capacity(queue) for queue, count in busy.items()), busy

    @invariant()
    def states_agree(self) -> None:
        with self.database.read() as session:
            for job in session.scalars(select(Job)):
                self._check(job)

    @invariant()
    def nothing_is_committed_twice(self) -> None:
        for key, count in self.commits.items():
            assert count <= self.passes[key], key

    def drain(self) -> None:
        """Let workers that make no mistakes finish: everything that was not stopped must come to its end."""
        for _ in range(60 * len(self.jobs)):
            self.pass_time(7)
            self.send()
            self.resend()
            for run_id in [self.messages.pop() for _ in range(len(self.messages))]:
                with self.database.write() as session:
                    if (mine := claims.claim(session, run_id, "w", CFG)) is None:
                        continue
                with self.database.write() as session:
                    claims.complete(session, mine)
            if self._at_rest():
                return
        raise AssertionError("jobs are stuck")

    def _at_rest(self) -> bool:
        with self.database.read() as session:
            return set(session.scalars(select(Job.state))) <= {*ENDED, "paused"}

    def _check(self, job: Job) -> None:
        active = [r for r in job.runs if r.state in {"ready", "queued", "running", "failed"}]
        assert len(active) == (0 if job.state == "done" else 1)
        first = active[0].position if active else len(job.runs)
        assert all(r.state == "done" for r in job.runs[:first])
        assert all(r.state == "pending" for r in job.runs[first + 1 :])
        running = any(r.state == "running" for r in job.runs)
        if job.state in {"pausing", "cancelling"}:
            assert running
        if job.state in {*ENDED, "paused"}:
            assert not running
        assert (job.state in ENDED) == (job.finished_at is not None)

    def _act(self, data: st.DataObject, *, keep: bool, act: object) -> Claim | None:
        """Let a worker do something with what it holds; None where it was fenced."""
        if not self.held:
            return None
        mine = data.draw(st.sampled_from(self.held))
        if not keep:
            self.held.remove(mine)
        try:
            with self.database.write() as session:
                act(session, mine)  # type: ignore[operator]
        except Fenced:
            return None
        return mine

    def _ask(self, data: st.DataObject, act: object) -> str | None:
        job_id = data.draw(st.sampled_from(self.jobs))
        try:
            with self.database.write() as session:
                act(session, lifecycle.locked(session, job_id))  # type: ignore[operator]
        except JobStateError:
            return None
        return job_id


JobWorld.TestCase.settings = settings(
    max_examples=25, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestJobWorld = JobWorld.TestCase
