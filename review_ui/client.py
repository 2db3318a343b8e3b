"""The service's HTTP API as calls; the only way from these pages to anything."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

import httpx

from review_ui.answers import (
    Change,
    Coappearance,
    Doubt,
    EditResult,
    Episode,
    Export,
    Face,
    Job,
    LoggedEdit,
    MergeSuggestion,
    Person,
    Review,
    SeasonTotals,
    Show,
    Span,
    Timeline,
    Totals,
    Upload,
    User,
)
from review_ui.answers_service import Audit, Settings, Storage
from review_ui.logins import Login
from review_ui.wire import Wire, wire

Json = dict[str, Any]


class Client:
    """What the person who is logged in may ask for.

    Every call raises ServiceError where the service refuses or cannot be reached, and LoginEndedError where
    the login is over.
    """

    def __init__(self, login: Login, lines: Wire | None = None) -> None:
        """Take whose requests they are."""
        self._login, self._wire = login, lines or wire()

    def token(self, spare_s: float = 30.0) -> str:
        """An access token that is valid for so long still, for what a browser sends by itself."""
        return self._login.token(spare_s=spare_s)

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a GET; parameters that are None are left out."""
        wanted = {k: v for k, v in params.items() if v is not None}
        return self._ask("GET", path, params=wanted).json()

    def send(
        self, method: str, path: str, body: object = None, *, revision: int | None = None,
        key: str | None = None,
    ) -> Any:  # fmt: skip
        """Change something, once; the answer's JSON, or None where it has none.

        Args:
            method: POST, PUT, PATCH or DELETE.
            path: what is changed.
            body: plain JSON.
            revision: that the change was decided on, for If-Match.
            key: Idempotency-Key; the same one again changes nothing again.
        """
        headers = {"If-Match": f'"{revision}"'} if revision is not None else {}
        if key:
            headers["Idempotency-Key"] = key
        more: Json = {} if body is None else {"json": body}
        answer = self._ask(method, path, headers=headers, **more)
        return answer.json() if answer.content else None

    def pages(self, path: str, **params: Any) -> Iterator[Any]:
        """Everything of a list."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, limit=200, **params)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    # Users

    def me(self) -> User:
        """Who is logged in."""
        return cast(User, self.get("/v1/users/me"))

    def set_password(self, current: str | None, new: str) -> None:
        """Set one's own password; the current one is not needed after a one-time secret."""
        body = {"new_password": new, **({"current_password": current} if current else {})}
        self.send("PUT", "/v1/users/me/password", body)
        self._login.must_set_password = False

    def log_out(self) -> None:
        """End the login at the service."""
        self.send("POST", "/v1/auth/logout")

    def users(self) -> list[User]:
        """Everybody; for Admins."""
        return list(self.pages("/v1/users"))

    def add_user(self, name: str, role: str) -> User:
        """Create a user; the answer holds a one-time secret."""
        return cast(User, self.send("POST", "/v1/users", {"name": name, "role": role}))

    def change_user(self, user: User, **changes: object) -> User:
        """Change `role` or `active`."""
        path = f"/v1/users/{user['id']}"
        return cast(User, self.send("PATCH", path, changes, revision=user["revision"]))

    def reset_user(self, user: User) -> User:
        """Put a one-time secret in place of a user's password."""
        return cast(User, self.send("POST", f"/v1/users/{user['id']}/secret"))

    def remove_user(self, user: User) -> None:
        """Delete a user."""
        self.send("DELETE", f"/v1/users/{user['id']}", revision=user["revision"])

    # Shows and episodes

    def shows(self) -> list[Show]:
        """The shows, by name."""
        return list(self.pages("/v1/shows"))

    def show_totals(self, show_id: str) -> SeasonTotals:
        """Screen time of everybody in every episode of a show."""
        return cast(SeasonTotals, self.get(f"/v1/shows/{show_id}/totals"))

    def people(self, show_id: str) -> list[Person]:
        """Everybody who has a name in a show."""
        return list(self.pages(f"/v1/shows/{show_id}/people"))

    def episodes(self, show_id: str | None = None) -> list[Episode]:
        """The episodes, newest first."""
        return list(self.pages("/v1/episodes", show_id=show_id))

    def episode(self, episode_id: str) -> Episode:
        """An episode with the facts about its video."""
        return cast(Episode, self.get(f"/v1/episodes/{episode_id}"))

    def process_again(self, episode_id: str, settings: Mapping[str, Any] | None = None) -> Job:
        """Process an episode again, with other settings where some are given."""
        return cast(Job, self.send("POST", f"/v1/episodes/{episode_id}/jobs", {"settings": settings or {}}))

    def purge_episode(self, episode_id: str) -> Job:
        """Purge an episode."""
        return cast(Job, self.send("DELETE", f"/v1/episodes/{episode_id}"))

    def purge_show(self, show_id: str) -> Job:
        """Purge a show with its episodes."""
        return cast(Job, self.send("DELETE", f"/v1/shows/{show_id}"))

    def purge_person(self, show_id: str, person_id: str) -> Job:
        """Purge a person from a show."""
        return cast(Job, self.send("DELETE", f"/v1/shows/{show_id}/people/{person_id}"))

    # Jobs and uploads

    def jobs(
        self, limit: int = 50, cursor: str | None = None, **wanted: str | None
    ) -> tuple[list[Job], str | None]:
        """A page of the jobs, newest first, and the cursor of the next."""
        page = self.get("/v1/jobs", limit=limit, cursor=cursor, **wanted)
        return page["items"], page["next"]

    def job(self, job_id: str) -> Job:
        """A job."""
        return cast(Job, self.get(f"/v1/jobs/{job_id}"))

    def act_on_job(self, job: Job, action: Literal["pause", "resume", "cancel"]) -> Job:
        """Pause, resume or cancel a job."""
        return cast(Job, self.send("POST", f"/v1/jobs/{job['id']}/{action}", revision=job["revision"]))

    def retry_stage(self, job: Job, stage: str) -> Job:
        """Do a stage again, and all after it."""
        path = f"/v1/jobs/{job['id']}/retry"
        return cast(Job, self.send("POST", path, {"stage": stage}, revision=job["revision"]))

    def dead_letters(self) -> list[Json]:
        """Stages that were given up, with tracebacks; for Admins."""
        return list(self.pages("/v1/jobs/dead"))

    def uploads(self, state: str | None = None) -> list[Upload]:
        """One's own uploads, newest first; an Admin's are everybody's."""
        return list(self.pages("/v1/uploads", state=state))

    # Results

    def timeline(self, episode_id: str) -> Timeline:
        """Who is on screen when."""
        return cast(Timeline, self.get(f"/v1/episodes/{episode_id}/timeline"))

    def totals(self, episode_id: str) -> Totals:
        """Everyone's screen time."""
        return cast(Totals, self.get(f"/v1/episodes/{episode_id}/totals"))

    def coappearance(self, episode_id: str) -> Coappearance:
        """Who is on screen together, and for how long."""
        return cast(Coappearance, self.get(f"/v1/episodes/{episode_id}/coappearance"))

    def plot(self, episode_id: str, ending: Literal["svg", "png"], theme: str) -> bytes:
        """The timeline as a picture."""
        return self._ask("GET", f"/v1/episodes/{episode_id}/plot.{ending}", params={"theme": theme}).content

    def make_export(self, episode_id: str, form: str) -> Job:
        """Write an export: `csv` or `xlsx`."""
        return cast(Job, self.send("POST", f"/v1/episodes/{episode_id}/exports", {"format": form}))

    def exports(self, episode_id: str) -> list[Export]:
        """The exports that are there."""
        return list(self.get(f"/v1/episodes/{episode_id}/exports")["items"])

    def artifacts(self, episode_id: str) -> list[Json]:
        """The files of an episode."""
        return list(self.get(f"/v1/episodes/{episode_id}/artifacts")["items"])

    def cuts(self, episode_id: str) -> list[int]:
        """When scenes begin, but for the first."""
        found = next((a for a in self.artifacts(episode_id) if a["kind"] == "manifest_json"), None)
        shots = self._wire.ask("GET", found["url"]).json()["shots"] if found else None
        return [s["start_ms"] for s in shots[1:]] if shots else []

    def audit(self, episode_id: str, limit: int = 100, cursor: str | None = None) -> Audit:
        """Lines of the audit log, newest first, and whether its chain holds."""
        return cast(Audit, self.get(f"/v1/episodes/{episode_id}/audit", limit=limit, cursor=cursor))

    # The machine

    def health(self) -> Json:
        """How the service is."""
        return cast(Json, self.get("/v1/health"))

    def storage(self) -> Storage:
        """Bytes by kind of artifact; for Admins."""
        return cast(Storage, self.get("/v1/storage"))

    def settings(self) -> Settings:
        """What is kept how long; for Admins."""
        return cast(Settings, self.get("/v1/settings"))

    # Review

    def review(self, episode_id: str) -> Review:
        """The state of an episode's review."""
        return cast(Review, self.get(f"/v1/episodes/{episode_id}/review"))

    def faces(self, episode_id: str, entity_id: str, limit: int, offset: int = 0) -> tuple[list[Face], int]:
        """Faces of an entity, farthest from the person first, and how many there are."""
        path = f"/v1/episodes/{episode_id}/review/entities/{entity_id}/faces"
        found = self.get(path, limit=limit, offset=offset)
        return found["items"], found["total"]

    def doubts(self, episode_id: str, limit: int | None = None) -> list[Doubt]:
        """The low-confidence queue."""
        return list(self.get(f"/v1/episodes/{episode_id}/review/doubts", limit=limit)["items"])

    def suggestions(self, episode_id: str) -> list[MergeSuggestion]:
        """Pairs that may be one person, by what is at stake."""
        return list(self.get(f"/v1/episodes/{episode_id}/review/suggestions")["items"])

    def sample(self, episode_id: str, count: int, seed: int) -> list[Face]:
        """A random sample of faces that the facebank named and nobody has looked at."""
        path = f"/v1/episodes/{episode_id}/review/sample"
        return list(self.get(path, count=count, seed=seed)["items"])

    def spans(self, episode_id: str) -> list[Span]:
        """Intervals that were added or trimmed by hand."""
        return list(self.get(f"/v1/episodes/{episode_id}/review/spans")["items"])

    def edit(self, episode_id: str, operation: Json, seen: int, key: str | None = None) -> EditResult:
        """Apply an operation that was decided on at revision `seen`."""
        path = f"/v1/episodes/{episode_id}/review/edits"
        return cast(EditResult, self.send("POST", path, {"operation": operation}, revision=seen, key=key))

    def undo(
        self, episode_id: str, seen: int, number: int | None = None, key: str | None = None
    ) -> EditResult:
        """Take back the last edit, or the one with this number."""
        body = {} if number is None else {"number": number}
        path = f"/v1/episodes/{episode_id}/review/undo"
        return cast(EditResult, self.send("POST", path, body, revision=seen, key=key))

    def redo(self, episode_id: str, seen: int, key: str | None = None) -> EditResult:
        """Apply again what was undone last."""
        path = f"/v1/episodes/{episode_id}/review/redo"
        return cast(EditResult, self.send("POST", path, {}, revision=seen, key=key))

    def edits(
        self, episode_id: str, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[LoggedEdit], str | None]:
        """A page of the log, newest first, and the cursor of the next."""
        page = self.get(f"/v1/episodes/{episode_id}/review/edits", limit=limit, cursor=cursor)
        return page["items"], page["next"]

    def changes(self, episode_id: str, since: int, wait_s: float = 0) -> Change:
        """What was edited since a revision; waits for something to happen."""
        path = f"/v1/episodes/{episode_id}/review/changes"
        return cast(Change, self.get(path, since=since, wait_s=wait_s))

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        return self._wire.ask(method, path, self._login.token, **request)
