"""The API over HTTP with two users, and an episode in it: what tests of the routes need."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from sqlalchemy.orm import Session
from support.callers import Person, admin, analyst
from support.http_server import serving

from pipelines.episode import embedder_of
from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.facebank import Face, Facebank, person_id
from screenalyzer.types import EmbedderId
from services.db.models import Episode, Job, Show, Video, now
from services.jobs import lifecycle

if TYPE_CHECKING:
    from services.context import Services


@dataclass(frozen=True)
class Api:
    """A running API.

    Attributes:
        services: what it shares.
        client: speaks HTTP to it.
        admin: logged in.
        analyst: logged in.
    """

    services: "Services"
    client: httpx.Client
    admin: Person
    analyst: Person

    def ask(self, method: str, path: str, who: Person | None = None, **more: Any) -> httpx.Response:
        """Ask as somebody, the Admin where left out; `path` is from /v1 on."""
        headers = {**(who or self.admin).headers, **more.pop("headers", {})}
        return self.client.request(method, f"/v1{path}", headers=headers, **more)

    def get(self, path: str, who: Person | None = None, **more: Any) -> Any:
        """JSON of a GET that must go well."""
        answer = self.ask("GET", path, who, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object = None, who: Person | None = None, **more: Any) -> Any:
        """JSON of a POST that must go well."""
        answer = self.ask("POST", path, who, json=body, **more)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()

    def refused(self, status: int, method: str, path: str, who: Person | None = None, **more: Any) -> str:
        """The code of a problem with this status."""
        answer = self.ask(method, path, who, **more)
        return problem_code(answer, status)


def problem_code(answer: httpx.Response, status: int) -> str:
    """Check that an answer is a problem with this status; returns its code."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found["instance"].startswith("/v1")
    return str(found["code"])


@contextmanager
def api_on(services: "Services") -> Iterator[Api]:
    """The API on these services."""
    from services.api.app import create_app  # noqa: PLC0415 - the routes take a second to import

    with serving(create_app(services, lambda _: None)) as client:
        yield Api(services, client, admin(services), analyst(services))


def add_show(services: "Services", name: str = "My-Show") -> str:
    """A show; returns its id."""
    with services.database.write() as session:
        show = Show(name=name, title=name)
        session.add(show)
        session.flush()
        return show.id


def add_episode(
    services: "Services", show_id: str, name: str = "s01e01", content: bytes | None = None
) -> str:
    """An episode, with a video of this content if there is one; returns its id."""
    with services.database.write() as session:
        sha256 = _add_video(services, session, name, content) if content is not None else None
        episode = Episode(show_id=show_id, name=name, title=name, video_sha256=sha256)
        session.add(episode)
        session.flush()
        return episode.id


def _add_video(services: "Services", session: Session, name: str, content: bytes) -> str:
    sha256, root = hashlib.sha256(content).hexdigest(), services.settings.root
    path = root / "videos" / sha256 / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if session.get(Video, sha256) is None:
        place = path.relative_to(root).as_posix()
        session.add(Video(sha256=sha256, path=place, size_bytes=len(content)))
        session.flush()
    return sha256


def add_job(services: "Services", episode_id: str, kind: str = "process", state: str | None = None) -> str:
    """A job over an episode, as it is made or in some other state; returns its id."""
    with services.database.write() as session:
        episode = session.get_one(Episode, episode_id)
        job = lifecycle.create(session, kind, user_id=None, episode=episode)  # type: ignore[arg-type]
        if state:
            job.state = state
        return job.id


def add_person(services: "Services", show: str, name: str = "Ada") -> str:
    """Somebody whom the show's facebank knows, without a face; returns their id."""
    bank = Facebank(EmbedderId("dlib", 128, "0" * 64), {name: ()})
    bank.save(services.settings.root / "facebank" / show)
    return person_id(name)


def know_somebody(paths: EpisodePaths) -> str:
    """Give the facebank of an episode's show somebody with a face of another episode; returns their id."""
    embedder = embedder_of(artifacts.read_table(paths.embeddings, schemas.EMBEDDINGS))
    crop = next(paths.crops.glob("*.jpg")).read_bytes()
    box, landmarks = np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
    face = Face("s01e00", "t1", "d1", np.eye(1, embedder.dim, dtype=np.float32)[0], crop, box, landmarks)
    Facebank(embedder, {"Zoe": (face,)}).save(paths.facebank)
    return person_id("Zoe")


def shelve(services: "Services", processed: EpisodePaths, video: Path) -> str:
    """Put an episode that was processed elsewhere into the service; returns its id."""
    root = services.settings.root
    for folder in ("harvest", "outputs"):
        shutil.copytree(processed.root / folder, root / folder, dirs_exist_ok=True)
    show_id = add_show(services, processed.show)
    return add_episode(services, show_id, processed.episode, video.read_bytes())


def end_job(services: "Services", job_id: str, state: str = "done") -> None:
    """End a job as its last stage would."""
    with services.database.write() as session:
        job = session.get_one(Job, job_id)
        for run in job.runs:
            run.state = "done" if state == "done" else run.state
        job.state, job.finished_at = state, now()
        job.revision += 1
        lifecycle.note(session, job, state, {})
