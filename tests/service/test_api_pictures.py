"""Pictures by the hundred: folders that are signed once, thumbs from memory, still frames of the video."""

import io
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import event, update
from support.api import Api, add_episode, add_show, problem_code, shelve
from support.callers import Person, admin, analyst
from support.http_server import ask_raw, serving

from pipelines.episode import load_source
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.results import EpisodeFacts
from screenalyzer.types import UInt8
from screenalyzer.video.still import still
from services.access import sessions
from services.access.sessions import Caller
from services.access.signing import REMEMBERED_S, RecentCallers, sign
from services.api.media_urls import media_templates
from services.api.pictures import Kept
from services.api.stepping import frames_on_the_way
from services.db.models import Episode, Video, now

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode
    from services.context import Services


_SECOND, _HOUR = timedelta(seconds=1), timedelta(hours=1)


@dataclass(frozen=True)
class Ready:
    """An episode with results, and what opens its pictures for Ben."""

    id: str
    paths: EpisodePaths
    media: dict[str, str]
    det_ids: list[str]

    def thumb(self, number: int = 0) -> str:
        return self.media["thumb"].replace("{det}", self.det_ids[number])

    def frame(self, ts_ms: int, more: str = "") -> str:
        return self.media["frame"].replace("{ts}", str(ts_ms)) + more


class _Clock:
    """Seconds that pass when a test says so."""

    at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'service.db'}"


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def api(services: "Services", clock: _Clock) -> Iterator[Api]:
    from services.api.app import create_app  # noqa: PLC0415 - the routes take a second to import

    app = create_app(services, lambda _: None)
    app.state.recent_callers = RecentCallers(clock)
    with serving(app) as client:
        yield Api(services, client, admin(services), analyst(services))


@pytest.fixture
def ready(api: Api, processed: "EpisodePaths", short_season: "list[DemoEpisode]") -> Ready:
    episode_id = shelve(api.services, processed, short_season[0].video)
    paths = EpisodePaths(api.services.settings.root, "My-Show", "s01e01")
    media = _templates(api, api.analyst, episode_id)
    return Ready(episode_id, paths, media, sorted(p.stem for p in paths.crops.glob("*.jpg")))


def _templates(api: Api, who: Person, episode_id: str) -> dict[str, str]:
    with api.services.database.read() as session:
        episode = session.get_one(Episode, episode_id)
    return media_templates(api.services, Caller(who.id, who.name, "analyst", who.session_id), episode)


def _picture(answer: httpx.Response) -> UInt8:
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as picture:
        return np.asarray(picture.convert("RGB"))


# ---- folders


def test_one_signature_opens_every_picture_of_its_kind(api: Api, ready: Ready) -> None:
    assert len(ready.det_ids) > 5
    for det_id in ready.det_ids:
        thumb = api.client.get(ready.media["thumb"].replace("{det}", det_id))
        assert (thumb.status_code, thumb.headers["content-type"]) == (200, "image/webp")
        crop = api.client.get(ready.media["crop"].replace("{det}", det_id))
        assert crop.content == (ready.paths.crops / f"{det_id}.jpg").read_bytes()
    assert api.client.get(ready.media["video"]).status_code == 200
    assert api.client.get(ready.frame(0)).headers["content-type"] == "image/jpeg"


def test_it_opens_no_other_folder_episode_or_kind_of_thing(api: Api, ready: Ready) -> None:
    other = add_episode(api.services, add_show(api.services, "Other"), content=b"v")
    query, det = ready.media["thumb"].partition("?")[2], ready.det_ids[0]
    here, there = f"/v1/media/episodes/{ready.id}", f"/v1/media/episodes/{other}"
    for path in (
        f"{here}/crops/{det}.jpg", f"{here}/frames/0.jpg", f"{here}/video", f"{here}/artifacts/timeline/0",
        f"{here}/exports/s01e01.csv", f"{there}/thumbs/{det}.webp", f"{there}/video",
        f"/v1/episodes/{ready.id}/timeline", "/v1/episodes", "/v1/users/me",
    ):  # fmt: skip
        assert problem_code(api.client.get(f"{path}?{query}"), 401) in {"bad-url", "not-authenticated"}


