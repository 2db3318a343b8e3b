"""A service whose data root lies in an object store: a real S3 server, and a working folder a node."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from support.api import Api, add_show, api_on
from support.databases import close_services, services_on
from support.object_store import BUCKET, ObjectStore
from support.purging import run_purge
from support.tus_server import encode

from screenalyzer import artifacts, audit, storage
from screenalyzer.errors import StoreError
from services.access import trail
from services.access.sessions import Caller
from services.db.models import Episode, Job, Upload, User, Video
from services.privacy import request, retention
from services.uploads import finish, parts, store
from services.uploads.creation import create

if TYPE_CHECKING:
    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

PREFIX = "studio"


@pytest.fixture
def node(
    s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> "Iterator[Callable[..., Services]]":
    """The services of a node, by its name: one database and one store, a working folder each."""
    made: dict[str, Services] = {}

    def on(name: str, **groups: Any) -> "Services":
        if name not in made:
            monkeypatch.setenv("SCREENALYZER_WORK_DIR", str(tmp_path / name))
            root = storage.working_folder(f"s3://{BUCKET}/{PREFIX}")
            made[name] = services_on(root, f"sqlite:///{tmp_path / 'service.db'}", **groups)
        return made[name]

    yield on
    for each in made.values():
        close_services(each)


def _shelve(services: "Services", processed: "EpisodePaths", video: Path) -> str:
    """Put an episode that was processed elsewhere into the service, as a node would; returns its id."""
    root = services.settings.root
    for path in [p for p in processed.root.rglob("*") if p.is_file() and p.suffix not in {".lock", ".tmp"}]:
        artifacts.write_bytes(root / path.relative_to(processed.root), path.read_bytes())
    content = video.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    place = f"videos/{sha256}/{video.name}"
    artifacts.write_bytes(root / place, content)
    show_id = add_show(services, processed.show)
    with services.database.write() as session:
        session.add(Video(sha256=sha256, path=place, size_bytes=len(content)))
        session.flush()
        episode = Episode(
            show_id=show_id, name=processed.episode, title=processed.episode, video_sha256=sha256
        )
        session.add(episode)
        session.flush()
        return episode.id


@pytest.fixture
def shelved(
    node: "Callable[..., Services]", processed: "EpisodePaths", short_season: "list[DemoEpisode]"
) -> str:
    """Id of an episode with results that node a has written."""
    return _shelve(node("a"), processed, short_season[0].video)


@pytest.fixture
def api(node: "Callable[..., Services]", shelved: str) -> Iterator[Api]:
    """The API on node b."""
    with api_on(node("b")) as found:
        yield found


def _ask_to_purge(api: Api, episode_id: str) -> dict[str, Any]:
    """Ask for a purge as the API does; returns what a worker hands to it."""
    caller = Caller(api.admin.id, api.admin.name, "admin", api.admin.session_id)
    with api.services.database.write() as session:
        job = request.purge_episode(session, api.services, session.get_one(Episode, episode_id), caller)
        job.state = "running"
        return {**job.params, "job_id": job.id}


def _read(s3: ObjectStore) -> list[str]:
    """Keys of the objects that were read."""
    return [
        p.split("?")[0].split(f"/{PREFIX}/")[1] for m, p in s3.requests if m == "GET" and "list-type" not in p
    ]


def test_the_api_of_another_node_reads_what_it_shows_and_no_more(
    api: Api, shelved: str, s3: ObjectStore, processed: "EpisodePaths", short_season: "list[DemoEpisode]"
) -> None:
    s3.requests.clear()
    assert api.get(f"/episodes/{shelved}")["facts"]["duration_ms"] > 0
    assert api.get(f"/episodes/{shelved}/totals")["items"]
    listed = api.get(f"/episodes/{shelved}/artifacts")["items"]
    size = short_season[0].video.stat().st_size
    assert [a["size_bytes"] for a in listed if a["kind"] == "video"] == [size]
    crops = api.get(f"/episodes/{shelved}/crops")["items"]
    assert all(c["url"] for c in crops)
    assert not [k for k in _read(s3) if "/chunks/" in k or "/crops/" in k or k.startswith("videos/")]

    picture = api.client.get(crops[0]["url"])
    assert picture.content == (processed.crops / f"{crops[0]['det_id']}.jpg").read_bytes()
    assert api.client.get(crops[0]["thumb_url"]).status_code == 200
    url = next(a["url"] for a in listed if a["kind"] == "video")
    assert api.client.get(url).content == short_season[0].video.read_bytes()

    s3.requests.clear()
    for _ in range(20):
        api.get(f"/episodes/{shelved}")
    assert not _read(s3)


def test_what_is_purged_is_gone_from_the_store_and_from_every_node(
    api: Api, shelved: str, s3: ObjectStore, node: "Callable[..., Services]"
) -> None:
    crop = api.get(f"/episodes/{shelved}/crops")["items"][0]
    assert api.client.get(crop["thumb_url"]).status_code == 200
    params = _ask_to_purge(api, shelved)
    before = len(s3.keys(PREFIX))
    done = run_purge(node("c"), params)
    assert done["scan"]["found"] == 0
    assert done["removed"]["files"] > 20
    assert before > 20
    assert s3.keys(PREFIX) == {"diagnostics/audit.jsonl"}
    assert not s3.client.list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/leases").get("Contents")
    assert api.client.get(crop["thumb_url"]).status_code in {404, 410}
    for name in "abc":
        root = node(name).settings.root
        storage.forget(root)
        left = [p for kind in ("harvest", "outputs", "videos") for p in (root / kind).rglob("*")]
        assert [p for p in left if p.is_file() or p.name == "s01e01"] == []
    path = trail.path(node("b"))
    assert storage.need(path)
    assert audit.read(path)[-1]["action"] == "episode.purged"


def test_a_trace_that_only_the_store_holds_is_found(
    api: Api, shelved: str, s3: ObjectStore, node: "Callable[..., Services]", processed: "EpisodePaths"
) -> None:
    params = _ask_to_purge(api, shelved)
    crop = next(processed.crops.glob("*.jpg")).read_bytes()
    s3.client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/outputs/Other/e/exports/odd.bin", Body=b"x" + crop)
    with pytest.raises(Exception, match=r"odd\.bin"):
        run_purge(node("a"), params)
    assert api
    assert not (node("a").settings.root / "outputs/Other/e/exports/odd.bin").exists()
    s3.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/outputs/Other/e/exports/odd.bin")
    assert run_purge(node("b"), params)["scan"]["found"] == 0


def test_a_store_that_is_away_is_said_and_the_purge_goes_on_afterwards(
    api: Api, shelved: str, s3: ObjectStore, node: "Callable[..., Services]"
) -> None:
    params = _ask_to_purge(api, shelved)
    with s3.away():
        assert api.refused(503, "GET", f"/episodes/{shelved}/totals") == "storage-away"
        with pytest.raises(StoreError, match="object store did not let us"):
            run_purge(node("a"), params)
    assert run_purge(node("b"), params)["scan"]["found"] == 0
    assert s3.keys(PREFIX) == {"diagnostics/audit.jsonl"}


def test_an_upload_is_taken_in_by_another_node(s3: ObjectStore, node: "Callable[..., Services]") -> None:
    here, there = node("a"), node("b")
    content = b"pretend that this is a film. " * 100_000
    with here.database.write() as session:
        user = User(name="ana", name_key="ana", role="analyst")
        session.add(user)
        session.flush()
        header = encode({"filename": "s01e01.mp4", "show": "My Show"})
        upload = create(session, here, Caller(user.id, "ana", "analyst", ""), len(content), header)
        upload.offset = len(content)
    parts.part_path(here.settings.root, upload.id).write_bytes(content)
    finish.complete_unfinished(here, lambda _: None)
    sha256, path = store.claim(there, upload.id, lambda *_: None, lambda: False)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert path.read_bytes() == content
    assert s3.objects(PREFIX) == {f"videos/{sha256}/s01e01.mp4": content}
    again = store.claim(here, upload.id, lambda *_: None, lambda: False)
    assert again[0] == sha256
    with here.database.read() as session:
        assert session.scalar(select(Job.kind)) == "process"
        assert session.get_one(Upload, upload.id).sha256 == sha256


def test_a_sweep_keeps_its_times_to_live_in_the_store(
    shelved: str, s3: ObjectStore, node: "Callable[..., Services]", monkeypatch: pytest.MonkeyPatch
) -> None:
    assert retention.sweep(node("b"))["chunks"]["files"] == 0
    services = node("c", retention={"chunks_days": 0, "crops_days": 0})
    artifacts.write_bytes(services.settings.root / "videos" / ("0" * 64) / "lost.mp4", b"nobody names it")
    monkeypatch.setattr(retention, "_STRAY_S", -60.0)
    found = retention.sweep(services)
    assert found["chunks"]["files"] > 3
    assert found["crops"]["files"] > 3
    left = s3.keys(PREFIX)
    assert not [k for k in left if "/chunks/" in k or "/crops/" in k or "lost.mp4" in k]
    assert [k for k in left if k.startswith("videos/")]
    assert s3.check_markers(PREFIX)
    assert shelved
