"""Purges of episodes and shows: nothing is left, nothing else is touched, whatever moment a kill takes."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import MetaData, event, select, text
from sqlalchemy.orm import Session
from support.api import add_episode, add_show, end_job
from support.databases import close_services, services_on
from support.purging import EPISODE, FILE, SHOW, TITLE, add_rows, furnish, run_purge, start

from screenalyzer import audit, facebank
from screenalyzer.errors import EpisodeBusyError, ScreenalyzerError
from services.access import trail
from services.db.models import (
    Episode,
    IdempotencyKey,
    Job,
    Show,
    Upload,
    Video,
    now,
)
from services.jobs import lifecycle
from services.jobs.streams import DEAD
from services.uploads import store

if TYPE_CHECKING:
    from support.redis_server import RealRedis

    from services.context import Services


@pytest.fixture
def world(services: "Services") -> dict[str, str]:
    """A show with an episode to purge and one to keep, and another show."""
    mine, other = add_show(services, SHOW), add_show(services, "Other-Show")
    gone = furnish(services, mine, SHOW, EPISODE, 1)
    add_rows(services, mine, gone, TITLE, FILE)
    kept = furnish(services, mine, SHOW, "kept", 2)
    add_rows(services, mine, kept, "Kept one", "kept.mp4")
    far = furnish(services, other, "Other-Show", "far", 3)
    return {"show": mine, "other": other, "gone": gone, "kept": kept, "far": far}


def _files(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and "diagnostics" not in p.relative_to(root).parts[:1] and "secrets" not in p.parts
    }


def _grep(services: "Services", *needles: str) -> list[str]:
    """Where any of these stand: bytes and names of files, SQLite's own files, and every row."""
    found = []
    root = services.settings.root
    places = [*root.rglob("*"), *root.parent.glob("service.db*")]
    for path in places:
        data = str(path).encode() + (path.read_bytes() if path.is_file() else b"")
        found += [f"{path}: {n}" for n in needles if n.encode() in data]
    tables = MetaData()
    tables.reflect(services.database.engine)
    with services.database.read() as session:
        for name in tables.tables:
            for row in session.execute(text(f'SELECT * FROM "{name}"')):
                found += [f"{name}: {n}" for n in needles if n in repr(tuple(row))]
    return found


def _lines(services: "Services") -> list[dict[str, Any]]:
    return [line for line in audit.read(trail.path(services)) if line["action"].endswith(".purged")]


def test_an_episode_goes_and_the_rest_stays_byte_for_byte(
    services: "Services", world: dict[str, str]
) -> None:
    root = services.settings.root
    before = _files(root)
    digest = hashlib.sha256(f"video {EPISODE} 1".encode()).hexdigest()
    anchor = audit.last_hash(root / "outputs" / SHOW / EPISODE / "diagnostics/audit.jsonl")
    params = start(services, "episode", world["gone"])
    result = run_purge(services, params)
    assert _grep(services, TITLE, FILE, EPISODE, digest, "crop 1") == []
    gone_from_bank = {f"facebank/{SHOW}/people.parquet", f"facebank/{SHOW}/embeddings.parquet"}
    after = _files(root)
    rest = {
        k: v for k, v in before.items() if EPISODE not in k and digest not in k and k not in gone_from_bank
    }
    rest = {k: v for k, v in rest.items() if v != TITLE.encode()}
    assert {k: v for k, v in after.items() if k not in gone_from_bank} == rest
    bank = facebank.load(root / "facebank" / SHOW)
    assert bank is not None
    assert {n: [f.episode for f in faces] for n, faces in bank.people.items()} == {
        "Only kept": ["kept"], "Person Both": ["kept"],
    }  # fmt: skip
    assert result["removed"]["episodes"] == 1
    assert result["removed"]["faces"] == 2
    assert result["scan"]["found"] == 0
    assert result["scan"]["files"] > 5
    assert result["scan"]["rows"] > 5
    (line,) = _lines(services)
    assert line["actor"] == "ada"
    assert line["details"]["episode_id"] == world["gone"]
    assert line["details"]["audit_logs"] == {world["gone"]: anchor}
    assert SHOW not in json.dumps(line)
    assert list((root / "diagnostics/purges").iterdir()) == []
    with services.database.read() as session:
        job = session.get_one(Job, params["job_id"])
        assert (job.state, job.episode_id, job.show_id) == ("running", None, world["show"])
        assert session.get(Episode, world["kept"]) is not None
        assert len(session.scalars(select(IdempotencyKey)).all()) == 3
        assert len(session.scalars(select(Upload)).all()) == 1


