"""What schemathesis finds over the whole description of the API, as an Admin: nothing.

All of its checks run, over examples, the edges of every schema, random requests and chains of requests.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.generation import GenerationMode
from sqlalchemy import update
from support.analysts import decide, unnamed
from support.api import Api, add_job, api_on, end_job, know_somebody, shelve
from support.callers import PASSWORD, Person
from support.databases import close_services, services_on

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.review.operations import AddSpan
from services.access import names
from services.access.passwords import Passwords
from services.db.models import DeadLetter, Episode, Job, LoginSession, Show, Upload, User, now
from services.review import edits

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

PART = "application/offset+octet-stream"
ID = re.compile(r"[0-9a-f]{32}")

# A precondition that is stale, a file that is kept no longer, ranges beyond it, a body that is too long for
# what is left of a file: no schema can say these. They are refusals of data as good as any other.
REFUSALS = ["410", "412", "413", "415", "416", "428", "431", "460", "507"]
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "429", *REFUSALS]
REVIEW = "POST /v1/episodes/{episode_id}/review/"
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/auth/token": {"grant_type": "password", "username": "{name}", "password": "{password}"},
    "PUT /v1/users/me/password": {
        "current_password": "{password}",
        "new_password": "a pony that nobody knows",
    },
    "POST /v1/jobs/{job_id}/retry": {"stage": "export"},
    REVIEW + "edits": {"operation": {"op": "assign", "subject": {"groups": ["{group}"]}, "name": "Ada"}},
    REVIEW + "undo": {},
    REVIEW + "redo": {},
}
TABLES: dict[str, type[Show | Episode | Job | Upload | User]] = {
    "show_id": Show,
    "episode_id": Episode,
    "job_id": Job,
    "upload_id": Upload,
    "user_id": User,
}
LENIENT = (
    "PUT /v1/users/me/password",
    "POST /v1/auth/token",
    "POST /v1/uploads",
    "PATCH /v1/uploads/{upload_id}",
    f"{REVIEW}edits",
)


@schemathesis.serializer(PART)
def _part(context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.fixture(scope="module")
def api(
    tmp_path_factory: pytest.TempPathFactory, processed: EpisodePaths, short_season: "list[DemoEpisode]"
) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("schemathesis")
    made = services_on(
        folder / "data",
        f"sqlite:///{folder / 'service.db'}",
        access={"access_minutes": 600, "free_attempts": 10**6},
    )
    with api_on(made) as found:
        _furnish(found, processed, short_season[0].video)
        yield found
    close_services(made)


def _furnish(api: Api, processed: EpisodePaths, video: Path) -> None:
    """Something of everything."""
    services = api.services
    world["episode_id"] = shelve(services, processed, video)
    world["show_id"] = api.get("/shows")["items"][0]["id"]
    world["user_id"] = api.analyst.id
    world["person_id"] = know_somebody(EpisodePaths(services.settings.root, "My-Show", "s01e01"))
    world["job_id"] = add_job(services, world["episode_id"], "export")
    end_job(services, world["job_id"], "failed")
    review = api.get(f"/episodes/{world['episode_id']}/review")
    world["entity_id"] = review["entities"][0]["entity_id"]
    world["group"] = unnamed(review)[0]["group_ids"][0]
    world["det_id"] = api.get(f"/episodes/{world['episode_id']}/crops")["items"][0]["det_id"]
    with services.database.write() as session:
        session.add(
            DeadLetter(
                job_id=world["job_id"], stage="harvest", queue="harvest", attempts=4, error="e", traceback="t"
            )
        )
        upload = Upload(
            user_id=api.admin.id, length=10**6, file_name="a.mp4", show_id=world["show_id"], episode_name="a",
            expires_at=now().replace(year=now().year + 1),
        )  # fmt: skip
        session.add(upload)
        session.flush()
        world["upload_id"] = upload.id
    exported = services.settings.root / "outputs/My-Show/s01e01/exports/s01e01.csv"
    exported.parent.mkdir(exist_ok=True)
    exported.write_text("a\n")


world: dict[str, str] = {
    "name": "s01e01.csv", "kind": "timeline", "part": "0", "ending": "png", "ts_ms": "400",
}  # fmt: skip
made: set[str] = set()
hashed = Passwords(1, 1).hash(PASSWORD)
random = Random(20260504)


def _prepare(services: "Services", admin: Person, operation: str) -> None:
    """The caller may end itself in every way; the next request finds it alive, and a job to act on."""
    with services.database.write() as session:
        user = session.get(User, admin.id)
        if user is None:
            user = User(id=admin.id, name=admin.name, name_key=names.key(admin.name), role="admin")
            session.add(user)
            session.flush()
        user.role, user.active, user.password_hash = "admin", True, hashed
        login = session.get(LoginSession, admin.session_id)
        if login is None:
            fresh = {"refresh_hash": uuid4().hex, "family_hash": uuid4().hex}
            login = LoginSession(id=admin.session_id, user_id=admin.id, expires_at=now(), **fresh)
            session.add(login)
        login.revoked_at, login.expires_at = None, now().replace(year=now().year + 1)
        job = session.get_one(Job, world["job_id"])
        job.state = "queued" if operation.endswith(("/pause", "/cancel")) else "failed"
        if operation.startswith(REVIEW):  # nobody edits beside a purge, which others have asked for
            session.execute(update(Job).where(Job.kind == "purge").values(state="cancelled"))
    if operation in {f"{REVIEW}undo", f"{REVIEW}redo"}:
        added = AddSpan(name="Bea", kind="add", start_ms=0, end_ms=random.randrange(1000, 9000))
        undone = [edits.undo()] if operation.endswith("redo") else []
        decide(services, world["episode_id"], admin, edits.operation(added), *undone)


def _config(api: Api, folder: Path, phases: tuple[str, ...]) -> SchemathesisConfig:
    every = ("examples", "coverage", "fuzzing", "stateful")
    return SchemathesisConfig.from_dict(
        {
            "seed": 20260504,
            "cache": {"enabled": False, "directory": str(folder)},
            "headers": api.admin.headers,
            "generation": {"max-examples": 100 if "stateful" in phases else 5, "database": "none"},
            "phases": {name: {"enabled": name in phases} for name in every},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "negative_data_rejection": {
                    "expected-statuses": [
                        "400",
                        "401",
                        "403",
                        "404",
                        "405",
                        "406",
                        "409",
                        "422",
                        "429",
                        *REFUSALS,
                    ]
                },
                "missing_required_header": {
                    "expected-statuses": ["400", "401", "403", "404", "412", "422", "428"]
                },
            },
            "operations": [
                # Beside /users/me there is /users/{user_id}: a PATCH of `me` is one with an id that is none.
                {"include-name": "GET /v1/users/me", "checks": {"unsupported_method": {"enabled": False}}},
                # What is too easy to guess, and which name or field is missing, no schema says.
                *(
                    {
                        "include-name": name,
                        "checks": {
                            "positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "400", "422"]}
                        },
                    }
                    for name in LENIENT
                ),
            ],
        }
    )


def _run(api: Api, folder: Path, *phases: str) -> tuple[list[str], set[str]]:
    """What was found, and the operations that were answered with success."""
    schema = schemathesis.openapi.from_url(
        f"{api.client.base_url}/v1/openapi.json", config=_config(api, folder, phases)
    )

    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        _prepare(api.services, api.admin, case.operation.label)
        _make_sense(case, api)

    schemathesis.hook(before_call)
    try:
        return _collect(from_schema(schema))
    finally:
        schemathesis.hooks.unregister(before_call)


def _collect(engine: Any) -> tuple[list[str], set[str]]:
    found, answered = [], set()
    for event in engine.execute():
        if isinstance(event, NonFatalError | FatalError):
            found.append(f"{getattr(event, 'label', '')}: {getattr(event, 'value', None) or event}")
        if isinstance(event, ScenarioFinished):
            found += _failures(event)
            answered |= {
                event.recorder.cases[case_id].value.operation.label
                for case_id, seen in event.recorder.interactions.items()
                if seen.response is not None and seen.response.status_code < 300
            }
    return found, answered


def _make_sense(case: Any, api: Api) -> None:
    """Put what no schema can say into most requests that are meant to be good: what exists, what is new."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    for parameter, value in (case.path_parameters or {}).items():
        if parameter in world and not _made_before(api.services, parameter, value):
            case.path_parameters[parameter] = world[parameter]
    if case.query:
        case.query.pop("cursor", None)  # of another list
        case.query.update({k: 0.1 for k in ("wait", "wait_s") if k in case.query})
    if case.headers and case.headers.get("if-match") in {"0", '"3"'}:  # its edges heed no pattern here
        case.headers["if-match"] = "*"
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex
    if case.operation.label in GOOD_BODIES and random.random() < 0.5:
        filled = {"{name}": api.admin.name, "{password}": PASSWORD, "{group}": world["group"]}
        case.body = _filled(GOOD_BODIES[case.operation.label], filled)


