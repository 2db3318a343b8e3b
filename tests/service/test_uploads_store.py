"""From received bytes to a video, to a refusal, or to nothing: each once, and safe against kills."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select
from support.api import add_episode, add_job, add_show
from support.tus_server import encode

from screenalyzer.errors import InputError, NotAVideoError
from services.access.sessions import Caller
from services.db.models import Episode, Job, Upload, User, Video, now
from services.uploads import finish, parts, store
from services.uploads.check import CheckFailedError
from services.uploads.creation import create
from services.work.control import Stopped

if TYPE_CHECKING:
    from services.context import Services

CONTENT = b"pretend that this is a film. " * 100_000


def fine(_: Path) -> None:
    """A check that every file passes."""


def no_video(path: Path) -> None:
    raise NotAVideoError(path, "this is not a video file", "Give a video")


def caller(services: "Services", name: str = "ana") -> Caller:
    with services.database.write() as session:
        user = session.scalar(select(User).where(User.name == name))
        if user is None:
            user = User(name=name, name_key=name, role="analyst")
            session.add(user)
            session.flush()
        return Caller(user.id, name, "analyst", "")


def whole(services: "Services", content: bytes = CONTENT, **metadata: str) -> str:
    """An upload whose last byte has come, and nobody has said more yet."""
    header = encode({"filename": "s01e01.mp4", "show": "My Show", **metadata})
    who = caller(services)
    with services.database.write() as session:
        upload = create(session, services, who, len(content), header)
        upload.offset = len(content)
    parts.part_path(services.settings.root, upload.id).write_bytes(content)
    return upload.id


def received(services: "Services", content: bytes = CONTENT, **metadata: str) -> str:
    """An upload that became an episode with a job."""
    upload_id = whole(services, content, **metadata)
    finish.complete_unfinished(services, fine)
    assert look(services, upload_id).state == "received"
    return upload_id


def look(services: "Services", upload_id: str) -> Upload:
    with services.database.read() as session:
        return session.get_one(Upload, upload_id)


def count(services: "Services", of: type) -> int:
    with services.database.read() as session:
        return session.scalar(select(func.count()).select_from(of)) or 0


def claim(services: "Services", upload_id: str) -> tuple[str, Path]:
    return store.claim(services, upload_id, lambda *_: None, lambda: False)


def videos(services: "Services") -> list[Path]:
    return [p for p in (services.settings.root / "videos").rglob("*") if p.is_file()]


def test_what_was_cut_off_after_its_last_byte_is_completed(services: "Services") -> None:
    upload_id = whole(services)
    finish.complete_unfinished(services, fine)
    finish.complete_unfinished(services, no_video)  # it is done, and not looked at again
    found = look(services, upload_id)
    assert (found.state, count(services, Job), count(services, Episode)) == ("received", 1, 1)


def test_many_completions_at_once_make_one_job(services: "Services") -> None:
    upload_ids = [whole(services, episode=f"e{n}") for n in range(3)]

    def slowly(_: Path) -> None:
        time.sleep(0.05)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: finish.complete_unfinished(services, slowly), range(8)))
    assert {look(services, u).state for u in upload_ids} == {"received"}
    assert count(services, Job) == count(services, Episode) == 3


def test_of_two_that_become_the_same_episode_at_once_one_is_refused(services: "Services") -> None:
    upload_ids = [whole(services, CONTENT[n:], episode="e") for n in range(2)]
    meet = threading.Barrier(2)

    def together(_: Path) -> None:
        meet.wait(10)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda u: finish.complete_alone(services, u, together), upload_ids))
    found = [look(services, u) for u in upload_ids]
    assert sorted(u.state for u in found) == ["received", "refused"]
    refused = next(u for u in found if u.state == "refused")
    assert "Wait for it or cancel it" in (refused.problem or "")
    assert not parts.part_path(services.settings.root, refused.id).exists()
    assert count(services, Job) == count(services, Episode) == 1


def test_a_live_job_refuses_the_file(services: "Services") -> None:
    upload_id = whole(services, show="Old", episode="e1")
    with services.database.read() as session:
        show_id = session.get_one(Upload, upload_id).show_id
    add_job(services, add_episode(services, show_id, "e1"))
    with parts.held(services.settings.root, upload_id):
        refusal = finish.complete(services, upload_id, fine)
    assert refusal
    assert (refusal.status, refusal.code) == (409, "busy")
    assert look(services, upload_id).state == "refused"


def test_an_episode_that_got_another_content_meanwhile_refuses_the_file(services: "Services") -> None:
    upload_id = whole(services, episode="e1")
    show_id = look(services, upload_id).show_id
    add_episode(services, show_id, "e1", content=b"another")
    finish.complete_unfinished(services, fine)
    assert "exists with another content" in (look(services, upload_id).problem or "")


def test_a_check_that_does_not_run_holds_up_no_other(services: "Services") -> None:
    first, second = whole(services, episode="e1"), whole(services, episode="e2")

    def broken_for_one(path: Path) -> None:
        if path.stem == first:
            raise CheckFailedError("no memory to start it")

    finish.complete_unfinished(services, broken_for_one)
    assert (look(services, first).state, look(services, second).state) == ("receiving", "received")
    finish.complete_unfinished(services, fine)
    assert look(services, first).state == "received"


def test_the_bytes_become_a_video(services: "Services") -> None:
    upload_id, told = received(services, filename="Folge 1: Größe.MKV"), list[tuple[int, int]]()
    sha256, path = store.claim(services, upload_id, lambda *t: told.append(t), lambda: False)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert path == services.settings.root / "videos" / sha256 / "Folge-1-Größe.MKV"
    assert path.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [t[0] for t in told] == sorted(t[0] for t in told)
    with services.database.read() as session:
        video = session.get_one(Video, sha256)
    assert (video.path, video.size_bytes) == (f"videos/{sha256}/Folge-1-Größe.MKV", len(CONTENT))
    assert not list((services.settings.root / "uploads").iterdir())
    assert claim(services, upload_id) == (sha256, path)


def test_the_same_file_twice_is_one_video(services: "Services") -> None:
    first = claim(services, received(services, episode="e1", filename="a.mp4"))
    second = claim(services, received(services, episode="e2", filename="b.mp4"))
    assert first == second
    assert videos(services) == [first[1]]
    assert count(services, Video) == 1
    other = claim(services, received(services, CONTENT[1:], episode="e3", filename="a.mp4"))
    assert other != first
    assert len(videos(services)) == 2


def test_the_same_file_under_two_names_at_once_is_one_video(services: "Services") -> None:
    upload_ids = [received(services, episode=f"e{n}", filename=f"{n}.mp4") for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda u: claim(services, u), upload_ids))
    assert len(found) == 1
    assert {claim(services, u) for u in upload_ids} == found
    assert videos(services) == [next(iter(found))[1]]
    assert count(services, Video) == 1


def test_one_upload_that_two_attempts_take_in_at_once(services: "Services") -> None:
    upload_id = received(services)
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: claim(services, upload_id), range(4)))
    assert len(found) == 1
    assert next(iter(found))[1].read_bytes() == CONTENT


def test_a_video_whose_file_was_kept_no_longer_is_put_back(services: "Services") -> None:
    _, path = claim(services, received(services, episode="e1", filename="a.mp4"))
    path.unlink()
    _, other = claim(services, received(services, episode="e2", filename="b.mp4"))
    assert other.read_bytes() == CONTENT
    assert other.name == "b.mp4"
    assert count(services, Video) == 1


def test_a_long_hash_can_be_stopped(services: "Services") -> None:
    upload_id = received(services)
    asked = iter([False, False, True])
    with pytest.raises(Stopped):
        store.claim(services, upload_id, lambda *_: None, lambda: next(asked))
    assert look(services, upload_id).sha256 is None
    assert claim(services, upload_id)[1].read_bytes() == CONTENT


def test_bytes_that_are_gone_are_said_to_be(services: "Services") -> None:
    upload_id = received(services)
    parts.remove(services.settings.root, upload_id)
    with pytest.raises(InputError, match="no longer on the disk"):
        claim(services, upload_id)
    with pytest.raises(InputError, match="no upload"):
        claim(services, "0" * 32)


_CLAIM = """
import os, signal, sys
from pathlib import Path
from support.databases import services_on
from services.uploads import store

