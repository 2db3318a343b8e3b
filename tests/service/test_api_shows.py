"""Shows: made, changed, listed and purged; revisions and roles."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.api import Api, api_on

if TYPE_CHECKING:
    from services.context import Services


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


def test_a_title_stays_as_typed_and_the_name_is_clean(api: Api) -> None:
    answer = api.ask("POST", "/shows", api.analyst, json={"title": "  The Löng: Table/2  "})
    assert answer.status_code == 201
    show = answer.json()
    assert (show["title"], show["name"], show["weight"]) == ("The Löng: Table/2", "The-Löng-Table-2", 1)
    assert answer.headers["location"] == f"/v1/shows/{show['id']}"
    assert answer.headers["etag"] == '"1"'
    assert api.get(f"/shows/{show['id']}") == show


def test_a_show_of_that_name_is_there_already(api: Api) -> None:
    api.post("/shows", {"title": "A b"})
    assert api.refused(409, "POST", "/shows", json={"title": "A: b"}) == "exists"


def test_many_at_once_make_one(api: Api) -> None:
    def create(_: int) -> int:
        return api.ask("POST", "/shows", json={"title": "Only once"}).status_code

    with ThreadPoolExecutor(16) as pool:
        found = sorted(pool.map(create, range(16)))
    assert found == [201] + [409] * 15
    assert len(api.get("/shows")["items"]) == 1


def test_a_change_needs_the_revision_that_was_read(api: Api) -> None:
    show = api.post("/shows", {"title": "One"})
    path, body = f"/shows/{show['id']}", {"title": "Two"}
    assert api.refused(428, "PATCH", path, json=body) == "if-match-required"
    assert api.refused(412, "PATCH", path, json=body, headers={"If-Match": '"7"'}) == "stale"
    changed = api.ask("PATCH", path, api.analyst, json=body, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (changed.json()["title"], changed.json()["name"]) == ("Two", "One")
    assert api.refused(412, "PATCH", path, json=body, headers={"If-Match": '"1"'}) == "stale"


def test_of_changes_made_at_once_on_one_revision_one_is_taken(api: Api) -> None:
    show = api.post("/shows", {"title": "One"})

    def change(n: int) -> int:
        headers = {"If-Match": '"1"'}
        return api.ask("PATCH", f"/shows/{show['id']}", json={"title": f"t{n}"}, headers=headers).status_code

    with ThreadPoolExecutor(16) as pool:
        found = sorted(pool.map(change, range(16)))
    assert found == [200] + [412] * 15
    assert api.get(f"/shows/{show['id']}")["revision"] == 2


def test_weight_is_an_admins(api: Api) -> None:
    show = api.post("/shows", {"title": "One"})
    path, headers = f"/shows/{show['id']}", {"If-Match": "*"}
    assert api.refused(403, "PATCH", path, api.analyst, json={"weight": 3}, headers=headers) == "not-allowed"
    assert api.ask("PATCH", path, json={"weight": 3}, headers=headers).json()["weight"] == 3
    assert api.refused(422, "PATCH", path, json={"weight": 0}, headers=headers) == "invalid"


def test_a_purge_is_an_admins_and_heeds_the_revision(api: Api) -> None:
    show = api.post("/shows", {"title": "One"})
    path = f"/shows/{show['id']}"
    assert api.refused(403, "DELETE", path, api.analyst) == "not-allowed"
    assert api.refused(412, "DELETE", path, headers={"If-Match": '"9"'}) == "stale"
    answer = api.ask("DELETE", path, headers={"If-Match": '"1"'})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["show_id"]) == ("purge", show["id"])
    assert api.get(f"/jobs/{job['id']}")["state"] in {"queued", "running"}


def test_lists_are_read_page_by_page_while_rows_come(api: Api) -> None:
    for n in range(0, 20, 2):
        api.post("/shows", {"title": f"s{n:02d}"})
    seen, cursor, n = [], None, 0
    while True:
        page = api.get("/shows", params={"limit": 3, **({"cursor": cursor} if cursor else {})})
        seen += [s["name"] for s in page["items"]]
        api.post("/shows", {"title": f"s{n * 2 + 1:02d}"})  # between, before or behind what was read
        n += 1
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == sorted(set(seen))
    assert {f"s{n:02d}" for n in range(0, 20, 2)} <= set(seen)


@pytest.mark.parametrize("cursor", ["x", "é", "W10", "WyJhIiwgImIiXQ", "WzFd", "Wy1d", "bnVsbA", "A" * 1999])
def test_a_cursor_that_is_none_is_refused(api: Api, cursor: str) -> None:
    assert api.refused(422, "GET", "/shows", params={"cursor": cursor}) == "bad-cursor"


def test_head_is_get_without_a_body(api: Api) -> None:
    show = api.post("/shows", {"title": "One"})
    head = api.ask("HEAD", f"/shows/{show['id']}")
    assert (head.status_code, head.headers["etag"], head.content) == (200, '"1"', b"")
    assert int(head.headers["content-length"]) > 0
