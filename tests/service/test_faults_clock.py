"""The clock jumps an hour: nothing waits for it to come round again, nothing that was ended opens."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import time_machine
from sqlalchemy import update
from support.api import Api, add_episode, add_job, add_show, api_on, problem_code
from support.callers import PASSWORD
from support.databases import close_services, services_on
from support.tus_server import encode

from screenalyzer import audit
from screenalyzer.artifacts import EpisodePaths
from services.access import sessions, signing, trail
from services.db.models import Edit, Job, LoginSession, StageRun, User, now
from services.jobs import claims, eta
from services.jobs.claims import Claim
from services.privacy import retention
from services.privacy.retention import ensure_sweep
from services.uploads import parts, store
from services.uploads.creation import create
from services.work.reconcile import reconcile

if TYPE_CHECKING:
    from pathlib import Path

    from support.redis_server import RealRedis

    from services.context import Services

HOUR = 3600.0
JUMPS = pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])


@pytest.fixture
def clock() -> Iterator[Callable[[float], None]]:
    """Sets the wall clock of this process, in seconds from what it shows; the monotonic one goes on."""
    with time_machine.travel(datetime.now(UTC), tick=True) as moved:
        yield moved.shift


@pytest.fixture
def world(database_url: str, real_redis: "RealRedis", tmp_path: "Path") -> "Iterator[Services]":
    """Services with both stores."""
    made = services_on(tmp_path / "data", database_url, real_redis.url)
    yield made
    close_services(made)


@pytest.fixture
def api(world: "Services") -> Iterator[Api]:
    with api_on(world) as running:
        yield running


def _take(services: "Services", worker: str) -> Claim | None:
    """What a worker does with the next message of the first stage."""
    message = services.streams.take("harvest", worker)
    if message is None:
        message = services.streams.take("harvest", worker)  # the first made the group
    if message is None:
        return None
    with services.database.write() as session:
        mine = claims.claim(session, message.run_id, worker, services.settings.queues)
    services.streams.done(message)
    return mine


def _taken(services: "Services") -> tuple[str, Claim]:
    """A job, and the claim on its first stage."""
    job_id = _job(services)
    reconcile(services)
    mine = _take(services, "one")
    assert mine is not None
    return job_id, mine


def _run(services: "Services", job_id: str, stage: str = "harvest") -> StageRun:
    with services.database.read() as session:
        return next(r for r in session.get_one(Job, job_id).runs if r.stage == stage)


def _job(services: "Services") -> str:
    return add_job(services, add_episode(services, add_show(services)))


@JUMPS
def test_a_worker_that_lives_keeps_its_stage(
    world: "Services", clock: Callable[[float], None], jump: float
) -> None:
    job_id, mine = _taken(world)
    clock(jump)
    with world.database.write() as session:  # as it does every second
        assert claims.beat(session, mine, 500, 1000) == "run"
    reconcile(world)
    run = _run(world, job_id)
    assert (run.state, run.attempt, run.worker) == ("running", 1, "one")
    with world.database.write() as session:
        claims.complete(session, mine, length_ms=1000)
    assert _run(world, job_id).busy_s >= 0


@JUMPS
def test_a_worker_that_died_at_the_jump_is_missed_at_once(
    world: "Services", clock: Callable[[float], None], jump: float
) -> None:
    job_id, first = _taken(world)
    clock(jump)
    reconcile(world)
    again = _take(world, "two")
    assert again
    assert again.attempt == first.attempt + 1
    with world.database.write() as session, pytest.raises(claims.Fenced):
        claims.beat(session, first, 1, 1)
    assert _run(world, job_id).busy_s >= 0


@JUMPS
def test_what_is_due_stays_due(world: "Services", clock: Callable[[float], None], jump: float) -> None:
    job_id, mine = _taken(world)
    with world.database.write() as session:
        claims.fail(session, mine, "it broke", "", world.settings.queues, final=False)
    clock(jump)
    reconcile(world)
    if _run(world, job_id).state != "queued":  # its second attempt was a second away at most
        clock(2)
        reconcile(world)
    assert _take(world, "two") is not None


@JUMPS
def test_a_message_lost_in_the_jump_is_sent_again(
    world: "Services", clock: Callable[[float], None], jump: float
) -> None:
    _job(world)
    reconcile(world)
    world.redis.flushall()
    clock(jump)
    reconcile(world)
    clock(3)  # what was just sent is not looked for
    reconcile(world)
    assert _take(world, "one") is not None


@JUMPS
def test_an_eta_is_never_below_nothing(
    world: "Services", clock: Callable[[float], None], jump: float
) -> None:
    job_id, _ = _taken(world)
    with world.database.write() as session:
        session.execute(update(StageRun).where(StageRun.job_id == job_id).values(total_ms=60_000))
    clock(jump)
    with world.database.read() as session:
        left = eta.seconds_left(session.get_one(Job, job_id), {})
    assert left is not None
    assert 0 <= left <= 600


@JUMPS
def test_who_is_logged_in_goes_on(api: Api, clock: Callable[[float], None], jump: float) -> None:
    clock(jump)
    answer = api.ask("GET", "/users/me")
    if jump > 0:
        assert problem_code(answer, 401) == "not-authenticated"
        given = sessions.refresh(api.services, api.admin.refresh_token)
        assert given is not None
        fresh = {"Authorization": f"Bearer {given.access_token}"}
        answer = api.client.get("/v1/users/me", headers=fresh)
    assert answer.status_code == 200
    form = {"grant_type": "password", "username": api.admin.name, "password": PASSWORD}
    login = api.client.post("/v1/auth/token", data=form)
    assert login.status_code == 200
    fresh = {"Authorization": f"Bearer {login.json()['access_token']}"}
    assert api.client.get("/v1/users/me", headers=fresh).status_code == 200
    assert audit.verify(trail.path(api.services)).ok


@JUMPS
def test_what_was_ended_stays_ended(api: Api, clock: Callable[[float], None], jump: float) -> None:
    path = f"/v1/media/episodes/{'0' * 32}/thumbs/{'0' * 32}.webp"
    caller = sessions.Caller(api.analyst.id, api.analyst.name, "analyst", api.analyst.session_id)
    url = signing.signed_url(api.services, caller, path)
    assert api.client.get(url).status_code == 404
    with api.services.database.write() as session:
        session.get_one(LoginSession, api.analyst.session_id).revoked_at = now()
    clock(jump)
    api.refused(401, "GET", "/shows", api.analyst)
    assert sessions.refresh(api.services, api.analyst.refresh_token) is None
    assert problem_code(api.client.get(url), 401) in {"url-revoked", "url-expired"}


@JUMPS
def test_a_throttle_neither_opens_for_good_nor_shuts_for_long(
    api: Api, clock: Callable[[float], None], jump: float
) -> None:
    def fail() -> int:
        form = {"grant_type": "password", "username": "ada", "password": "wrong"}
        return api.client.post("/v1/auth/token", data=form).status_code

    while fail() != 429:
        pass
    clock(jump)
    assert fail() == 401  # one try
    assert fail() == 429  # and the wait goes on from where it was


@JUMPS
def test_a_sweep_and_a_publication_come_all_the_same(
    world: "Services", clock: Callable[[float], None], jump: float
) -> None:
    episode_id = add_episode(world, add_show(world))
    paths = world.settings.root / "outputs" / "My-Show" / "s01e01" / "stages"
    paths.mkdir(parents=True)
    (paths / "cluster.json").write_text('{"fingerprint": "x", "outputs": {}}')
    with world.database.write() as session:
        session.add(
            Edit(
                episode_id=episode_id, number=1, kind="edit", operation={"op": "name"}, changes=[],
                touches=[], label="", actor="ben",
            )
        )  # fmt: skip
    clock(jump)
    reconcile(world)
    with world.database.read() as session:
        kinds = {j.kind for j in session.query(Job)}
    assert kinds == {"sweep", "publish"}
    ensure_sweep(world)
    with world.database.read() as session:
        assert session.query(Job).filter_by(kind="sweep").count() == 1


def test_an_hour_is_no_reason_to_remove_anything(
    database_url: str, real_redis: "RealRedis", tmp_path: "Path", clock: Callable[[float], None]
) -> None:
    """What is kept for a day is there after an hour, and gone after another day."""
    day = {"videos_days": 1, "exports_days": 1}
    with ExitStack() as held:
        world = services_on(
            tmp_path / "data", database_url, real_redis.url, retention=day, uploads={"expire_hours": 24}
        )
        held.callback(close_services, world)
        things = [_video(world), _export(world), _open_upload(world)]
        for jump, left in ((HOUR, things), (24 * HOUR, [])):
            clock(jump)
            swept = retention.sweep(world)
            assert store.expire(world) == 0  # the sweep has looked after uploads as well
            assert [t for t in things if t.exists()] == left
            gone = 0 if left else 1
            assert (swept["videos"]["files"], swept["exports"]["files"]) == (gone, gone)
            assert swept["uploads"] == {"uploads": gone}


def _video(services: "Services") -> "Path":
    add_episode(services, add_show(services), content=b"a video")
    (found,) = (services.settings.root / "videos").rglob("*.mp4")
    return found


def _export(services: "Services") -> "Path":
    path = EpisodePaths(services.settings.root, "My-Show", "s01e01").exports / "screentime.csv"
    path.parent.mkdir(parents=True)
    path.write_text("person,seconds")
    return path


def _open_upload(services: "Services") -> "Path":
    header = encode({"filename": "a.mp4", "show": "My-Show"})
    with services.database.write() as session:
        user = User(name="ana", name_key="ana", role="analyst")
        session.add(user)
        session.flush()
        who = sessions.Caller(user.id, user.name, "analyst", "")
        upload_id = create(session, services, who, 1000, header).id
    path = parts.part_path(services.settings.root, upload_id)
    path.write_bytes(b"x")
    return path
