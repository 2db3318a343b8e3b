"""The tus protocol over real HTTP: what it promises, and every way to break it that was thought of."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from support.api import add_episode, add_job, end_job
from support.clips import make_clip, moving_bars
from support.tus_server import PART, Studio, checksum, cleared, code, encode, padded, studio_on

from services.db.models import Episode, Job, Show, Upload, now
from services.uploads import store

MIB = 1 << 20
CFG = {"max_bytes": 64 * MIB, "max_open": 6}
GOOD = encode({"filename": "a.mp4", "show": "My Show"})


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    made = studio_on(folder / "data", f"sqlite:///{folder / 'service.db'}", uploads=CFG)
    yield made
    made.close()


@pytest.fixture
def studio(running: Studio) -> Studio:
    return cleared(running)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "c.mp4", moving_bars(30)).read_bytes()


def test_it_says_without_a_token_what_it_speaks(studio: Studio) -> None:
    answer = httpx.options(studio.url)
    assert answer.status_code == 204
    assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
    extensions = set(answer.headers["tus-extension"].split(","))
    assert extensions == {"creation", "creation-with-upload", "checksum", "expiration", "termination"}
    assert answer.headers["tus-max-size"] == str(64 * MIB)
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256,md5"
    assert f"max-append-size={16 * MIB}" in answer.headers["upload-limit"]


def test_a_file_in_parts_becomes_an_episode_with_a_job(studio: Studio, clip: bytes) -> None:
    data = padded(clip, 3 * MIB)
    path = studio.created(len(data), episode="Pilot", settings='{"video": {"sample_fps": 2}}', replace="true")
    assert studio.offset(path) == 0
    for at in range(0, len(data), MIB):
        answer = studio.patch(path, at, data[at : at + MIB])
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(at + MIB))
        assert ("upload-expires" in answer.headers) == (at + MIB < len(data))
    assert studio.part(path).read_bytes() == data
    found = studio.view(path)
    assert (found["state"], found["offset"], found["problem"]) == ("received", len(data), None)
    with studio.services.database.read() as session:
        episode, job = session.get_one(Episode, found["episode_id"]), session.get_one(Job, found["job_id"])
        assert (episode.name, episode.title, episode.show.title) == ("Pilot", "Pilot", "My Show")
        assert (job.kind, job.state, job.episode_id, job.user_id) == (
            "process",
            "queued",
            episode.id,
            studio.ana.id,
        )
        assert job.params == {
            "upload_id": found["id"],
            "settings": {"video": {"sample_fps": 2.0}},
            "replace": True,
            "actor": "ana",
        }
        assert job.runs[0].state == "queued"  # it was sent
    # What comes afterwards changes nothing.
    assert studio.offset(path) == len(data)
    assert studio.patch(path, len(data), b"").status_code == 204
    assert code(studio.patch(path, len(data) - MIB, data[-MIB:]), 409) == "wrong-offset"
    assert code(studio.patch(path, len(data), b"x"), 413) == "beyond-length"
    assert code(studio.ask("DELETE", path), 409) == "finished"
    assert studio.part(path).read_bytes() == data
    again = studio.create(len(data), episode="Pilot", replace="true")
    assert code(again, 409) == "busy"


def test_creation_may_bring_the_first_bytes_or_all(studio: Studio, clip: bytes) -> None:
    data = padded(clip, 2 * MIB)
    named = encode({"filename": "a.mp4", "show": "At once"})
    headers = {"Upload-Length": str(len(data)), "Upload-Metadata": named, "Content-Type": PART}
    first = studio.ask("POST", headers=headers, content=data[:MIB])
    assert (first.status_code, first.headers["upload-offset"]) == (201, str(MIB))
    path = first.headers["location"].removeprefix("/v1/uploads")
    assert studio.patch(path, MIB, data[MIB:]).headers["upload-offset"] == str(len(data))
    whole = {**headers, "Upload-Metadata": encode({"filename": "b.mp4", "show": "At once"})}
    answer = studio.ask("POST", headers={**whole, "Upload-Checksum": checksum(data)}, content=data)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(len(data)))
    assert studio.view(answer.headers["location"].removeprefix("/v1/uploads"))["state"] == "received"


@pytest.mark.parametrize(
    ("changes", "body", "status", "why"),
    [
        ({"Content-Type": "text/plain"}, b"x", 415, "not-a-part"),
        ({"Content-Type": None}, b"x", 415, "not-a-part"),
        ({}, b"x" * 1001, 413, "beyond-length"),
        ({"Upload-Checksum": "crc32 AAAA"}, b"x", 400, "unknown-checksum"),
        ({"Upload-Checksum": checksum(b"y")}, b"x", 460, "checksum-mismatch"),
        ({}, b"not a film, and all of it" + b"." * 975, 422, "not-a-video"),
    ],
)
def test_a_creation_whose_bytes_are_wrong(
    studio: Studio, changes: dict[str, str | None], body: bytes, status: int, why: str
) -> None:
    headers = {"Upload-Length": "1000", "Upload-Metadata": GOOD, "Content-Type": PART, **changes}
    assert code(studio.ask("POST", headers=headers, content=body), status) == why


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"Tus-Resumable": "0.2.2"}, 412, "tus-version"),
        ({"Tus-Resumable": ""}, 412, "tus-version"),
        ({"Upload-Length": None}, 422, "invalid"),
        ({"Upload-Length": "-1"}, 422, "invalid"),
        ({"Upload-Length": "1e3"}, 422, "invalid"),
        ({"Upload-Length": "9" * 19}, 422, "invalid"),
        ({"Upload-Length": "0"}, 422, "empty"),
        ({"Upload-Length": str(64 * MIB + 1)}, 413, "too-large"),
        ({"Upload-Metadata": None}, 422, "bad-metadata"),
        ({"Upload-Metadata": "filename ../x"}, 422, "bad-metadata"),
        ({"Upload-Metadata": encode({"filename": "a.mp4", "show": "..\\..\\x"})}, 422, "bad-metadata"),
        ({"Upload-Metadata": f"{GOOD},x {'YWFh' * 2500}"}, 431, "metadata-too-long"),
        ({"Authorization": "Bearer forged"}, 401, "not-authenticated"),
        ({"Idempotency-Key": "x" * 256}, 400, "bad-idempotency-key"),
    ],
)  # fmt: skip
def test_creations_that_are_refused(
    studio: Studio, headers: dict[str, str | None], status: int, why: str
) -> None:
    sent = {"Upload-Length": "1000", "Upload-Metadata": GOOD, **headers}
    answer = studio.ask("POST", headers=sent)
    assert code(answer, status) == why
    if status == 412:
        assert answer.headers["tus-version"] == "1.0.0"


def test_nothing_that_was_refused_left_a_trace(studio: Studio) -> None:
    code(studio.ask("POST", headers={"Upload-Length": "0", "Upload-Metadata": GOOD}), 422)
    code(studio.create(70 * MIB, show="Never"), 413)
    with studio.services.database.read() as session:
        assert session.scalar(select(Show.id).where(Show.name == "Never")) is None
    root = studio.services.settings.root
    known = {"uploads", "secrets", "videos", "diagnostics", "logs"}
    assert {p.name for p in root.iterdir()} <= known


def test_too_many_unfinished_uploads(studio: Studio) -> None:
    paths = [studio.created(100, episode=str(n)) for n in range(6)]
    assert code(studio.create(100, episode="one more"), 429) == "too-many-uploads"
    assert studio.create(100, studio.ben, episode="another's").status_code == 201
    assert studio.ask("DELETE", paths[0]).status_code == 204
    assert studio.create(100, episode="one more").status_code == 201


def test_an_episode_with_another_content_must_be_replaced_knowingly(studio: Studio) -> None:
    with studio.services.database.write() as session:
        session.add(Show(name="Old", title="Old", id="0" * 32))
    episode = add_episode(studio.services, "0" * 32, "e1", content=b"x" * 500)
    assert code(studio.create(600, show="Old", episode="e1"), 409) == "exists"
    assert studio.create(600, show="Old", episode="e1", replace="true").status_code == 201
    assert studio.create(500, show="Old", episode="e1").status_code == 201  # it may be the same
    job = add_job(studio.services, episode)
    assert code(studio.create(500, show="Old", episode="e1"), 409) == "busy"
    end_job(studio.services, job)
    assert studio.create(500, show="Old", episode="e1").status_code == 201


@pytest.mark.parametrize(
    ("headers", "status", "why"),
    [
        ({"Upload-Offset": "5"}, 409, "wrong-offset"),
        ({"Upload-Offset": "15"}, 409, "wrong-offset"),
        ({"Upload-Offset": "-1"}, 422, "invalid"),
        ({"Upload-Offset": None}, 422, "invalid"),
        ({"Upload-Offset": "0x0a"}, 422, "invalid"),
        ({"Content-Type": "application/json"}, 415, "not-a-part"),
        ({"Content-Type": None}, 415, "not-a-part"),
        ({"Upload-Checksum": "sha512 AAAA"}, 400, "unknown-checksum"),
        ({"Upload-Checksum": "sha1 AAAA"}, 400, "bad-checksum"),
        ({"Upload-Checksum": checksum(b"others")}, 460, "checksum-mismatch"),
        ({"Tus-Resumable": "2.0.0"}, 412, "tus-version"),
        ({"Authorization": ""}, 401, "not-authenticated"),
    ],
)
def test_parts_that_are_refused_change_nothing(
    studio: Studio, headers: dict[str, str | None], status: int, why: str
) -> None:
    path = studio.created(1000)
    assert studio.patch(path, 0, b"0123456789").status_code == 204
    sent = {"Upload-Offset": "10", "Content-Type": PART, **headers}
    answer = studio.ask("PATCH", path, content=b"more", headers=sent)
    assert code(answer, status) == why
    if why == "wrong-offset":
        assert answer.headers["upload-offset"] == "10"
    assert studio.offset(path) == 10
    assert studio.patch(path, 10, b"ab").status_code == 204
    assert studio.part(path).read_bytes() == b"0123456789ab"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_part_with_a_checksum_counts_whole_or_not_at_all(studio: Studio, algorithm: str) -> None:
    data = os.urandom(9 * MIB)
    path = studio.created(len(data) + 1)
    wrong = studio.patch(path, 0, data, **{"Upload-Checksum": checksum(data[1:], algorithm)})
    assert code(wrong, 460) == "checksum-mismatch"
    assert studio.offset(path) == 0
    assert studio.patch(path, 0, data, **{"Upload-Checksum": checksum(data, algorithm)}).status_code == 204
    assert studio.part(path).read_bytes() == data


def test_an_upload_is_its_users_and_an_admins(studio: Studio) -> None:
    path = studio.created(1000, episode="mine")
    assert studio.ask("HEAD", path, studio.ben).status_code == 404
    assert code(studio.patch(path, 0, b"x", studio.ben), 404) == "not-found"
    assert code(studio.ask("DELETE", path, studio.ben), 404) == "not-found"
    assert studio.ask("GET", path, studio.ben).status_code == 404
    assert path.strip("/") not in studio.ask("GET", who=studio.ben).text
    assert path.strip("/") in studio.ask("GET").text
    assert studio.view(path, studio.ada)["user_id"] == studio.ana.id
    assert path.strip("/") in studio.ask("GET", who=studio.ada).text
    assert studio.ask("DELETE", path, studio.ada).status_code == 204
    assert studio.ask("HEAD", path).status_code == 404


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE", "GET", "POST"])
def test_nobody_gets_anything(studio: Studio, method: str) -> None:
    path = "" if method == "POST" else studio.created(1000)
    assert httpx.request(method, f"{studio.url}{path}").status_code == 401


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e%2fservice.db", "/x", "/" + "f" * 32, "/" + "g" * 32]
)
@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE", "GET"])
def test_no_path_leads_anywhere(studio: Studio, method: str, path: str) -> None:
    headers = {"Upload-Offset": "0", "Content-Type": PART}
    assert studio.ask(method, path, headers=headers).status_code in {404, 405, 422}


def test_a_list_comes_in_pages(studio: Studio) -> None:
    made = [studio.created(100, studio.ben, episode=f"p{n}").strip("/") for n in range(5)]
    seen, cursor = [], None
    while True:
        page = studio.ask(
            "GET", who=studio.ben, params={"limit": 2, **({"cursor": cursor} if cursor else {})}
        ).json()
        seen += [u["id"] for u in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert studio.ask("GET", who=studio.ben, params={"state": "refused"}).json()["items"] == []


def test_an_ended_upload_is_gone_with_its_bytes(studio: Studio) -> None:
    path = studio.created(1000)
    studio.patch(path, 0, b"x" * 100)
    assert studio.part(path).exists()
    assert studio.ask("DELETE", path).status_code == 204
    assert not studio.part(path).exists()
    assert studio.ask("HEAD", path).status_code == 404
    assert code(studio.patch(path, 100, b"x"), 404) == "not-found"
    assert code(studio.ask("DELETE", path), 404) == "not-found"


def test_an_expired_upload_takes_nothing_more(studio: Studio) -> None:
    path = studio.created(1000)
    studio.patch(path, 0, b"x" * 10)
    with studio.services.database.write() as session:
        session.get_one(Upload, path.strip("/")).expires_at = now() - timedelta(seconds=1)
    assert studio.ask("HEAD", path).status_code == 410
    assert code(studio.patch(path, 10, b"x"), 410) == "expired"
    assert studio.part(path).exists()
    assert store.expire(studio.services) >= 1
    assert not studio.part(path).exists()
    assert studio.ask("HEAD", path).status_code == 404


def test_a_creation_is_done_once_for_a_key_and_an_end_too(studio: Studio) -> None:
    headers = {"Upload-Length": "1000", "Upload-Metadata": GOOD, "Idempotency-Key": "k1"}
    first, second = (studio.ask("POST", headers=headers) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.headers["location"] == second.headers["location"]
    assert second.headers["idempotency-replayed"] == "true"
    other = {**headers, "Upload-Length": "1001"}
    assert code(studio.ask("POST", headers=other), 422) == "idempotency-key-reused"
    path = first.headers["location"].removeprefix("/v1/uploads")
    for _ in range(2):
        assert studio.ask("DELETE", path, headers={"Idempotency-Key": "k2"}).status_code == 204


def test_a_key_on_bytes_means_nothing_and_they_are_not_gathered(studio: Studio) -> None:
    path = studio.created(100)
    for at in (0, 5):
        assert studio.patch(path, at, b"12345", **{"Idempotency-Key": f"p{at}"}).status_code == 204
    assert studio.part(path).read_bytes() == b"1234512345"


def test_the_method_may_be_named_by_a_header(studio: Studio) -> None:
    path = studio.created(100)
    headers = {"Upload-Offset": "0", "Content-Type": PART, "X-HTTP-Method-Override": "PATCH"}
    answer = studio.ask("POST", path, headers=headers, content=b"12345")
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "5")
    assert (
        studio.ask("POST", path, headers={"X-HTTP-Method-Override": "HEAD"}).headers["upload-offset"] == "5"
    )
    assert studio.ask("POST", path).status_code == 405
    assert studio.ask("GET", path, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 200
    assert studio.ask("POST", path, headers={"X-HTTP-Method-Override": "DELETE"}).status_code == 204


def test_what_is_no_video_is_refused_by_the_users_name_for_it(studio: Studio) -> None:
    text = b"Dear studio, this is not a film. " * 100
    path = studio.created(len(text), filename="Größe.mp4")
    answer = studio.patch(path, 0, text)
    assert code(answer, 422) == "not-a-video"
    assert answer.json()["detail"].startswith("Größe.mp4: this is not a video file")
    assert not studio.part(path).exists()
    found = studio.view(path)
    assert (found["state"], found["problem"], found["job_id"]) == ("refused", answer.json()["detail"], None)
    assert studio.ask("HEAD", path).status_code == 410
    assert code(studio.patch(path, len(text), b""), 410) == "refused"
    assert studio.ask("DELETE", path).status_code == 204


def test_a_full_disk_is_said_before_the_first_byte(tmp_path: Path) -> None:
    cfg = {"keep_free_bytes": 1 << 60}
    made = studio_on(tmp_path / "data", f"sqlite:///{tmp_path / 'service.db'}", uploads=cfg)
    try:
        answer = made.create(1000)
        assert code(answer, 507) == "disk-full"
        assert "Ask an operator" in answer.json()["detail"]
    finally:
        made.close()
