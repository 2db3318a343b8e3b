"""What must not come in: in every string of every operation that the API describes, on both databases."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from support.api import Api, add_episode, add_job, add_person, add_show, api_on, problem_code

from services.db.models import Episode, Job, Show, User

if TYPE_CHECKING:
    from services.context import Services

LONG = "a" * 1_000_000
BAD = {
    "traversal": "../../../../etc/passwd",
    "backslashes": "..\\..\\windows\\win.ini",
    "encoded": "%2e%2e%2fetc%2fpasswd\x00",
    "nul": "s01\x00e01",
    "control": "s01\x1b[2Je01",
    "newline": "s01\r\nSet-Cookie: a=b",
    "bidi": "s01\u202egpj.exe",
    "isolate": "s01\u2066e01",
    "surrogate": "s01\ud800e01",
    "long": LONG,
}
# Whatever is in them: nobody shows them, and no path is made of them.
OPAQUE = {"Idempotency-Key", "password", "new_password", "current_password", "refresh_token", "username"}
# Their strings stand in headers, where HTTP itself has its say; the tests of uploads send them.
TUS = "/v1/uploads"


@dataclass(frozen=True)
class Target:
    """A string of an operation.

    Attributes:
        method: of the operation.
        path: likewise.
        where: path, query, header or body.
        name: of the parameter; of a field of the body, its keys.
        body: an example of the body, if there is one.
        keys: of the field.
    """

    method: str
    path: str
    where: str
    name: str
    body: Any = None
    keys: tuple[str, ...] = field(default=())


def _document(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get("/v1/openapi.json").json()
    return found


def _targets(document: dict[str, Any]) -> Iterator[Target]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for p in operation.get("parameters", []):
                if "string" in json.dumps(p["schema"]) and p["name"] not in OPAQUE:
                    yield Target(method.upper(), path, p["in"], p["name"])
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                schema = _resolve(document, content["application/json"]["schema"])
                example = schema["examples"][0]
                for keys in _strings(document, schema):
                    if keys[-1] not in OPAQUE:
                        yield Target(method.upper(), path, "body", ".".join(keys), example, keys)


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def _strings(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    schema = _resolve(document, schema)
    for choice in schema.get("anyOf", []):
        yield from _strings(document, choice)
    if schema.get("type") == "string":
        yield ()
    for name, each in schema.get("properties", {}).items():
        for keys in _strings(document, each):
            yield (name, *keys)


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def places(api: Api) -> dict[str, str]:
    """Ids that exist, so that nothing else is wrong with a request."""
    show = add_show(api.services)
    episode = add_episode(api.services, show, content=b"v")
    return {
        "show_id": show, "episode_id": episode, "job_id": add_job(api.services, episode, "export"),
        "person_id": add_person(api.services, "My-Show"), "user_id": api.analyst.id, "upload_id": "0" * 32,
        "det_id": "0" * 32, "kind": "timeline", "part": "0", "name": "x.csv",
    }  # fmt: skip


def _send(api: Api, target: Target, places: dict[str, str], bad: str) -> httpx.Response | None:
    """The answer; None where HTTP itself cannot carry it."""
    bad = bad[:60_000] if target.where in {"path", "query"} else bad  # httpx makes no longer URLs
    places = {**places, target.name: bad} if target.where == "path" else places
    known = {name: quote(value.encode(errors="surrogatepass"), safe="") for name, value in places.items()}
    raw = target.path
    for name in [n for n in known if f"{{{n}}}" in raw]:
        raw = raw.replace(f"{{{name}}}", known[name])
    headers = {**api.admin.headers, "if-match": "*", "Content-Type": "application/json"}
    if target.where == "query":
        raw += f"?{target.name}={quote(bad.encode(errors='surrogatepass'), safe='')}"
    if target.where == "header":
        headers[target.name] = bad.encode(errors="surrogatepass")  # type: ignore[assignment]
    body = deepcopy(target.body)
    if target.keys:
        _put(body, target.keys, bad)
    content = None if body is None else json.dumps(body).encode()
    url = api.client.base_url.copy_with(raw_path=raw.encode())
    try:
        return api.client.request(target.method, url, headers=headers, content=content)
    except (httpx.TransportError, httpx.InvalidURL):
        assert target.where == "header" or bad == LONG
        return None


def _put(body: dict[str, Any], keys: tuple[str, ...], value: str) -> None:
    for key in keys[:-1]:
        body = body.setdefault(key, {})
    body[keys[-1]] = value


def _counts(services: "Services") -> list[int]:
    with services.database.read() as session:
        return [session.query(table).count() for table in (Show, Episode, Job, User)]


@pytest.mark.parametrize("kind", BAD)
def test_every_string_of_every_operation_refuses_it(api: Api, places: dict[str, str], kind: str) -> None:
    before, seen = _counts(api.services), 0
    for target in _targets(_document(api)):
        if target.path.startswith(TUS) and target.where == "header":
            continue
        answer = _send(api, target, places, BAD[kind])
        seen += 1
        if answer is None:
            continue
        assert 400 <= answer.status_code < 500, (target, answer.status_code, answer.text[:500])
        if answer.headers.get("content-type") != "application/problem+json":
            assert answer.status_code in {400, 431} or target.method == "HEAD"
            assert kind == "long" or target.where == "header", target  # the HTTP server itself has refused it
        assert len(answer.content) < 10_000
    assert seen > 60  # so many strings there are
    assert _counts(api.services) == before


@pytest.mark.parametrize("kind", BAD)
def test_no_name_of_a_field_does_harm(api: Api, kind: str) -> None:
    answer = api.ask("POST", "/shows", content=json.dumps({"title": "x", BAD[kind]: 1}).encode(),
                     headers={"Content-Type": "application/json"})  # fmt: skip
    assert problem_code(answer, 422) == "invalid"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"[" * 100_000, b'{"title": ' * 50_000, b"9" * 5000, b'"x"', b"null", b"[]",
     b"", b'{"title": "a", "title": "../b"}', b'{"title": {"a": "b"}}', b'{"title": ["a"]}',
     b'{"title": 1}', b"\0"],
)  # fmt: skip
def test_a_body_that_is_none_is_refused(api: Api, body: bytes) -> None:
    answer = api.ask("POST", "/shows", content=body, headers={"Content-Type": "application/json"})
    assert problem_code(answer, answer.status_code) in {"invalid", "bad-request"}
    assert answer.status_code in {400, 422}


@pytest.mark.parametrize("title", ["…", "   ", "-.-", "", "x" * 121, "语" * 67, "\u0301"])
def test_a_title_without_a_name_is_refused(api: Api, title: str) -> None:
    assert api.refused(422, "POST", "/shows", json={"title": title}) == "invalid"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Löwe & Söhne", "Löwe-Söhne"), ("第1話 …はじまり", "第1話-はじまり"), ("a/b", "a-b"), ("หนึ่ง", "หนึ่ง"),
        ("Who? 🎬 1", "Who-1"), ("' OR 1=1; --", "OR-1-1"), ("%s%n{0}", "s-n-0"),
        ("<script>alert(1)</script>", "script-alert-1-script"),
    ],
)  # fmt: skip
def test_a_title_in_any_script_is_kept(api: Api, title: str, name: str) -> None:
    show = api.post("/shows", {"title": title})
    assert (show["title"], show["name"]) == (title, name)
    assert api.get(f"/shows/{show['id']}") == show


def test_a_body_beyond_1_mib_is_refused_without_being_read(api: Api) -> None:
    declared = api.ask("POST", "/shows", content=b"x" * (2 << 20))
    assert problem_code(declared, 413) == "too-large"

    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            sent.append(1)
            yield b"x" * (1 << 16)

    sent: list[int] = []
    try:
        answer = api.ask("POST", "/shows", content=endless())
    except httpx.TransportError:  # it closed while we were still sending
        pass
    else:
        assert problem_code(answer, 413) == "too-large"
    assert len(sent) < 1000


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30])
def test_a_length_that_is_none_is_refused(api: Api, length: str) -> None:
    try:
        answer = api.ask("POST", "/shows", content=b"{}", headers={"Content-Length": length})
    except (httpx.TransportError, ValueError):  # the client itself does not send it
        return
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/nothing", "/v1/shows/", "//v1/shows", "/v1/shows/x/y", "/", "/docs"]
)
def test_a_path_that_is_none_is_a_problem(api: Api, path: str) -> None:
    answer = api.client.get(api.client.base_url.copy_with(raw_path=path.encode()))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not-found"


def test_a_method_that_is_none_says_which_are(api: Api) -> None:
    answer = api.ask("PUT", "/shows")
    assert problem_code(answer, 405) == "method-not-allowed"
    assert answer.headers["allow"]


@pytest.mark.parametrize("host", ["[::1", "a b", "x" * 5000, "a@b:c", "\xff"])
def test_a_host_that_is_none_does_no_harm(api: Api, host: str) -> None:
    try:
        answer = api.ask("GET", "/nothing", headers={"Host": host.encode("latin-1")})  # type: ignore[dict-item]
    except httpx.TransportError:
        return
    assert 400 <= answer.status_code < 500
