"""Episodes and shows with a bit of everything, to be purged."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from support.api import add_episode
from support.callers import admin

from screenalyzer import audit, facebank
from screenalyzer.facebank import Face, Facebank
from screenalyzer.types import EmbedderId
from services.access.sessions import Caller
from services.db.models import (
    DeadLetter,
    Episode,
    Event,
    IdempotencyKey,
    Show,
    Upload,
    now,
)
from services.jobs import lifecycle
from services.privacy import purge, request

if TYPE_CHECKING:
    from services.context import Services

EMBEDDER = EmbedderId("dlib", 4, "0" * 64)
TITLE, FILE, SHOW = "Quixotic Pilot", "quixotic-raw.mp4", "Zanzibar-Nights"
EPISODE = "Quixotic-Pilot"


def _caller(services: "Services") -> Caller:
    who = admin(services, "ada")
    return Caller(who.id, who.name, "admin", who.session_id)


def furnish(services: "Services", show_id: str, show: str, name: str, seed: int) -> str:
    """An episode with a bit of everything; returns its id."""
    root = services.settings.root
    episode_id = add_episode(services, show_id, name, f"video {name} {seed}".encode())
    for kind, place in (
        ("harvest", "crops/d1.jpg"),
        ("outputs", "stages/analytics.json"),
        ("outputs", "exports/x.csv"),
    ):
        path = root / kind / show / name / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{kind} {place} {name} {seed}".encode())
    audit.append(
        root / "outputs" / show / name / "diagnostics/audit.jsonl", "processed", "ada", {"of": name}, now()
    )
    bank = facebank.load(root / "facebank" / show) or Facebank(EMBEDDER, {})
    vector = np.random.default_rng(seed).normal(size=4).astype(np.float32)
    face = Face(
        name,
        f"t{seed}",
        f"d{seed}",
        vector,
        f"crop {seed}".encode(),
        np.zeros(4, np.float32),
        np.zeros((5, 2), np.float32),
    )
    bank.add("Person Both", [face]).add(f"Only {name}", [face]).save(root / "facebank" / show)
    return episode_id


def add_rows(services: "Services", show_id: str, episode_id: str, title: str, file_name: str) -> None:
    """Rows that know of an episode."""
    root = services.settings.root
    with services.database.write() as session:
        episode = session.get_one(Episode, episode_id)
        episode.title = title
        job = lifecycle.create(
            session, "process", user_id=None, episode=episode, params={"actor": "ada", "note": title}
        )
        job.state = "done"
        session.add(
            DeadLetter(
                job_id=job.id, stage="harvest", queue="harvest", attempts=1, error=title, traceback=file_name
            )
        )
        session.add(Event(job_id=job.id, kind="x", data={"text": f"read {file_name}"}))
        upload = Upload(
            length=9, file_name=file_name, show_id=show_id, episode_name=episode.name,
            metadata_header="é" + title, expires_at=now() + timedelta(days=1), state="receiving",
        )  # fmt: skip
        session.add(upload)
        session.flush()
        (root / "uploads").mkdir(exist_ok=True)
        (root / "uploads" / f"{upload.id}.part").write_bytes(title.encode())
        for key, body in (
            ("k1", {"title": title}),
            ("k2", {"id": episode_id}),
            ("k3", {"file_name": file_name}),
        ):
            session.add(
                IdempotencyKey(
                    user_id="u", key=key + title, fingerprint="f", status=200, body=json.dumps(body)
                )
            )


def start(services: "Services", target: str, row_id: str) -> dict[str, Any]:
    """Ask for a purge as the API does; returns what the worker hands to it."""
    caller = _caller(services)
    with services.database.write() as session:
        if target == "episode":
            job = request.purge_episode(session, services, session.get_one(Episode, row_id), caller)
        else:
            job = request.purge_show(session, services, session.get_one(Show, row_id), caller)
        job.state = "running"
        return {**job.params, "job_id": job.id}


def run_purge(services: "Services", params: dict[str, Any]) -> dict[str, Any]:
    """What the worker does with it."""
    return purge.run(services, params, lambda *_: None, lambda: False)
