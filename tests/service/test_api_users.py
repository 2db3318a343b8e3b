import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from support.api import Api, api_on, problem_code
from support.callers import PASSWORD, Person, admin, person

from screenalyzer import audit
from services.access import passwords, trail
from services.context import Services
from services.db.models import IdempotencyKey, User

_NEW = "nine teal otters hum"


@pytest.fixture
def api(services: Services) -> Iterator[Api]:
    with api_on(services) as made:
        yield made


def _log_in(api: Api, name: str, password: str) -> httpx.Response:
    form = {"grant_type": "password", "username": name, "password": password}
    return api.client.post("/v1/auth/token", data=form)


def _bearer(answer: httpx.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _set_password(api: Api, headers: dict[str, str], new: str, current: str | None = None) -> httpx.Response:
    body = {"new_password": new} | ({"current_password": current} if current is not None else {})
    return api.client.put("/v1/users/me/password", headers=headers, json=body)


def _actions(api: Api) -> list[tuple[str, str, dict[str, Any]]]:
    lines = audit.read(trail.path(api.services))
    return [(x["action"], x["actor"], x["details"]) for x in lines if not x["action"].startswith("login")]


def test_everybody_sees_who_they_are(api: Api) -> None:
    answer = api.ask("GET", "/users/me", api.analyst)
    found = answer.json()
    assert found.pop("created_at").endswith("Z")
    assert found == {
        "id": api.analyst.id, "name": "ben", "role": "analyst", "active": True,
        "must_set_password": False, "secret_until": None, "revision": 1,
    }  # fmt: skip
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users", None),
        ("POST", "/users", {"name": "eve"}),
        ("GET", "/users/{id}", None),
        ("PATCH", "/users/{id}", {"role": "admin"}),
        ("DELETE", "/users/{id}", None),
        ("POST", "/users/{id}/secret", None),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_only_an_admin_may_do_anything_about_users(api: Api, method: str, path: str, body: object) -> None:
    path = path.format(id=api.analyst.id)  # also not about oneself
    assert api.refused(403, method, path, api.analyst, json=body) == "not-allowed"
    assert problem_code(api.client.request(method, f"/v1{path}", json=body), 401) == "not-authenticated"
    with api.services.database.read() as session:
        assert sorted(session.scalars(select(User.name))) == ["ada", "ben"]
        assert session.get_one(User, api.analyst.id).role == "analyst"


def test_a_new_user_logs_in_with_the_secret_once_and_sets_a_password(api: Api) -> None:
    answer = api.ask("POST", "/users", json={"name": " Zoe\u0301 ", "role": "analyst"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["role"], made["must_set_password"]) == ("Zoé", "analyst", True)
    assert answer.headers["location"] == f"/v1/users/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    seen = api.get(f"/users/{made['id']}")
    assert "secret" not in seen
    assert seen["secret_until"] == made["secret_until"]
    first = _log_in(api, "ZOÉ", made["secret"])
    assert first.json()["must_set_password"] is True
    assert _log_in(api, "zoé", made["secret"]).status_code == 401
    assert _set_password(api, _bearer(first), _NEW).status_code == 204
    assert _log_in(api, "zoé", _NEW).json()["must_set_password"] is False
    assert api.get(f"/users/{made['id']}")["secret_until"] is None


def test_a_repeated_creation_makes_one_user_and_shows_and_stores_no_secret(api: Api) -> None:
    key = {"Idempotency-Key": "the same"}
    first = api.ask("POST", "/users", json={"name": "eve"}, headers=key)
    again = api.ask("POST", "/users", json={"name": "eve"}, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.headers["location"], again.headers["etag"]) == (first.headers["location"], '"1"')
    assert again.json() == {**first.json(), "secret": None}
    with api.services.database.read() as session:
        stored = session.scalars(select(IdempotencyKey)).one()
    secret = first.json()["secret"]
    assert secret not in str(vars(stored))
    assert api.refused(422, "POST", "/users", json={"name": "eva"}, headers=key) == "idempotency-key-reused"
    assert len(api.get("/users")["items"]) == 3


def test_a_repeated_reset_keeps_the_first_secret_and_does_not_show_it_again(api: Api) -> None:
    path, key = f"/users/{api.analyst.id}/secret", {"Idempotency-Key": "the same"}
    first = api.ask("POST", path, headers=key)
    assert first.status_code == 200
    assert api.ask("POST", path, headers=key).json() == {**first.json(), "secret": None}
    assert _log_in(api, "ben", first.json()["secret"]).status_code == 200


def test_one_creation_that_is_sent_many_times_at_once_is_one_creation(api: Api) -> None:
    key = {"Idempotency-Key": "the same"}
    answers: list[httpx.Response] = []

    def create(_: int) -> int:
        answers.append(api.ask("POST", "/users", json={"name": "eve"}, headers=key))
        return answers[-1].status_code

    assert _at_once(5, create) == [201] * 5
    assert len({a.json()["id"] for a in answers}) == 1
    assert sum(a.json()["secret"] is not None for a in answers) == 1


@pytest.mark.parametrize("name", ["BEN", " ben", "ｂｅｎ"])
def test_a_name_that_reads_like_another_is_taken(api: Api, name: str) -> None:
    assert api.refused(409, "POST", "/users", json={"name": name}) == "exists"


def test_of_creations_of_one_name_at_once_one_succeeds(api: Api) -> None:
    statuses = _at_once(5, lambda _: api.ask("POST", "/users", json={"name": "eve"}).status_code)
    assert sorted(statuses) == [201, 409, 409, 409, 409]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"name": ""}, {"name": "  "}, {"name": "a\x00b"}, {"name": "a\nb"}, {"name": "\u202enimda"},
        {"name": "ad\u200bmin"}, {"name": "x" * 65}, {"name": 7}, {"name": None},
        {"name": "eve", "role": "root"},
        {"name": "eve", "password": "chosen by the admin"}, {"name": "eve", "id": "0" * 32}, [], "eve",
    ],
)  # fmt: skip
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_user_that_cannot_be_is_refused(api: Api, body: object) -> None:
    assert api.refused(422, "POST", "/users", json=body) == "invalid"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_half_a_character_in_a_name_is_refused(api: Api) -> None:
    raw, kind = b'{"name": "eve\\ud800"}', {"Content-Type": "application/json"}
    assert api.refused(422, "POST", "/users", content=raw, headers=kind) == "invalid"


