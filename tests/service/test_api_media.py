"""The bytes of files: whole and in ranges, by token and by signed URL; nothing that is not in the lists."""

import email
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.api import Api, add_episode, add_show, api_on, end_job, problem_code, shelve
from support.http_server import ask_raw

from services.db.models import Job
from services.jobs import lifecycle

if TYPE_CHECKING:
    from screenalyzer.artifacts import EpisodePaths
    from screenalyzer.demo import DemoEpisode
    from services.context import Services

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def api(services: "Services") -> Iterator[Api]:
    with api_on(services) as found:
        yield found


@pytest.fixture
def ready(api: Api, processed: "EpisodePaths", short_season: "list[DemoEpisode]") -> str:
    """Id of an episode with results."""
    return shelve(api.services, processed, short_season[0].video)


@pytest.fixture
def video(short_season: "list[DemoEpisode]") -> bytes:
    return short_season[0].video.read_bytes()


def _files(api: Api) -> Path:
    return api.services.settings.root


# ---- ranges


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_ranges_are_the_bytes_of_the_file(api: Api, video: bytes, data: st.DataObject) -> None:
    if not api.get("/episodes")["items"]:
        add_episode(api.services, add_show(api.services), content=video)
    path = f"/media/episodes/{api.get('/episodes')['items'][0]['id']}/video"
    first = data.draw(st.integers(0, len(video) + 10))
    last = data.draw(st.none() | st.integers(0, 2 * len(video)))
    suffix = data.draw(st.booleans())
    if suffix:
        text, expected = f"bytes=-{first}", video[max(0, len(video) - first) :] if first else b""
    else:
        text = f"bytes={first}-{'' if last is None else last}"
        expected = video[first:] if last is None else video[first : last + 1]
    answer = api.ask("GET", path, headers={"Range": text})
    if not suffix and last is not None and last < first:
        assert (answer.status_code, answer.content) == (200, video)  # no valid range: ignored
    elif not expected:
        assert problem_code(answer, 416) == "range-not-satisfiable"
        assert answer.headers["content-range"] == f"bytes */{len(video)}"
    else:
        assert (answer.status_code, answer.content) == (206, expected)
        start = len(video) - len(expected) if suffix else first
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(video)}"
        assert answer.headers["content-length"] == str(len(expected))


def test_several_ranges_come_as_parts(api: Api, ready: str, video: bytes) -> None:
    answer = api.ask("GET", f"/media/episodes/{ready}/video", headers={"Range": "bytes=0-9, 100-199,-5"})
    assert answer.status_code == 206
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + answer.content).get_payload()
    assert [p.get_payload(decode=True) for p in parts] == [video[:10], video[100:200], video[-5:]]


@pytest.mark.parametrize(
    "text",
    ["bytes=", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=1-2,x", "bytes=" + "1-2," * 40 + "1-2", "x"],
)
def test_what_is_no_range_is_ignored(api: Api, ready: str, video: bytes, text: str) -> None:
    answer = api.ask("GET", f"/media/episodes/{ready}/video", headers={"Range": text})
    assert (answer.status_code, answer.content) == (200, video)


def test_if_range_asks_for_all_of_another_file(api: Api, ready: str, video: bytes) -> None:
    path = f"/media/episodes/{ready}/video"
    whole = api.ask("GET", path)
    assert whole.content == video
    assert whole.headers["accept-ranges"] == "bytes"
    for known in (whole.headers["etag"], whole.headers["last-modified"]):
        answer = api.ask("GET", path, headers={"Range": "bytes=1-2", "If-Range": known})
        assert (answer.status_code, answer.content) == (206, video[1:3])
    for other in ('"x"', f"W/{whole.headers['etag']}", "Thu, 01 Jan 1970 00:00:00 GMT"):
        answer = api.ask("GET", path, headers={"Range": "bytes=1-2", "If-Range": other})
        assert (answer.status_code, answer.content) == (200, video)


def test_head_says_what_get_would(api: Api, ready: str, video: bytes) -> None:
    path = f"/media/episodes/{ready}/video"
    head = api.ask("HEAD", path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(video)))
    part = api.ask("HEAD", path, headers={"Range": "bytes=5-9"})
    assert (part.status_code, part.headers["content-length"]) == (206, "5")


