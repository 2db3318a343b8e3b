"""Who may what: every route times nobody, Analyst, Admin, expired, forged, revoked, and other people's URLs.

The table below says what each route answers to whoever may use it. A route that is not in it fails the test,
and so does a row without a route.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from fastapi.routing import iter_route_contexts
from support.analysts import decide, unnamed
from support.api import (
    Api,
    add_episode,
    add_job,
    add_person,
    add_show,
    api_on,
    end_job,
    know_somebody,
    shelve,
)
from support.callers import PASSWORD, Person, person
from support.databases import close_services, services_on

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.review.operations import AddSpan
from services.access import sessions, tokens
from services.access.keys import Keyring
from services.access.signing import sign
from services.access.tokens import Claims
from services.db.models import Upload, now
from services.review import edits

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

Who = Literal["anybody", "user", "admin", "media", "scraper"]

IF_ANY = {"If-Match": "*"}
TUS = {"Tus-Resumable": "1.0.0"}
FILE = {"Upload-Length": "9", "Upload-Metadata": "filename bmV3Lm1wNA==,show TmV3,episode bmV3"}
PART = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


@dataclass(frozen=True)
class Row:
    """What a route answers.

    Attributes:
        who: may use it.
        ok: status for whoever may.
        body: JSON that is sent.
        more: of the request.
        state: that the job of the path is put into before.
    """

    who: Who
    ok: int
    body: Any = None
    more: dict[str, Any] | None = None
    state: str | None = None


MATCHED = {"headers": IF_ANY}
TABLE: dict[tuple[str, str], Row] = {
    ("GET", "/v1/docs"): Row("anybody", 200),
    ("HEAD", "/v1/docs"): Row("anybody", 200),
    ("GET", "/v1/docs/oauth2-redirect"): Row("anybody", 200),
    ("HEAD", "/v1/docs/oauth2-redirect"): Row("anybody", 200),
    ("GET", "/v1/openapi.json"): Row("anybody", 200),
    ("HEAD", "/v1/openapi.json"): Row("anybody", 200),
    ("GET", "/v1/health"): Row("anybody", 200),
    ("HEAD", "/v1/health"): Row("anybody", 200),
    ("GET", "/v1/metrics"): Row("scraper", 200),
    ("GET", "/v1/metrics/targets"): Row("scraper", 200),
    # auth, users
    ("POST", "/v1/auth/token"): Row(
        "anybody",
        200,
        more={"data": {"grant_type": "password", "username": "{name}", "password": PASSWORD}},
    ),
    ("POST", "/v1/auth/logout"): Row("user", 204),
    ("GET", "/v1/users/me"): Row("user", 200),
    ("PUT", "/v1/users/me/password"): Row(
        "user", 204, {"current_password": PASSWORD, "new_password": "four more words of mine"}
    ),
    ("GET", "/v1/users"): Row("admin", 200),
    ("POST", "/v1/users"): Row("admin", 201, {"name": "{new}", "role": "analyst"}),
    ("GET", "/v1/users/{user_id}"): Row("admin", 200),
    ("PATCH", "/v1/users/{user_id}"): Row("admin", 200, {"active": False}, MATCHED),
    ("DELETE", "/v1/users/{user_id}"): Row("admin", 204, None, MATCHED),
    ("POST", "/v1/users/{user_id}/secret"): Row("admin", 200, None, MATCHED),
    # shows, episodes
    ("GET", "/v1/shows"): Row("user", 200),
    ("POST", "/v1/shows"): Row("user", 201, {"title": "{new}"}),
    ("GET", "/v1/shows/{show_id}"): Row("user", 200),
    ("HEAD", "/v1/shows/{show_id}"): Row("user", 200),
    ("PATCH", "/v1/shows/{show_id}"): Row("user", 200, {"title": "{new}"}, MATCHED),
    ("DELETE", "/v1/shows/{show_id}"): Row("admin", 202),
    ("GET", "/v1/shows/{show_id}/people"): Row("user", 200),
    ("DELETE", "/v1/shows/{show_id}/people/{person_id}"): Row("admin", 202),
    ("GET", "/v1/shows/{show_id}/totals"): Row("user", 200),
    ("GET", "/v1/episodes"): Row("user", 200),
    ("GET", "/v1/episodes/{episode_id}"): Row("user", 200),
    ("HEAD", "/v1/episodes/{episode_id}"): Row("user", 200),
    ("PATCH", "/v1/episodes/{episode_id}"): Row("user", 200, {"title": "{new}"}, MATCHED),
    ("DELETE", "/v1/episodes/{episode_id}"): Row("admin", 202, state="done"),
    ("POST", "/v1/episodes/{episode_id}/jobs"): Row("user", 202, {}, state="done"),
    ("GET", "/v1/episodes/{episode_id}/timeline"): Row("user", 200),
    ("GET", "/v1/episodes/{episode_id}/totals"): Row("user", 200),
    ("GET", "/v1/episodes/{episode_id}/coappearance"): Row("user", 200),
    ("GET", "/v1/episodes/{episode_id}/plot.{ending}"): Row("media", 200),
    ("GET", "/v1/episodes/{episode_id}/audit"): Row("user", 200),
    ("GET", "/v1/episodes/{episode_id}/artifacts"): Row("user", 200),
    ("GET", "/v1/episodes/{episode_id}/crops"): Row("user", 200),
    # review
    **{
        ("GET", f"/v1/episodes/{{episode_id}}/review{place}"): Row("user", 200)
        for place in (
            "",
            "/entities/{entity_id}/faces",
            "/doubts",
            "/suggestions",
            "/sample",
            "/spans",
            "/edits",
            "/changes",
        )
    },
    ("POST", "/v1/episodes/{episode_id}/review/edits"): Row(
        "user",
        201,
        {"operation": {"op": "assign", "subject": {"groups": ["{group}"]}, "name": "{new}"}},
        MATCHED,
    ),
    ("POST", "/v1/episodes/{episode_id}/review/undo"): Row("user", 201, {}, MATCHED),
    ("POST", "/v1/episodes/{episode_id}/review/redo"): Row("user", 201, {}, MATCHED),
    ("GET", "/v1/episodes/{episode_id}/exports"): Row("user", 200),
    ("POST", "/v1/episodes/{episode_id}/exports"): Row("user", 202, {"format": "csv"}),
    # jobs
    ("GET", "/v1/jobs"): Row("user", 200),
    ("GET", "/v1/jobs/dead"): Row("admin", 200),
    ("GET", "/v1/jobs/{job_id}"): Row("user", 200),
    ("HEAD", "/v1/jobs/{job_id}"): Row("user", 200),
    ("GET", "/v1/jobs/{job_id}/events"): Row("user", 200),
    ("POST", "/v1/jobs/{job_id}/cancel"): Row("user", 200),
    ("POST", "/v1/jobs/{job_id}/pause"): Row("user", 200),
    ("POST", "/v1/jobs/{job_id}/resume"): Row("user", 200, state="cancelled"),
    ("POST", "/v1/jobs/{job_id}/retry"): Row("user", 200, {"stage": "harvest"}, state="done"),
    # uploads
    ("OPTIONS", "/v1/uploads"): Row("anybody", 204),
    ("GET", "/v1/uploads"): Row("user", 200),
    ("POST", "/v1/uploads"): Row("user", 201, more={"headers": {**TUS, **FILE}}),
    ("GET", "/v1/uploads/{upload_id}"): Row("user", 200),
    ("HEAD", "/v1/uploads/{upload_id}"): Row("user", 200, more={"headers": TUS}),
    ("PATCH", "/v1/uploads/{upload_id}"): Row(
        "user", 204, more={"headers": {**TUS, **PART}, "content": b"1234"}
    ),
    ("DELETE", "/v1/uploads/{upload_id}"): Row("user", 204, more={"headers": TUS}),
    # media
    **{
        (method, f"/v1/media/episodes/{{episode_id}}/{place}"): Row("media", 200)
        for method in ("GET", "HEAD")
        for place in ("video", "crops/{det_id}.jpg", "artifacts/{kind}/{part}", "exports/{name}")
    },
    ("GET", "/v1/media/episodes/{episode_id}/thumbs/{det_id}.webp"): Row("media", 200),
    ("GET", "/v1/media/episodes/{episode_id}/frames/{ts_ms}.jpg"): Row("media", 200),
    ("GET", "/v1/media/episodes/{episode_id}/people/{person_id}.webp"): Row("media", 200),
    # the machine
    ("GET", "/v1/audit"): Row("admin", 200),
    ("GET", "/v1/storage"): Row("admin", 200),
    ("GET", "/v1/settings"): Row("admin", 200),
}

CALLERS = (
    "nobody",
    "analyst",
    "admin",
    "expired",
    "forged",
    "unsigned",
    "revoked",
    "url",
    "others-url",
    "forged-url",
)
ADMINS_AND = ("admin", "others-url")  # whose token is an Admin's


def expected(row: Row, caller: str) -> int:
    """The status of a cell."""
    if row.who == "anybody":
        return row.ok
    if caller == "others-url" and row.who == "media":
        return 403
    if caller == "forged-url" and row.who == "media":
        return 401
    if caller in {*ADMINS_AND, "forged-url"} or (caller == "url" and row.who == "media"):
        return row.ok
    if caller == "analyst":
        return 403 if row.who in {"admin", "scraper"} else row.ok
    return 401


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, processed: EpisodePaths, short_season: "list[DemoEpisode]"
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("matrix")
    made = services_on(folder / "data", f"sqlite:///{folder / 'service.db'}")
    with api_on(made) as found:
        world["episode_id"] = shelve(made, processed, short_season[0].video)
        _add_files(made)
        review = found.get(f"/episodes/{world['episode_id']}/review")
        world["entity_id"] = review["entities"][0]["entity_id"]
        world["group"] = unnamed(review)[0]["group_ids"][0]
        yield found
    close_services(made)


world: dict[str, str] = {
    "kind": "timeline", "part": "0", "name": "s01e01.csv", "ending": "svg", "ts_ms": "400",
}  # fmt: skip
_numbers = count()


def _add_files(made: "Services") -> None:
    root = made.settings.root
    exported = root / "outputs/My-Show/s01e01/exports/s01e01.csv"
    exported.parent.mkdir(exist_ok=True)
    exported.write_text("a\n")
    world["det_id"] = next((root / "harvest/My-Show/s01e01/crops").glob("*.jpg")).stem
    world["person_id"] = know_somebody(EpisodePaths(root, "My-Show", "s01e01"))


def _routes(api: Api) -> set[tuple[str, str]]:
    from services.api.app import create_app  # noqa: PLC0415

    app = create_app(api.services, lambda _: None)
    return {
        (method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or set()
    }


def test_every_route_is_in_the_table_and_every_row_has_a_route(api: Api) -> None:
    found = _routes(api)
    assert sorted(found - TABLE.keys()) == []
    assert sorted(TABLE.keys() - found) == []


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "path"), TABLE)
def test_cell(api: Api, method: str, path: str, caller: str) -> None:
    row, new = TABLE[method, path], f"n{next(_numbers)}"
    analyst, admin = person(api.services, new, "analyst"), person(api.services, f"{new}-admin", "admin")
    filled = path.format_map(_places(api.services, row, path, analyst))
    headers, query = _credentials(api.services, caller, filled, (analyst, admin))
    names = {"new": f"{new}-new", "name": new, "group": world["group"]}
    body, more = _fill([row.body, row.more or {}], names)
    sent = {"json": body} if body is not None else {}
    sent |= {**more, "headers": {**headers, **more.get("headers", {})}}
    answer = api.client.request(method, f"{filled}?{query}", **sent)
    assert answer.status_code == expected(row, caller), (filled, answer.text)
    if answer.status_code in {401, 403} and method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


def _places(services: "Services", row: Row, path: str, analyst: Person) -> dict[str, str]:
    """Things of this cell's own for what it changes; the shared episode for what it reads."""
    found, new = dict(world), analyst.name
    if "{user_id}" in path:
        found["user_id"] = person(services, f"{new}-other", "analyst").id
    if "{show_id}" in path:
        found["show_id"] = add_show(services, new)
        found["person_id"] = add_person(services, new)
    if "{upload_id}" in path:
        found["upload_id"] = _add_upload(services, add_show(services, new), analyst)
    if path.endswith(("/undo", "/redo")):
        added = AddSpan(name=new, kind="add", start_ms=0, end_ms=1000 + next(_numbers))
        undone = [edits.undo()] if path.endswith("/redo") else []
        decide(services, found["episode_id"], analyst, edits.operation(added), *undone)
    if "{job_id}" in path or row.state:
        found["episode_id"] = add_episode(services, add_show(services, new), content=b"v")
        found["job_id"] = add_job(services, found["episode_id"])
        if row.state:
            end_job(services, found["job_id"], row.state)
    return found


