"""The life of jobs on both databases: who may run what, and what becomes of it."""

import threading

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from support.job_worlds import let_pass, process, show, take_due

from screenalyzer.errors import JobStateError
from services.context import Services
from services.db.models import DeadLetter, Event, Job
from services.jobs import claims, lifecycle
from services.jobs.claims import Claim, Fenced
from services.jobs.dispatch import dispatch
from services.jobs.plans import PLANS
from services.settings import QueueSettings

CFG = QueueSettings(lease_s=6, max_attempts=3, backoff_s=1)
STAGES = [stage for stage, _ in PLANS["process"]]


def _new_job(services: Services, name: str = "e1", **params: object) -> str:
    with services.database.write() as session:
        return process(session, show(session, f"show-{name}"), name, **params).id


def _take(services: Services, worker: str = "w1") -> Claim:
    return take_due(services, CFG, worker)


def _job(services: Services, job_id: str) -> Job:
    with services.database.read() as session:
        return session.get_one(Job, job_id)


def _fail(services: Services, mine: Claim, *, final: bool = False) -> None:
    with services.database.write() as session:
        claims.fail(session, mine, "it broke", "Traceback: it broke", CFG, final=final)


def test_stages_follow_one_another_to_the_end(services: Services) -> None:
    job_id = _new_job(services)
    for stage in STAGES:
        mine = _take(services)
        assert mine.stage == stage
        with services.database.write() as session:
            claims.complete(session, mine, result={stage: 1}, length_ms=90_000 if stage == "harvest" else 0)
    job = _job(services, job_id)
    assert job.state == "done"
    assert job.result == dict.fromkeys(STAGES, 1)
    assert [r.state for r in job.runs] == ["done"] * len(STAGES)
    assert all(r.total_ms == r.done_ms == 90_000 for r in job.runs)
    assert job.runs[1].eta_error is not None


def test_a_second_delivery_runs_nothing(services: Services) -> None:
    _new_job(services)
    mine = _take(services)
    with services.database.write() as session:
        assert claims.claim(session, mine.run_id, "w2", CFG) is None
    with services.database.write() as session:
        claims.complete(session, mine)
    with services.database.write() as session:
        assert claims.claim(session, mine.run_id, "w2", CFG) is None


def test_who_was_thought_dead_cannot_commit(services: Services) -> None:
    _new_job(services)
    first = _take(services)
    with services.database.write() as session:
        let_pass(session, CFG.lease_s + 1)
    with services.database.write() as session:
        second = claims.claim(session, first.run_id, "w2", CFG)
    assert second is not None
    assert second.attempt == first.attempt + 1
    for act in (
        lambda s: claims.beat(s, first, 0, 0),
        lambda s: claims.complete(s, first),
        lambda s: claims.fail(s, first, "", "", CFG, final=False),
        lambda s: claims.stopped(s, first),
    ):
        with pytest.raises(Fenced), services.database.write() as session:
            act(session)
    with services.database.write() as session:
        claims.complete(session, second)


def test_who_was_thought_dead_counts_while_nobody_else_has_begun(services: Services) -> None:
    job_id = _new_job(services)
    mine = _take(services)
    with services.database.write() as session:
        let_pass(session, CFG.lease_s + 1)
        assert claims.reap(session, CFG) == 1
        dispatch(session, CFG)
    for act in (
        lambda s: claims.beat(s, mine, 0, 0),
        lambda s: claims.fail(s, mine, "", "", CFG, final=False),
        lambda s: claims.stopped(s, mine),
    ):
        with pytest.raises(Fenced), services.database.write() as session:
            act(session)
    with services.database.write() as session:
        claims.complete(session, mine, result={"harvest": 1})
    job = _job(services, job_id)
    assert (job.runs[0].state, job.runs[0].error, job.runs[1].state) == ("done", None, "ready")
    assert job.result == {"harvest": 1}
    assert job.runs[0].busy_s < CFG.lease_s  # its time counts once
    with services.database.write() as session:
        assert claims.claim(session, mine.run_id, "w2", CFG) is None


def test_who_was_thought_dead_is_too_late_once_people_asked_anew(services: Services) -> None:
    job_id = _new_job(services)
    mine = _take(services)
    with services.database.write() as session:
        let_pass(session, CFG.lease_s + 1)
        assert claims.reap(session, CFG) == 1
    with services.database.write() as session:
        lifecycle.cancel(session, session.get_one(Job, job_id))
    with services.database.write() as session:
        lifecycle.retry(session, session.get_one(Job, job_id), "harvest")
    with pytest.raises(Fenced), services.database.write() as session:
        claims.complete(session, mine)