def test_a_client_that_has_it_gets_nothing(api: Api, ready: str) -> None:
    path = f"/media/episodes/{ready}/video"
    etag = api.ask("GET", path).headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        answer = api.ask("GET", path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert api.ask("GET", path, headers={"If-None-Match": '"x"'}).status_code == 200


# ---- what is in the lists


def _fetch(api: Api, url: str) -> httpx.Response:
    """As a browser does: the URL and nothing else."""
    return api.client.get(url)


def test_every_artifact_is_listed_and_its_url_opens_it(api: Api, ready: str) -> None:
    items = api.get(f"/episodes/{ready}/artifacts", api.analyst)["items"]
    assert {i["kind"] for i in items} >= {
        "video", "source", "manifest", "manifest_json", "selected_samples", "detections", "embeddings",
        "tracks", "clusters", "members", "merge_suggestions", "timeline", "totals_csv", "totals_parquet",
        "audit", "reviewed_clusters", "reviewed_members", "low_confidence",
    }  # fmt: skip
    for item in items:
        expected = (_files(api) / item["path"]).read_bytes()
        answer = _fetch(api, item["url"])
        assert (answer.status_code, answer.content) == (200, expected)
        assert len(expected) == item["size_bytes"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"].startswith("private")
        assert "attachment" in answer.headers["content-disposition"] or item["kind"] == "video"


def test_crops_are_listed_page_by_page_and_their_urls_open_them(api: Api, ready: str) -> None:
    seen, cursor = [], None
    while True:
        page = api.get(
            f"/episodes/{ready}/crops", params={"limit": 7, **({"cursor": cursor} if cursor else {})}
        )
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    there = {p.stem for p in (_files(api) / "harvest/My-Show/s01e01/crops").glob("*.jpg")}
    assert {c["det_id"] for c in seen} == there
    assert len(seen) == len(there) > 7
    places = [(c["track_id"], c["ts_ms"]) for c in seen]
    assert places == sorted(places)

    crop = seen[0]
    answer = _fetch(api, crop["url"])
    assert answer.content == (_files(api) / f"harvest/My-Show/s01e01/crops/{crop['det_id']}.jpg").read_bytes()
    assert answer.headers["content-type"] == "image/jpeg"
    thumb = _fetch(api, crop["thumb_url"])
    assert thumb.headers["content-type"] == "image/webp"
    assert "immutable" in thumb.headers["cache-control"]
    assert len(thumb.content) < 4096
    with Image.open(io.BytesIO(thumb.content)) as picture:
        assert picture.format == "WEBP"
        assert max(picture.size) <= 96
    of_track = api.get(f"/episodes/{ready}/crops", params={"track_id": crop["track_id"]})["items"]
    assert of_track == [c for c in seen if c["track_id"] == crop["track_id"]]


def test_exports_are_made_by_a_job_and_listed(api: Api, ready: str) -> None:
    answer = api.ask("POST", f"/episodes/{ready}/exports", api.analyst, json={"format": "xlsx"})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["params"]["format"]) == ("export", "xlsx")
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert api.refused(422, "POST", f"/episodes/{ready}/exports", json={"format": "pdf"}) == "invalid"
    assert api.get(f"/episodes/{ready}/exports")["items"] == []

    folder = _files(api) / "outputs/My-Show/s01e01/exports"
    folder.mkdir(exist_ok=True)
    (folder / "s01e01.xlsx").write_bytes(b"book")
    (folder / 'ä; x="1".csv').write_bytes(b"a,b\n")
    (folder / ".s01e01.csv.tmp").write_bytes(b"half")
    (folder / "link.csv").symlink_to("/etc/passwd")
    items = api.get(f"/episodes/{ready}/exports")["items"]
    assert [(i["name"], i["format"]) for i in items] == [("s01e01.xlsx", "xlsx"), ('ä; x="1".csv', "csv")]
    assert _fetch(api, items[0]["url"]).content == b"book"
    odd = _fetch(api, items[1]["url"])
    assert odd.content == b"a,b\n"
    assert odd.headers["content-disposition"] == "attachment; filename*=utf-8''" + quote('ä; x="1".csv')


# ---- what is not


def test_unknown_and_gone_are_told_apart(api: Api, ready: str) -> None:
    crop = api.get(f"/episodes/{ready}/crops")["items"][0]
    media, root = f"/media/episodes/{ready}", _files(api)
    assert api.refused(404, "GET", f"{media}/crops/{'0' * 32}.jpg") == "not-found"
    assert api.refused(404, "GET", f"{media}/thumbs/{'0' * 32}.webp") == "not-found"
    assert api.refused(404, "GET", f"{media}/artifacts/timeline/1") == "not-found"
    assert api.refused(404, "GET", f"{media}/exports/s01e01.xlsx") == "not-found"
    assert api.refused(404, "GET", f"/media/episodes/{'0' * 32}/video") == "not-found"

    (root / f"harvest/My-Show/s01e01/crops/{crop['det_id']}.jpg").unlink()
    assert api.refused(410, "GET", f"{media}/crops/{crop['det_id']}.jpg") == "gone"
    assert api.refused(410, "GET", f"{media}/thumbs/{crop['det_id']}.webp") == "gone"
    listed = next(c for c in api.get(f"/episodes/{ready}/crops")["items"] if c["det_id"] == crop["det_id"])
    assert (listed["url"], listed["thumb_url"]) == (None, None)
    next((root / "videos").rglob("*.mp4")).unlink()
    assert api.refused(410, "GET", f"{media}/video") == "gone"
    (root / "outputs/My-Show/s01e01/embeddings.parquet").unlink()
    assert api.refused(410, "GET", f"{media}/artifacts/embeddings/0") == "gone"
    with api.services.database.write() as session:
        episode = session.get_one(Job, api.post(f"/episodes/{ready}/exports", {"format": "csv"})["id"])
        episode.result = {"files": ["outputs/My-Show/s01e01/exports/s01e01-totals.csv"]}
        lifecycle.note(session, episode, "x", {})
        job_id = episode.id
    end_job(api.services, job_id)
    assert api.refused(410, "GET", f"{media}/exports/s01e01-totals.csv") == "gone"


def test_before_anything_was_made_nothing_is_listed(api: Api) -> None:
    episode = add_episode(api.services, add_show(api.services))
    for what in ("artifacts", "crops", "exports"):
        assert api.get(f"/episodes/{episode}/{what}")["items"] == []
    assert api.refused(404, "GET", f"/media/episodes/{episode}/video") == "not-found"
    assert api.refused(404, "GET", f"/media/episodes/{episode}/artifacts/timeline/0") == "not-found"


@pytest.mark.parametrize(
    "name",
    ["../timeline.csv", "..%2Ftimeline.csv", "%2e%2e%2ftimeline.csv", "..\\timeline.csv", "/etc/passwd",
     "a%00.csv", ".s01e01.csv.tmp", "%2Fetc%2Fpasswd", ".", "..", "%2e%2e", "link.csv",
     "%ed%a0%80", "%e2%80%ae.csv"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["exports", "crops", "thumbs", "artifacts"])
def test_no_name_leads_out_of_the_lists(api: Api, ready: str, name: str, place: str) -> None:
    folder = _files(api) / "outputs/My-Show/s01e01/exports"
    folder.mkdir(exist_ok=True)
    (folder / ".s01e01.csv.tmp").write_bytes(b"half")
    (folder / "link.csv").symlink_to("/etc/passwd")
    ending = {"crops": ".jpg", "thumbs": ".webp", "artifacts": "/0"}.get(place, "")
    target = f"/v1/media/episodes/{ready}/{place}/{name}{ending}"
    answer = ask_raw(api.client, target, api.admin.headers)
    assert problem_code(answer, answer.status_code) in {"not-found", "invalid"}
    assert answer.status_code in {404, 422}


def test_a_url_is_for_one_path_and_one_user(api: Api, ready: str) -> None:
    first, second, *_ = api.get(f"/episodes/{ready}/crops", api.analyst)["items"]
    path, _, query = first["url"].partition("?")
    assert _fetch(api, first["url"]).status_code == 200
    other_path = second["url"].partition("?")[0]
    assert problem_code(_fetch(api, f"{other_path}?{query}"), 401) == "bad-url"
    assert problem_code(_fetch(api, path), 401) == "not-authenticated"
    assert problem_code(api.client.get(first["url"], headers=api.admin.headers), 403) == "other-users-url"
    api.ask("POST", "/auth/logout", api.analyst)
    assert problem_code(_fetch(api, first["url"]), 401) == "url-revoked"


def test_a_damaged_crop_is_no_server_error(api: Api, ready: str) -> None:
    crop = api.get(f"/episodes/{ready}/crops")["items"][0]
    file = _files(api) / f"harvest/My-Show/s01e01/crops/{crop['det_id']}.jpg"
    file.write_bytes(file.read_bytes()[:50])
    assert api.refused(409, "GET", f"/media/episodes/{ready}/thumbs/{crop['det_id']}.webp") == "damaged"