def _add_upload(services: "Services", show_id: str, owner: Person) -> str:
    with services.database.write() as session:
        upload = Upload(
            user_id=owner.id, length=9, file_name="a.mp4", show_id=show_id, episode_name="a",
            expires_at=now() + timedelta(hours=1),
        )  # fmt: skip
        session.add(upload)
        session.flush()
        return upload.id


def _credentials(
    services: "Services", caller: str, path: str, people: tuple[Person, Person]
) -> tuple[dict[str, str], str]:  # fmt: skip
    """Headers and query."""
    analyst, admin = people
    url = sign(services.keyring, path, analyst.id, analyst.session_id, now() + timedelta(minutes=1))
    makers: dict[str, Callable[[], tuple[dict[str, str], str]]] = {
        "nobody": lambda: ({}, ""),
        "analyst": lambda: (analyst.headers, ""),
        "admin": lambda: (admin.headers, ""),
        "expired": lambda: (_bearer(_expired(services, admin)), ""),
        "forged": lambda: (_bearer(_forged(services, admin)), ""),
        "unsigned": lambda: (_bearer(_unsigned(admin)), ""),
        "revoked": lambda: (_bearer(_revoked(services, admin)), ""),
        "url": lambda: ({}, url),
        "others-url": lambda: (admin.headers, url),
        "forged-url": lambda: (admin.headers, url.replace("sig=", "sig=A")),
    }
    return makers[caller]()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _expired(services: "Services", who: Person) -> str:
    claims = Claims(who.id, who.session_id)
    return tokens.issue(services.keyring, claims, timedelta(minutes=1), now() - timedelta(minutes=2))