root, url, upload_id, when = Path(sys.argv[1]), *sys.argv[2:5]
services = services_on(root, url)
begin, begun = services.database.write, 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def write():
    global begun
    begun += 1
    if when == f"before transaction {begun}":
        die()
    return begin()

services.database.write = write
if when == "after the move":
    store.fsync_folder = lambda _: die()
if when == "after all":
    store.parts.remove = lambda *_: die()

def progress(done, total):
    if when == "in the hash" and done > total / 2:
        die()

store.claim(services, upload_id, progress, lambda: False)
"""


@pytest.mark.parametrize(
    "when", ["in the hash", "before transaction 1", "after the move", "before transaction 2", "after all"]
)
def test_a_claim_that_is_killed_is_ended_by_the_next(
    services: "Services", database_url: str, when: str
) -> None:
    upload_id = received(services)
    words = [str(services.settings.root), database_url, upload_id, when]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", _CLAIM, *words], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    sha256, path = claim(services, upload_id)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert path.read_bytes() == CONTENT
    assert videos(services) == [path]
    assert count(services, Video) == 1
    assert not parts.part_path(services.settings.root, upload_id).exists()


@pytest.mark.parametrize("sought", ["received", "hashed", "moved"])
def test_what_is_discarded_leaves_no_byte(services: "Services", sought: str) -> None:
    upload_id = received(services)
    root, sha256 = services.settings.root, hashlib.sha256(CONTENT).hexdigest()
    if sought != "received":
        with services.database.write() as session:
            session.get_one(Upload, upload_id).sha256 = sha256
    if sought == "moved":
        (root / "videos" / sha256).mkdir(parents=True)
        parts.part_path(root, upload_id).rename(root / "videos" / sha256 / "s01e01.mp4")
    store.discard(services, upload_id)
    store.discard(services, upload_id)
    assert not [p for p in root.rglob("*.*") if p.is_file() and p.read_bytes() == CONTENT]


def test_a_video_that_others_use_is_not_discarded(services: "Services") -> None:
    _, path = claim(services, received(services, episode="e1"))
    upload_id = received(services, episode="e2")
    assert claim(services, upload_id)[1] == path
    store.discard(services, upload_id)
    assert path.read_bytes() == CONTENT


def age(services: "Services", upload_id: str) -> None:
    with services.database.write() as session:
        session.get_one(Upload, upload_id).expires_at = now() - timedelta(hours=1)


def test_what_is_old_and_unfinished_goes_and_all_else_stays(services: "Services") -> None:
    root, who = services.settings.root, caller(services)
    header = encode({"filename": "a.mp4", "show": "My Show"})
    with services.database.write() as session:
        half, fresh, held = (create(session, services, who, 1000, header).id for _ in range(3))
    done, last = received(services, episode="e1"), whole(services, episode="e2")
    refused = whole(services, episode="e3")
    finish.complete_alone(services, refused, no_video)
    for upload_id in (half, held, done, last, refused):
        age(services, upload_id)
    for upload_id in (half, fresh, held):
        parts.part_path(root, upload_id).write_bytes(b"x")
    with parts.held(root, held):  # bytes come just now
        assert store.expire(services) == 2
    with services.database.read() as session:
        assert set(session.scalars(select(Upload.id))) == {fresh, held, done, last}
    left = {p.stem for p in (root / "uploads").glob("*.part")}
    assert left == {fresh, held, done, last}
    assert store.expire(services) == 1
    assert count(services, Upload) == 3


def test_files_of_no_upload_go_once_they_are_old(services: "Services") -> None:
    folder = parts.folder(services.settings.root)
    stray, young = folder / f"{'a' * 32}.part", folder / f"{'b' * 32}.part"
    locks, foreign = folder / f"{'a' * 32}.lock", folder / "README"
    for path in (stray, young, locks, foreign):
        path.write_bytes(b"x")
    for path in (stray, locks, foreign):
        os.utime(path, (time.time() - 7200,) * 2)
    assert store.expire(services) == 0
    assert sorted(p.name for p in folder.iterdir()) == sorted([young.name, foreign.name])


def test_who_holds_an_upload_holds_it_alone(services: "Services") -> None:
    root, inside, most = services.settings.root, 0, 0

    def enter(n: int) -> Callable[[], None] | None:
        nonlocal inside, most
        try:
            with parts.held(root, "a" * 32):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)
                inside -= 1
                if n % 3 == 0:
                    parts.remove(root, "a" * 32)  # the lock's file goes too, while others stand at the door
        except parts.UploadHeldError:
            return None
        return None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(400)))
    assert most == 1


def test_two_creations_of_one_new_show_at_once(services: "Services") -> None:
    who = [caller(services, name) for name in ("ana", "ben", "cy", "dan")]
    header = encode({"filename": "a.mp4", "show": "A New Show"})

    def go(one: Caller) -> str:
        with services.database.write() as session:
            return create(session, services, one, 1000, header).show_id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(go, who))) == 1


def test_a_show_is_found_by_its_name_in_paths(services: "Services") -> None:
    show_id = add_show(services, "My-Show")
    assert look(services, whole(services, show="My Show")).show_id == show_id