def test_only_one_of_many_gets_a_run(services: Services) -> None:
    _new_job(services)
    with services.database.write() as session:
        ((_, run_id),) = dispatch(session, CFG)
    won: list[Claim | None] = []

    def grab(name: str) -> None:
        with services.database.write() as session:
            won.append(claims.claim(session, run_id, name, CFG))

    threads = [threading.Thread(target=grab, args=(f"w{n}",)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(won) == 8
    assert sum(w is not None for w in won) == 1


def test_a_failure_is_tried_again_later_and_then_buried(services: Services) -> None:
    job_id = _new_job(services)
    for attempt in range(1, CFG.max_attempts + 1):
        mine = _take(services)
        assert mine.attempt == attempt
        _fail(services, mine)
        with services.database.write() as session:
            assert dispatch(session, CFG) == []  # not before its backoff
    job = _job(services, job_id)
    assert job.state == "failed"
    assert "3 times" in (job.error or "")
    with services.database.read() as session:
        letter = session.scalars(select(DeadLetter)).one()
    assert (letter.stage, letter.attempts) == ("harvest", 3)
    assert "Traceback" in letter.traceback


def test_progress_starts_the_count_of_failures_again(services: Services) -> None:
    job_id = _new_job(services)
    for turn in range(6):
        mine = _take(services)
        with services.database.write() as session:
            claims.beat(session, mine, (turn + 1) * 1000, 90_000)
        with services.database.write() as session:
            let_pass(session, CFG.lease_s + 1)
            assert claims.reap(session, CFG) == 1
    assert _job(services, job_id).state == "running"


def test_a_worker_that_always_dies_is_a_dead_letter(services: Services) -> None:
    job_id = _new_job(services)
    for _ in range(CFG.max_attempts):
        _take(services)
        with services.database.write() as session:
            let_pass(session, CFG.lease_s + 1)
            assert claims.reap(session, CFG) == 1
    job = _job(services, job_id)
    assert job.state == "failed"
    assert "lost" in (job.error or "")


def test_bad_input_is_not_tried_again(services: Services) -> None:
    job_id = _new_job(services)
    _fail(services, _take(services), final=True)
    job = _job(services, job_id)
    assert (job.state, job.error) == ("failed", "it broke")
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(DeadLetter)) == 0


@pytest.mark.parametrize(("act", "meanwhile", "at_last"), [
    (lifecycle.pause, "pausing", "paused"), (lifecycle.cancel, "cancelling", "cancelled"),
])  # fmt: skip
def test_stopping_takes_hold_when_the_worker_hears_of_it(
    services: Services, act: object, meanwhile: str, at_last: str
) -> None:
    job_id = _new_job(services)
    mine = _take(services)
    with services.database.write() as session:
        act(session, lifecycle.locked(session, job_id))  # type: ignore[operator]
    assert _job(services, job_id).state == meanwhile
    with services.database.write() as session:
        assert claims.beat(session, mine, 10, 100) == "stop"
    with services.database.write() as session:
        claims.stopped(session, mine)
    assert _job(services, job_id).state == at_last
    with services.database.write() as session:
        assert dispatch(session, CFG) == []
    with services.database.write() as session:
        lifecycle.resume(session, session.get_one(Job, job_id))
    again = _take(services)
    assert (again.run_id, again.attempt) == (mine.run_id, 2)


def test_stopping_what_does_not_run_takes_hold_at_once(services: Services) -> None:
    job_id = _new_job(services)
    with services.database.write() as session:
        dispatch(session, CFG)
    with services.database.write() as session:
        lifecycle.pause(session, session.get_one(Job, job_id))
    job = _job(services, job_id)
    assert job.state == "paused"
    assert job.runs[0].state == "ready"


def test_a_stopping_job_whose_worker_died_still_stops(services: Services) -> None:
    job_id = _new_job(services)
    _take(services)
    with services.database.write() as session:
        lifecycle.cancel(session, session.get_one(Job, job_id))
    with services.database.write() as session:
        let_pass(session, CFG.lease_s + 1)
        claims.reap(session, CFG)
    assert _job(services, job_id).state == "cancelled"


def test_a_stage_is_done_again_with_all_after_it(services: Services) -> None:
    job_id = _new_job(services)
    for _ in STAGES:
        mine = _take(services)
        with services.database.write() as session:
            claims.complete(session, mine)
    with services.database.write() as session:
        lifecycle.retry(session, session.get_one(Job, job_id), "cluster")
    again = _take(services)
    assert (again.stage, again.params["redo"]) == ("cluster", "cluster")
    with services.database.write() as session:
        claims.complete(session, again)
    assert "redo" not in _take(services).params


def test_what_cannot_be_is_refused_with_the_way_out(services: Services) -> None:
    job_id = _new_job(services)
    with services.database.write() as session:
        job = session.get_one(Job, job_id)
        with pytest.raises(JobStateError, match=r"no stage 'x'.*harvest"):
            lifecycle.retry(session, job, "x")
        with pytest.raises(JobStateError, match="Pause or cancel"):
            lifecycle.retry(session, job, "harvest")
        lifecycle.cancel(session, job)
        with pytest.raises(JobStateError, match="Resume it instead"):
            lifecycle.retry(session, job, "cluster")
        with pytest.raises(JobStateError, match="cannot be paused"):
            lifecycle.pause(session, job)


def test_an_episode_has_one_live_job(services: Services) -> None:
    job_id = _new_job(services)
    with services.database.read() as session:
        same = session.get_one(Job, job_id).episode
    with pytest.raises(IntegrityError), services.database.write() as session:
        lifecycle.create(session, "process", user_id=None, episode=same)
    with services.database.write() as session:
        lifecycle.cancel(session, session.get_one(Job, job_id))
        lifecycle.create(session, "process", user_id=None, episode=same)
    with pytest.raises(IntegrityError), services.database.write() as session:
        lifecycle.resume(session, session.get_one(Job, job_id))


def test_every_turn_leaves_an_event_in_order(services: Services) -> None:
    job_id = _new_job(services)
    mine = _take(services)
    _fail(services, mine)
    with services.database.write() as session:
        lifecycle.cancel(session, session.get_one(Job, job_id))
    with services.database.read() as session:
        events = session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.id)).all()
    assert [e.kind for e in events] == ["created", "stage-started", "stage-failed", "cancelled"]