def test_a_show_goes_with_all_its_episodes(services: "Services", world: dict[str, str]) -> None:
    root = services.settings.root
    other = {k: v for k, v in _files(root).items() if "Other-Show" in k}
    result = run_purge(services, start(services, "show", world["show"]))
    assert (
        _grep(services, TITLE, FILE, EPISODE, SHOW, "Kept one", "kept.mp4", "Only kept", "crop 1", "crop 2")
        == []
    )
    assert {k: v for k, v in _files(root).items() if "videos" not in k} == other
    assert (result["removed"]["episodes"], result["removed"]["people"]) == (2, 0)
    assert len(_lines(services)) == 1
    with services.database.read() as session:
        assert session.scalars(select(Show.id)).all() == [world["other"]]
        assert session.scalars(select(Episode.id)).all() == [world["far"]]
        assert len(session.scalars(select(Video)).all()) == 1


def test_a_video_that_another_episode_shows_stays(services: "Services", world: dict[str, str]) -> None:
    content = f"video {EPISODE} 1".encode()
    twin = add_episode(services, world["other"], "twin", content)
    run_purge(services, start(services, "episode", world["gone"]))
    with services.database.read() as session:
        digest = session.get_one(Episode, twin).video_sha256
        video = session.get_one(Video, digest)
    assert (services.settings.root / video.path).read_bytes() == content


def test_a_live_job_is_cancelled_and_waited_for(services: "Services", world: dict[str, str]) -> None:
    with services.database.write() as session:
        busy = lifecycle.create(
            session, "process", user_id=None, episode=session.get_one(Episode, world["gone"])
        )
        busy.state, busy.runs[0].state = "running", "running"
        busy_id = busy.id
    params = start(services, "episode", world["gone"])
    before = _files(services.settings.root)
    with pytest.raises(EpisodeBusyError, match=busy_id):
        run_purge(services, params)
    assert _files(services.settings.root) == before
    with services.database.read() as session:
        assert session.get_one(Job, busy_id).state == "cancelling"
    end_job(services, busy_id, "cancelled")
    assert run_purge(services, params)["removed"]["episodes"] == 1


def test_a_waiting_job_is_cancelled_at_once_and_no_other_begins(
    services: "Services", world: dict[str, str]
) -> None:
    with services.database.write() as session:
        waiting = lifecycle.create(
            session, "process", user_id=None, episode=session.get_one(Episode, world["gone"])
        ).id
    params = start(services, "episode", world["gone"])
    with services.database.read() as session:
        assert session.get_one(Job, waiting).state == "cancelled"
        assert session.get_one(Job, params["job_id"]).episode_id == world["gone"]


def test_what_is_found_is_said_and_the_job_goes_on_when_it_is_gone(
    services: "Services", world: dict[str, str]
) -> None:
    root = services.settings.root
    video = next((root / "videos").glob(f"*/{EPISODE}.mp4"))
    stray = root / "logs" / "copy.bin"
    stray.parent.mkdir()
    shutil.copy(video, stray)
    params = start(services, "episode", world["gone"])
    with pytest.raises(ScreenalyzerError, match=r"logs/copy\.bin") as caught:
        run_purge(services, params)
    assert TITLE not in str(caught.value)
    assert _lines(services) == []
    stray.unlink()
    assert run_purge(services, params)["removed"]["episodes"] == 1
    assert len(_lines(services)) == 1


def test_run_again_after_its_end_says_the_same(services: "Services", world: dict[str, str]) -> None:
    params = start(services, "episode", world["gone"])
    first = run_purge(services, params)
    assert run_purge(services, params) == first
    assert len(_lines(services)) == 1