def _filled(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, names) for v in value]
    return names.get(value, value)


def _made_before(services: "Services", parameter: str, value: object) -> bool:
    """Whether an id is of something that there is or was; a chain goes on with what it has made."""
    if parameter not in TABLES or not isinstance(value, str) or not ID.fullmatch(value):
        return False
    with services.database.read() as session:
        if session.get(TABLES[parameter], value) is not None:
            made.add(value)
    return value in made


def _failures(event: ScenarioFinished) -> list[str]:
    return [
        f"{event.recorder.label}: {check.name}: {check.failure_info.failure.title}: "
        f"{check.failure_info.failure.message}\n{check.failure_info.code_sample}\n"
        f"{event.recorder.cases[case_id].value.meta}"
        for case_id, checks in event.recorder.checks.items()
        for check in checks
        if check.failure_info is not None
    ]


def test_single_requests(api: Api, tmp_path: Path) -> None:
    found, answered = _run(api, tmp_path, "examples", "coverage", "fuzzing")
    assert not found, "\n\n".join(dict.fromkeys(found))
    paths = api.client.get("/v1/openapi.json").json()["paths"]
    every = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    never = every - answered
    assert never == set(), json.dumps(sorted(never))


def test_chains_of_requests(api: Api, tmp_path: Path) -> None:
    found, answered = _run(api, tmp_path, "stateful")
    assert not found, "\n\n".join(dict.fromkeys(found))
    assert len(answered) >= 10, sorted(answered)