@pytest.mark.parametrize("user_id", ["0" * 31, "x" * 32, "%00" * 32, "..%2f..", "A" * 32, "me2", "1'--"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_that_is_none_is_refused(api: Api, method: str, user_id: str) -> None:
    answer = api.ask(method, f"/users/{user_id}", json={}, headers={"If-Match": "*"})
    assert answer.status_code in {404, 422}
    problem_code(answer, answer.status_code)


def test_users_are_listed_by_name_in_pages(api: Api) -> None:
    for name in ("Cy", "dee", "Eve"):
        person(api.services, name, "analyst")
    names, cursor = [], None
    while True:
        page = api.get("/users", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        names += [u["name"] for u in page["items"]]
        assert not any("secret" in u or "password_hash" in u for u in page["items"])
        cursor = page["next"]
        if cursor is None:
            break
    assert names == ["ada", "ben", "Cy", "dee", "Eve"]


def test_a_role_takes_hold_at_the_next_request_of_the_same_token(api: Api) -> None:
    path, tag = f"/users/{api.analyst.id}", {"If-Match": '"1"'}
    assert api.ask("PATCH", path, json={"role": "admin"}, headers=tag).json()["role"] == "admin"
    assert api.ask("GET", "/users", api.analyst).status_code == 200
    tag = {"If-Match": '"2"'}
    assert api.ask("PATCH", path, json={"role": "analyst"}, headers=tag).headers["etag"] == '"3"'
    assert api.ask("GET", "/users", api.analyst).status_code == 403
    assert api.ask("GET", "/users/me", api.analyst).status_code == 200


def test_a_deactivation_ends_everything_at_once(api: Api) -> None:
    path = f"/users/{api.analyst.id}"
    answer = api.ask("PATCH", path, json={"active": False}, headers={"If-Match": '"1"'})
    assert answer.json()["active"] is False
    assert api.ask("GET", "/users/me", api.analyst).status_code == 401
    assert _log_in(api, "ben", PASSWORD).status_code == 401
    api.ask("PATCH", path, json={"active": True}, headers={"If-Match": '"2"'})
    assert api.ask("GET", "/users/me", api.analyst).status_code == 401  # that login stays ended
    assert _log_in(api, "ben", PASSWORD).status_code == 200


def test_a_change_on_a_stale_copy_is_refused(api: Api) -> None:
    path = f"/users/{api.analyst.id}"
    assert api.refused(428, "PATCH", path, json={"active": False}) == "if-match-required"
    assert api.refused(412, "PATCH", path, json={"active": False}, headers={"If-Match": '"2"'}) == "stale"
    assert api.refused(412, "DELETE", path, headers={"If-Match": '"2"'}) == "stale"
    assert api.refused(412, "POST", f"{path}/secret", headers={"If-Match": '"2"'}) == "stale"
    assert api.get(path)["revision"] == 1
    assert api.ask("GET", "/users/me", api.analyst).status_code == 200


def test_of_changes_to_one_copy_at_once_one_wins(api: Api) -> None:
    def change(n: int) -> int:
        body = {"role": "admin"} if n % 2 else {"active": False}
        path = f"/users/{api.analyst.id}"
        return api.ask("PATCH", path, json=body, headers={"If-Match": '"1"'}).status_code

    assert sorted(_at_once(6, change)) == [200, *[412] * 5]


def test_the_last_active_admin_cannot_go(api: Api) -> None:
    path = f"/users/{api.admin.id}"
    for body in ({"role": "analyst"}, {"active": False}, {"role": "analyst", "active": False}):
        assert api.refused(409, "PATCH", path, json=body, headers={"If-Match": "*"}) == "last-admin"
    assert api.refused(409, "DELETE", path) == "last-admin"
    assert api.get("/users/me")["revision"] == 1
    eve = admin(api.services, "eve")
    assert api.ask("DELETE", path).status_code == 204
    assert api.ask("GET", "/users/me").status_code == 401
    assert api.refused(409, "DELETE", f"/users/{eve.id}", eve) == "last-admin"


def test_admins_who_remove_each_other_at_once_leave_one(api: Api) -> None:
    people = [api.admin, *(admin(api.services, f"eve{n}") for n in range(3))]

    def remove_the_next(n: int) -> int:
        other: Person = people[(n + 1) % len(people)]
        return api.ask("DELETE", f"/users/{other.id}", people[n]).status_code

    statuses = _at_once(len(people), remove_the_next)
    with api.services.database.read() as session:
        left = list(session.scalars(select(User.id).where(User.role == "admin", User.active)))
    assert len(left) >= 1
    assert statuses.count(204) == len(people) - len(left)
    assert set(statuses) <= {204, 401, 409}


def test_a_deleted_user_is_gone(api: Api) -> None:
    path = f"/users/{api.analyst.id}"
    api.ask("POST", "/auth/logout", api.analyst, headers={"Idempotency-Key": "k"})
    assert api.ask("DELETE", path, headers={"If-Match": '"1"'}).status_code == 204
    assert api.refused(404, "GET", path) == "not-found"
    assert api.refused(404, "DELETE", path) == "not-found"
    assert api.refused(404, "PATCH", path, json={}, headers={"If-Match": "*"}) == "not-found"
    assert api.refused(404, "POST", f"{path}/secret") == "not-found"
    assert api.ask("GET", "/users/me", api.analyst).status_code == 401
    with api.services.database.read() as session:
        assert list(session.scalars(select(IdempotencyKey))) == []
    assert api.ask("POST", "/users", json={"name": "ben"}).status_code == 201


def test_a_reset_ends_the_password_and_every_login(api: Api) -> None:
    answer = api.ask("POST", f"/users/{api.analyst.id}/secret", headers={"If-Match": '"1"'})
    found = answer.json()
    assert (found["must_set_password"], answer.headers["etag"]) == (True, '"2"')
    assert api.ask("GET", "/users/me", api.analyst).status_code == 401
    assert _log_in(api, "ben", PASSWORD).status_code == 401
    again = api.post(f"/users/{api.analyst.id}/secret")
    assert _log_in(api, "ben", found["secret"]).status_code == 401
    assert _log_in(api, "ben", again["secret"]).status_code == 200


def test_a_new_password_needs_the_current_one_and_ends_the_other_logins(api: Api) -> None:
    other = _bearer(_log_in(api, "ben", PASSWORD))
    assert problem_code(_set_password(api, other, _NEW), 403) == "wrong-password"
    assert problem_code(_set_password(api, other, _NEW, "wrong"), 403) == "wrong-password"
    assert _set_password(api, other, _NEW, PASSWORD).status_code == 204
    assert api.client.get("/v1/users/me", headers=other).json()["revision"] == 2
    assert api.ask("GET", "/users/me", api.analyst).status_code == 401
    assert _log_in(api, "ben", PASSWORD).status_code == 401
    assert _log_in(api, "ben", _NEW).status_code == 200


def test_the_current_password_cannot_be_guessed_with_a_stolen_token(api: Api) -> None:
    for _ in range(5):
        assert _set_password(api, api.analyst.headers, _NEW, "guess").status_code == 403
    answer = _set_password(api, api.analyst.headers, _NEW, PASSWORD)
    assert problem_code(answer, 429) == "slow-down"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    "new", ["short", "", "password1234", "x" * 1025, "benbenbenben", "é" * 1000, None, 7]
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_password_that_is_none_is_refused_before_anything_is_checked(api: Api, new: Any) -> None:
    answer = _set_password(api, api.analyst.headers, new, PASSWORD)
    assert problem_code(answer, 422) == "invalid"
    assert "input" not in answer.text  # what was typed is not shown
    assert PASSWORD not in answer.text
    assert _log_in(api, "ben", PASSWORD).status_code == 200


def test_a_repeated_change_of_password_is_applied_once_and_cannot_be_guessed_from_the_store(api: Api) -> None:
    headers = {**api.analyst.headers, "Idempotency-Key": "k"}
    assert _set_password(api, headers, _NEW, PASSWORD).status_code == 204
    assert _set_password(api, headers, _NEW, PASSWORD).status_code == 204
    assert problem_code(_set_password(api, headers, _NEW + "!", PASSWORD), 422) == "idempotency-key-reused"
    with api.services.database.read() as session:
        fingerprint = session.scalars(select(IdempotencyKey)).one().fingerprint
        assert session.get_one(User, api.analyst.id).revision == 2
    body = json.dumps({"new_password": _NEW, "current_password": PASSWORD}, separators=(",", ":"))
    guess = hashlib.sha256(f"PUT /v1/users/me/password?\n{body}".encode()).hexdigest()
    assert fingerprint != guess
    key = api.services.keyring.newest("request").secret
    keyed = b"PUT /v1/users/me/password?\n" + hmac.digest(key, body.encode(), "sha256")
    assert fingerprint == hashlib.sha256(keyed).hexdigest()


def test_of_changes_of_the_password_at_once_one_wins_and_the_rest_are_told(api: Api) -> None:
    def change(n: int) -> int:
        return _set_password(api, api.analyst.headers, f"{_NEW} {n}", PASSWORD).status_code

    statuses = _at_once(4, change)
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 403, 409}
    with api.services.database.read() as session:
        stored = session.get_one(User, api.analyst.id).password_hash
    ours = passwords.passwords(api.services.settings.access)
    assert sum(ours.verify(stored, f"{_NEW} {n}") for n in range(4)) == 1


def test_the_audit_log_tells_who_did_what_to_whom_and_no_secret(api: Api) -> None:
    made = api.post("/users", {"name": "eve"})
    path, who = f"/users/{made['id']}", {"user": "eve", "user_id": made["id"]}
    api.ask("PATCH", path, json={"role": "admin"}, headers={"If-Match": "*"})
    api.ask("PATCH", path, json={"role": "admin"}, headers={"If-Match": "*"})  # changes nothing
    api.ask("PATCH", path, json={"active": False}, headers={"If-Match": "*"})
    secret = api.post(f"{path}/secret")["secret"]
    api.ask("DELETE", path)
    api.ask("DELETE", path)  # is refused, and changes nothing
    _set_password(api, api.analyst.headers, _NEW, PASSWORD)
    api.ask("POST", "/auth/logout", api.analyst)
    ben = {"user": "ben", "user_id": api.analyst.id}
    assert _actions(api) == [
        ("user.created", "ada", {**who, "role": "analyst"}),
        ("user.changed", "ada", {**who, "role": "admin", "active": True}),
        ("user.changed", "ada", {**who, "role": "admin", "active": False}),
        ("user.secret-reset", "ada", who),
        ("user.deleted", "ada", who),
        ("user.password-set", "ben", ben),
        ("logout", "ben", {"session": api.analyst.session_id}),
    ]
    written = trail.path(api.services).read_text()
    assert not any(x in written for x in (made["secret"], secret, PASSWORD, _NEW, "$argon2"))


def _at_once(count: int, act: Any) -> list[int]:
    together, outcomes = threading.Barrier(count), []

    def one(n: int) -> None:
        together.wait()
        outcomes.append(act(n))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(outcomes) == count
    return outcomes