@pytest.mark.parametrize(
    "name",
    ["../video", "..%2Fvideo", "%2e%2e/video", "%2e%2e%2fvideo", "..", "%2e%2e", "", "/", "./{det}.webp",
     "x/{det}.webp", "{det}.webp/", "%2F{det}.webp", "../thumbs/{det}.webp", "..\\video", "{det}.webp%00",
     "{det}.jpg", "../../../../../etc/passwd", "..%2Fartifacts%2Ftimeline%2F0"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(api: Api, ready: Ready, name: str) -> None:
    folder, _, query = ready.media["thumb"].partition("{det}.webp?")
    answer = ask_raw(api.client, f"{folder}{name.replace('{det}', ready.det_ids[0])}?{query}")
    assert answer.status_code in {401, 404, 422}
    assert problem_code(answer, answer.status_code) in {"bad-url", "not-found", "invalid"}


def test_it_is_for_one_user_and_for_a_while(api: Api, ready: Ready) -> None:
    assert problem_code(api.client.get(ready.thumb(), headers=api.admin.headers), 403) == "other-users-url"
    assert api.client.get(ready.thumb(), headers=api.analyst.headers).status_code == 200
    folder, path = f"/v1/media/episodes/{ready.id}/thumbs/", ready.thumb().partition("?")[0]
    ben, ada = api.analyst, api.admin
    for user, session, expires, code in (
        (ben.id, ben.session_id, now() - _SECOND, "url-expired"),
        (ben.id, ada.session_id, now() + _HOUR, "url-revoked"),
        (ada.id, ben.session_id, now() + _HOUR, "url-revoked"),
        (ben.id, "0" * 32, now() + _HOUR, "url-revoked"),
    ):
        query = sign(api.services.keyring, folder, user, session, expires, folder=True)
        assert problem_code(api.client.get(f"{path}?{query}"), 401) == code


def test_it_dies_with_its_login_within_seconds(api: Api, ready: Ready, clock: _Clock) -> None:
    assert api.client.get(ready.thumb()).status_code == 200
    with api.services.database.write() as session:
        sessions.revoke(session, api.analyst.session_id)
    clock.at += REMEMBERED_S
    for url in (ready.thumb(), ready.frame(0), ready.media["crop"].replace("{det}", ready.det_ids[0])):
        assert problem_code(api.client.get(url), 401) == "url-revoked"


# ---- thumbs


def test_a_thumb_is_kept_in_memory_only_while_its_crop_lies_there(api: Api, ready: Ready) -> None:
    first = api.client.get(ready.thumb())
    assert "immutable" in first.headers["cache-control"]
    assert first.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert len(first.content) < 4096
    assert api.client.get(ready.thumb()).content == first.content
    crop = ready.paths.crops / f"{ready.det_ids[0]}.jpg"
    Image.new("RGB", (160, 120), "red").save(crop)
    changed = _picture(api.client.get(ready.thumb()))
    assert changed.shape == (72, 96, 3)
    assert changed.mean(axis=(0, 1))[0] > 200
    crop.unlink()
    assert problem_code(api.client.get(ready.thumb()), 410) == "gone"
    ready.paths.selected_samples.unlink()
    assert problem_code(api.client.get(ready.thumb()), 404) == "not-found"


def test_a_wall_of_thumbs_asks_the_database_once(api: Api, ready: Ready) -> None:
    asked: list[str] = []
    event.listen(
        api.services.database.engine, "before_cursor_execute", lambda *call: asked.append(str(call[2]))
    )
    assert api.client.get(ready.thumb()).status_code == 200
    assert asked
    asked.clear()
    for number in range(len(ready.det_ids)):
        assert api.client.get(ready.thumb(number)).status_code == 200
    assert asked == []


def test_what_is_kept_is_bounded_and_the_longest_unused_goes_first() -> None:
    kept, mark = Kept(10), (1, 1, 1)
    for name in "abc":
        kept.put(name, mark, b"123")
    assert kept.get("a", mark) == b"123"
    kept.put("d", mark, b"123")
    assert [n for n in "abcd" if kept.get(n, mark)] == ["a", "c", "d"]
    kept.put("e", mark, b"x" * 11)
    kept.put("f", None, b"1")
    assert [n for n in "acdef" if kept.get(n, mark)] == ["a", "c", "d"]
    assert kept.get("a", (2, 1, 1)) is None
    assert kept.get("a", mark) is None
    kept.put("c", mark, b"1234567")
    assert [n for n in "cd" if kept.get(n, mark)] == ["c", "d"]


# ---- frames


def test_a_frame_is_the_one_that_a_detection_was_found_in(api: Api, ready: Ready) -> None:
    video, info = _video(api, ready), load_source(ready.paths)
    for sample in api.get(f"/episodes/{ready.id}/crops", params={"limit": 5})["items"]:
        shown = _picture(api.client.get(ready.frame(sample["ts_ms"])))
        expected = still(video, info, sample["ts_ms"])
        assert shown.shape == expected.shape
        assert np.abs(shown.astype(int) - expected).mean() < 4  # what JPEG loses
    small = _picture(api.client.get(ready.frame(0, "&height=240")))
    assert small.shape[0] == 240
    assert np.array_equal(
        _picture(api.client.get(ready.frame(-5000))), _picture(api.client.get(ready.frame(0)))
    )


def test_frames_that_are_stepped_through_are_read_in_one_go_and_are_the_same(api: Api, ready: Ready) -> None:
    video, info, facts = _video(api, ready), load_source(ready.paths), EpisodeFacts.load(ready.paths)
    moments = [facts.start_ms + math.ceil(n * 1000 / round(facts.fps, 3) - 1e-6) for n in range(50, 60)]
    assert frames_on_the_way(ready.paths, moments[0], lambda _: False) == [moments[0]]
    on = frames_on_the_way(ready.paths, moments[1], {moments[0]}.__contains__)
    assert on == moments[1:9]
    back = frames_on_the_way(ready.paths, moments[8], {moments[9], moments[3]}.__contains__)
    assert back == [m for m in reversed(moments[1:9]) if m != moments[3]]
    assert frames_on_the_way(ready.paths, facts.start_ms + 1, lambda _: True) == [facts.start_ms + 1]
    for moment in (*moments, *reversed(moments)):
        shown = _picture(api.client.get(ready.frame(moment, "&height=240")))
        assert np.abs(shown.astype(int) - still(video, info, moment, 240)).mean() < 4


def test_a_frame_says_how_long_it_may_be_kept(api: Api, ready: Ready) -> None:
    first = api.client.get(ready.frame(400))
    assert first.headers["cache-control"] == "private, max-age=3600"
    assert first.headers["content-security-policy"] == "default-src 'none'; sandbox"
    again = api.client.get(ready.frame(400), headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = api.client.get(ready.frame(400, "&height=300"), headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("ts", "more"),
    [("x", ""), ("1.5", ""), ("1e3", ""), (str(1 << 41), ""), ("0", "&height=1081"), ("0", "&height=239"),
     ("0", "&height=x"), ("9" * 40, "")],
)  # fmt: skip
def test_moments_and_heights_have_bounds(api: Api, ready: Ready, ts: str, more: str) -> None:
    url = ready.media["frame"].replace("{ts}", ts) + more
    assert problem_code(api.client.get(url), 422) == "invalid"


def test_frames_of_a_video_that_is_gone_broken_or_another_are_refused(api: Api, ready: Ready) -> None:
    video = _video(api, ready)
    raw = video.read_bytes()
    assert api.client.get(ready.frame(0)).status_code == 200
    video.write_bytes(bytes(len(raw)))
    assert problem_code(api.client.get(ready.frame(0)), 409) == "damaged"
    video.unlink()
    assert problem_code(api.client.get(ready.frame(0)), 410) == "gone"
    video.write_bytes(raw)
    assert api.client.get(ready.frame(0)).status_code == 200
    with api.services.database.write() as session:
        session.add(Video(sha256="0" * 64, path=str(video), size_bytes=1))
        session.flush()
        session.execute(update(Episode).values(video_sha256="0" * 64))
    assert problem_code(api.client.get(ready.frame(0)), 409) == "not-ready"
    ready.paths.source_json.unlink()
    assert problem_code(api.client.get(ready.frame(0)), 409) == "not-ready"
    empty = add_episode(api.services, add_show(api.services, "Other"))
    assert api.refused(404, "GET", f"/media/episodes/{empty}/frames/0.jpg") == "not-found"
    assert api.refused(404, "GET", f"/media/episodes/{'0' * 32}/frames/0.jpg") == "not-found"


def test_frames_that_wait_for_a_decoder_hold_no_thread_of_others(api: Api, ready: Ready) -> None:
    """Sixty at once, more than the process has threads, and everything else is answered meanwhile."""
    with ThreadPoolExecutor(60) as pool:
        asked = [pool.submit(api.client.get, ready.frame(n * 40)) for n in range(60)]
        assert api.get("/users/me")["name"] == api.admin.name
        assert not all(a.done() for a in asked)
        assert {a.result().status_code for a in asked} == {200}


def _video(api: Api, ready: Ready) -> Path:
    with api.services.database.read() as session:
        video = session.get_one(Video, session.get_one(Episode, ready.id).video_sha256)
    return api.services.settings.root / video.path