def _forged(services: "Services", who: Person) -> str:
    """Signed by somebody else's key, under the kid of ours."""
    other = Keyring(Path(services.settings.root).parent / "others-keys")
    theirs, ours = other.newest("access-token"), services.keyring.newest("access-token")
    token = tokens.issue(other, Claims(who.id, who.session_id), timedelta(minutes=1), now())
    head = json.loads(_decoded(token.split(".")[0]))
    assert head["kid"] == theirs.kid
    return ".".join([_encoded({**head, "kid": ours.kid}), *token.split(".")[1:]])


def _unsigned(who: Person) -> str:
    """The algorithm `none`."""
    head, payload, _ = who.token.split(".")
    return f"{_encoded({**json.loads(_decoded(head)), 'alg': 'none'})}.{payload}."


def _revoked(services: "Services", who: Person) -> str:
    with services.database.write() as session:
        sessions.revoke(session, who.session_id)
    return who.token


def _decoded(part: str) -> bytes:
    from base64 import urlsafe_b64decode  # noqa: PLC0415

    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _fill(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value.strip("{}"), value) if value.startswith("{") else value
    if isinstance(value, dict):
        return {k: _fill(v, names) for k, v in value.items()}
    return [_fill(v, names) for v in value] if isinstance(value, list) else value