def test_an_upload_of_the_same_content_that_comes_meanwhile_keeps_its_file(
    services: "Services", world: dict[str, str]
) -> None:
    """It moves its file to its place just after the old video's row went, and has not written its own yet."""
    root, content = services.settings.root, f"video {EPISODE} 1".encode()
    digest = hashlib.sha256(content).hexdigest()
    params = start(services, "episode", world["gone"])
    with services.database.write() as session:
        upload = Upload(
            length=len(content), offset=len(content), file_name="again.mp4", show_id=world["other"],
            episode_name="again", metadata_header="", expires_at=now(), state="received",
        )  # fmt: skip
        session.add(upload)
        session.flush()
        upload_id = upload.id
    part, target = root / "uploads" / f"{upload_id}.part", root / "videos" / digest / "again.mp4"
    part.write_bytes(content)

    def comes(_: Session) -> None:
        with services.database.read() as session:
            gone = session.get(Video, digest) is None
        if gone and part.exists():
            with services.database.write() as session:
                session.get_one(Upload, upload_id).sha256 = digest
                part.replace(target)

    event.listen(Session, "after_commit", comes)
    try:
        found = run_purge(services, params)
    finally:
        event.remove(Session, "after_commit", comes)
    assert found["scan"]["found"] == 0
    assert not part.exists()
    assert target.read_bytes() == content
    sha256, path = store.claim(services, upload_id, lambda *_: None, lambda: False)
    assert (sha256, path) == (digest, target)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_append_only_file_of_redis_forgets_too(
    database_url: str, tmp_path: Path, real_redis: "RealRedis"
) -> None:
    services = services_on(tmp_path / "data", database_url, real_redis.url)
    show = add_show(services, SHOW)
    episode_id = furnish(services, show, SHOW, EPISODE, 1)
    add_rows(services, show, episode_id, TITLE, FILE)
    redis: Any = services.redis
    redis.xadd(DEAD, {"job": "another", "error": f"cannot read {FILE}"})
    redis.xadd(DEAD, {"job": "another", "error": "cannot read kept.mp4"})
    folder = Path(redis.config_get("dir")["dir"])
    params = start(services, "episode", episode_id)
    assert FILE.encode() in _appended(folder)
    run_purge(services, params)
    deadline = time.monotonic() + 20
    while FILE.encode() in (held := _appended(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    close_services(services)
    assert FILE.encode() not in held
    assert b"kept.mp4" in held


def _appended(folder: Path) -> bytes:
    time.sleep(0.05)
    files = [p for p in folder.rglob("*") if p.is_file() and "appendonly" in p.name]
    return b"".join(p.read_bytes() for p in files if p.exists())


_KILLED = """
import json, os, signal, sys
from pathlib import Path
root, url, params, moments = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
from sqlalchemy import event
from screenalyzer.settings import Settings
from services.context import Services
from services.settings import ServiceSettings
from services.privacy import purge

def run(steps, commits):
    left = {"step": steps, "commit": commits}
    def step(kind):
        left[kind] -= 1
        if left[kind] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    changes = {"os.remove", "os.rmdir", "os.rename", "os.mkdir"}
    sys.addaudithook(lambda what, args: step("step") if what in changes and root in str(args[0]) else None)
    settings = ServiceSettings(data_root=Path(root), database_url=url, redis_url="redis://127.0.0.1:1/0")
    services = Services(settings, Settings())
    event.listen(services.database.engine, "commit", lambda _: step("commit"))
    purge.run(services, params, lambda *_: None, lambda: False)

for moment in moments:
    child = os.fork()
    if child == 0:
        run(*moment)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

# How many changes of files and how many commits an attempt lives to see.
MOMENTS = {
    "sqlite": [
        *((n, 99) for n in (0, 1, 2, 4, 6, 8, 10, 12)), *((99, n) for n in range(6)),
        *((n, 99) for n in (14, 20, 28, 36)), *((99, n) for n in (6, 7, 9, 12)),
    ],
    "postgresql": [(0, 99), (99, 1), (99, 3), (8, 99), (99, 6), (20, 99)],
}  # fmt: skip


@pytest.mark.parametrize("target", ["episode", "show"])
def test_killed_at_any_moment_and_run_again_it_comes_to_the_same_end(
    services: "Services", world: dict[str, str], target: str, database_url: str
) -> None:
    root = services.settings.root
    moments = MOMENTS[services.database.engine.dialect.name]
    params = start(services, target, world["gone" if target == "episode" else "show"])
    other = {k: v for k, v in _files(root).items() if "Other-Show" in k}
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(root), database_url, json.dumps(params), json.dumps(moments)],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    codes = [int(code) for code in ended.stdout.split()]
    assert set(codes) <= {0, -signal.SIGKILL}, ended.stderr
    assert codes.count(-signal.SIGKILL) >= 0.5 * len(moments)
    result = run_purge(services, params)
    assert _grep(services, TITLE, FILE, EPISODE, "crop 1") == []
    assert {k: v for k, v in _files(root).items() if "Other-Show" in k} == other
    assert result["removed"]["episodes"] == (1 if target == "episode" else 2)
    assert result["scan"]["found"] == 0
    assert len(_lines(services)) == 1
    assert list((root / "diagnostics/purges").iterdir()) == []
