"""Which run goes next: capacity is kept, and shows get their shares."""

import threading
from collections import Counter

import pytest
from sqlalchemy import func, select
from support.job_worlds import process, show

from services.context import Services
from services.db.models import Job, Show, StageRun
from services.jobs import claims
from services.jobs.dispatch import demand, dispatch
from services.settings import QueueSettings


def _fill(services: Services, counts: dict[str, tuple[int, int]]) -> None:
    """Shows by name: (weight, episodes); the first named show's jobs are all older than the second's."""
    with services.database.write() as session:
        for name, (weight, episodes) in counts.items():
            made = show(session, name, weight)
            for n in range(episodes):
                process(session, made, f"e{n:03d}")


def _serve(services: Services, cfg: QueueSettings, turns: int) -> list[str]:
    """The shows whose harvests are run, in their order."""
    order = []
    for _ in range(turns):
        with services.database.write() as session:
            sent = [run_id for queue, run_id in dispatch(session, cfg) if queue == "harvest"]
        for run_id in sent:
            with services.database.write() as session:
                mine = claims.claim(session, run_id, "w", cfg)
                assert mine is not None
                claims.complete(session, mine)
            order.append(mine.show)
    return order


def test_a_queue_never_holds_more_than_its_capacity(services: Services) -> None:
    _fill(services, {"a": (1, 5), "b": (1, 5)})
    cfg = QueueSettings(harvest=3)
    with services.database.write() as session:
        assert len(dispatch(session, cfg)) == 3
    with services.database.write() as session:
        assert dispatch(session, cfg) == []


def test_many_dispatchers_at_once_keep_the_capacity(services: Services) -> None:
    _fill(services, {"a": (1, 10), "b": (1, 10)})
    cfg = QueueSettings(harvest=3)

    def go() -> None:
        with services.database.write() as session:
            dispatch(session, cfg)

    threads = [threading.Thread(target=go) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with services.database.read() as session:
        assert session.scalar(select(func.count()).where(StageRun.state == "queued")) == 3


def test_a_small_show_is_not_behind_a_large_one(services: Services) -> None:
    _fill(services, {"large": (1, 100), "small": (1, 2)})
    order = _serve(services, QueueSettings(harvest=1), 8)
    assert [i for i, name in enumerate(order) if name == "small"][-1] <= 4


def test_newcomers_do_not_keep_the_old_ones_waiting(services: Services) -> None:
    _fill(services, {"old": (1, 60)})
    cfg = QueueSettings(harvest=1)
    _serve(services, cfg, 20)
    _fill(services, {"new": (1, 40)})
    order = _serve(services, cfg, 30)
    longest = max(len(run) for run in "".join(name[0] for name in order).split("o"))
    assert longest <= 8
    assert abs(Counter(order)["old"] - Counter(order)["new"]) <= 9


def test_weights_are_shares(services: Services) -> None:
    _fill(services, {"light": (1, 60), "heavy": (3, 60)})
    order = Counter(_serve(services, QueueSettings(harvest=1), 60))
    assert order["heavy"] / order["light"] == pytest.approx(3, rel=0.2)


def test_within_a_show_the_oldest_job_is_first(services: Services) -> None:
    _fill(services, {"a": (1, 5)})
    with services.database.write() as session:
        ((_, run_id),) = dispatch(session, QueueSettings(harvest=1))
        job = session.get_one(StageRun, run_id).job
        oldest = session.scalars(select(Job).order_by(Job.created_at, Job.id)).first()
        assert job is oldest
        assert session.scalar(select(func.count()).select_from(Show)) == 1


def test_workers_are_wanted_for_what_has_a_place(services: Services) -> None:
    _fill(services, {"a": (1, 5)})
    cfg = QueueSettings(harvest=3, workers=2, max_workers=6)
    with services.database.read() as session:
        assert demand(session, cfg) == 3
    with services.database.write() as session:
        first = dispatch(session, cfg)[0][1]
    with services.database.write() as session:
        mine = claims.claim(session, first, "w", cfg)
        assert mine is not None
        claims.complete(session, mine)
        assert demand(session, cfg) == 4  # and one inference
    assert [cfg.workers_for(n) for n in (0, 2, 4, 9)] == [2, 2, 4, 6]
    assert QueueSettings(workers=3).workers_for(9) == 3
