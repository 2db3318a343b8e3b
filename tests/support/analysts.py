"""An analyst at the review of an episode, over HTTP."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from support.api import Api, add_episode, problem_code
from support.callers import Person

from screenalyzer.artifacts import EpisodePaths

if TYPE_CHECKING:
    from services.context import Services
    from services.review.edits import WorkOut


@dataclass
class Reviewer:
    """Edits an episode as a client does: on the revision that it has seen.

    Attributes:
        api: that it speaks to.
        episode_id: of the episode.
        who: is logged in; the analyst where left out.
        seen: the revision that it knows.
        last: the answer to the last edit.
    """

    api: Api
    episode_id: str
    who: Person | None = None
    seen: int = 0
    last: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """Of the review."""
        return f"/episodes/{self.episode_id}/review"

    def read(self) -> dict[str, Any]:
        """The review as it is."""
        found: dict[str, Any] = self.api.get(self.path, self._who)
        self.seen = found["revision"]
        return found

    def get(self, what: str) -> Any:
        """JSON of a part of it."""
        return self.api.get(f"{self.path}/{what}", self._who)

    def ask(self, what: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        """An edit, an undo or a redo, whatever comes of it."""
        headers = {"If-Match": f'"{self.seen}"'} | ({"Idempotency-Key": key} if key else {})
        return self.api.ask("POST", f"{self.path}/{what}", self._who, json=body, headers=headers)

    def edit(self, op: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """An edit that must go well."""
        return self._took(self.ask("edits", {"operation": {"op": op, **fields}}, key))

    def undo(self, **which: int) -> dict[str, Any]:
        """An undo that must go well."""
        return self._took(self.ask("undo", which))

    def redo(self) -> dict[str, Any]:
        """A redo that must go well."""
        return self._took(self.ask("redo", {}))

    def refused(self, status: int, op: str, **fields: Any) -> str:
        """The code of an edit's problem."""
        return problem_code(self.ask("edits", {"operation": {"op": op, **fields}}), status)

    def assign(self, entity: dict[str, Any], name: str) -> dict[str, Any]:
        """Say who an entity is."""
        return self.edit("assign", subject={"groups": entity["group_ids"]}, name=name)

    def totals(self) -> dict[str, int]:
        """Screen time by name, as the API has it."""
        found = self.api.get(f"/episodes/{self.episode_id}/totals", self._who)
        return {t["person"]: t["total_ms"] for t in found["items"]}

    @property
    def _who(self) -> Person:
        return self.who or self.api.analyst

    def _took(self, answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code in {200, 201}, answer.text
        self.last = answer.json()
        self.seen = self.last["revision"]
        assert answer.headers["etag"] == f'"{self.seen}"'
        return self.last


def shelve_next(services: "Services", processed: EpisodePaths, video: Path, name: str, show_id: str) -> str:
    """Another episode with the same results under another name; returns its id."""
    for kind in ("harvest", "outputs"):
        source = processed.root / kind / processed.show / processed.episode
        shutil.copytree(source, services.settings.root / kind / processed.show / name)
    return add_episode(services, show_id, name, video.read_bytes())


def decide(services: "Services", episode_id: str, who: Person, *work: "WorkOut") -> None:
    """Edits without HTTP, one after the other, whatever has been."""
    from services.access.sessions import Caller  # noqa: PLC0415 - most tests need no service
    from services.db.models import Episode  # noqa: PLC0415 - likewise
    from services.review import edits  # noqa: PLC0415 - likewise

    caller = Caller(who.id, who.name, "analyst", who.session_id)
    for each in work:
        with services.database.begin() as session:
            show_id = session.get_one(Episode, episode_id).show_id
            with edits.made(services, session, edits.Wanted(episode_id, show_id, caller, None), each):
                session.commit()


def unnamed(review: dict[str, Any]) -> list[dict[str, Any]]:
    """Groups without a name, the longest on screen first."""
    found = [e for e in review["entities"] if e["kind"] == "group"]
    return sorted(found, key=lambda e: (-e["screen_ms"], e["entity_id"]))
