"""The API's description of itself: what FastAPI cannot see from the routes is added here.

Every route answers some things in the same way: a token that is not valid, a body that is no JSON, a database
that is away. They are documented once for all of them.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from services.api.problems import Problem, responses
from services.api.values import LARGEST

DESCRIPTION: Final = """
Screenalyzer turns the episodes of a show into per-person screen time.

**Begin.** `POST /v1/auth/token` gives an access token (OAuth2 password flow); send it as
`Authorization: Bearer …`. Create a show, upload an episode with any tus 1.0 client at `/v1/uploads`,
follow its job at `/v1/jobs/{id}` or `/v1/jobs/{id}/events`, then read its timeline, totals and exports.

**Errors** are `application/problem+json` (RFC 9457): `code` is for programs, `detail` for people.

**Lists** come in pages: `items`, and `next`, which is sent as `cursor` to read on.

**Changes.** A resource's `ETag` counts its changes. `PATCH` wants it as `If-Match` (428 without, 412 where
it is stale); `DELETE` and actions honour it. Any mutation may bring an `Idempotency-Key`: repeated with the
same key it is applied once and answered the same, with `Idempotency-Replayed: true`; another request with
that key is refused with 422.

**Files** have signed URLs that expire; they open without a token, for whom they were made.

**When Redis is away** jobs are answered from SQL, with `Screenalyzer-Mirror: away`.

Times are RFC 3339 in UTC, lengths in milliseconds. Send `X-Request-ID` to find a request in the log again.
""".strip()

TAGS: Final = [
    {"name": "auth", "description": "Tokens."},
    {"name": "users", "description": "Who may log in; for Admins."},
    {"name": "shows", "description": "Shows; deleting one purges all of it."},
    {"name": "people", "description": "Named people of a show; deleting one purges their faces everywhere."},
    {"name": "episodes", "description": "Episodes and their results."},
    {"name": "review", "description": "Who is who: an episode's people as analysts see and edit them."},
    {"name": "uploads", "description": "Videos on their way in, by the tus 1.0 protocol."},
    {"name": "jobs", "description": "Work and how far it is."},
    {"name": "artifacts", "description": "Files that were made of an episode."},
    {"name": "media", "description": "The bytes of files, by token or signed URL."},
    {"name": "exports", "description": "Files for people outside."},
    {"name": "audit", "description": "What was done, in logs whose lines are chained."},
    {"name": "machine", "description": "Disk and settings; for Admins."},
    {"name": "health", "description": "How the service is."},
    {"name": "metrics", "description": "Figures for Prometheus."},
]

_LISTS: Final = {
    "show_id": "/v1/shows",
    "episode_id": "/v1/episodes",
    "job_id": "/v1/jobs",
    "upload_id": "/v1/uploads",
    "user_id": "/v1/users",
}
_METHODS: Final = frozenset({"get", "put", "post", "patch", "delete", "head", "options"})
_MUTATIONS: Final = frozenset({"put", "post", "patch", "delete"})
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The request is applied once, however often it is sent with this key.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    "example": "0f8c1d2e-3b4a-4c5d-8e9f-a0b1c2d3e4f5",
}
_REQUEST_ID: Final = {
    "description": "the request's id in the log",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}


def install(app: FastAPI) -> None:
    """Let the application describe itself with what is added here."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(plain())
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    document["components"].setdefault("headers", {})["RequestId"] = _REQUEST_ID
    _bound_numbers(schemas)
    _add_links(document)
    for path, method, operation in _operations(document):
        _add_responses(path, method, operation)
        _add_parameters(method, operation)


def _bound_numbers(schemas: dict[str, Any]) -> None:
    """Settings take any number that JSON keeps exactly (`values.finite`)."""
    for name in ("VideoSettings", "ShotSettings", "TrackSettings", "ClusterSettings", "ScreenTimeRules"):
        for key in (name, f"{name}-Input"):
            for field in schemas.get(key, {}).get("properties", {}).values():
                if field.get("type") in {"integer", "number"}:
                    field.update(
                        {} if "exclusiveMaximum" in field else {"maximum": field.get("maximum", LARGEST)}
                    )


def _add_links(document: dict[str, Any]) -> None:
    """From each list to what can be done with what it names."""
    for path, _, operation in list(_operations(document)):
        names = re.findall(r"{(\w+)}", path)
        if len(names) == 1 and names[0] in _LISTS:
            answer = document["paths"][_LISTS[names[0]]]["get"]["responses"]["200"]
            answer.setdefault("links", {})[operation["operationId"]] = {
                "operationId": operation["operationId"],
                "parameters": {names[0]: "$response.body#/items/0/id"},
            }


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method, operation


def _add_responses(path: str, method: str, operation: dict[str, Any]) -> None:
    """What any route may answer, where it does not say it itself."""
    known = operation["responses"]
    if "HTTPValidationError" in str(known.get("422")):
        del known["422"]
    common = {503}
    if operation.get("security"):
        common |= {401}
    if operation.get("parameters") or "{" in path:
        common |= {422}
    if method in _MUTATIONS:
        common |= {400, 409, 413, 422, 507}
    for status, answer in responses(*common).items():
        known.setdefault(str(status), answer)
    for answer in known.values():
        if answer.get("content") == {"application/json": {"schema": {}}}:
            del answer["content"]  # FastAPI's guess at an answer without a body
        answer.setdefault("headers", {}).setdefault(
            "X-Request-ID", {"$ref": "#/components/headers/RequestId"}
        )


def _add_parameters(method: str, operation: dict[str, Any]) -> None:
    """The key of mutations, which FastAPI does not see; and what it cannot say of the others."""
    parameters = operation.setdefault("parameters", [])
    for parameter in parameters:
        _forget_null(parameter)
        if parameter["name"] == "if-match":
            parameter["required"] = "428" in operation["responses"]
    if method in _MUTATIONS and operation.get("security"):
        parameters.append(_IDEMPOTENCY_KEY)


def _forget_null(parameter: dict[str, Any]) -> None:
    """A parameter is sent or not; there is no null in a URL or a header."""
    choices = [c for c in parameter["schema"].get("anyOf", []) if c.get("type") != "null"]
    if len(choices) == 1:
        rest = {k: v for k, v in parameter["schema"].items() if k != "anyOf"}
        parameter["schema"] = {**choices[0], **rest}
