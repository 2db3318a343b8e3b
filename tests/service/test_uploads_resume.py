"""Uploads survive: a server killed at any moment, many clients at once, files far larger than its memory."""

import io
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select
from support.clips import make_clip, moving_bars
from support.tus_server import PART, Studio, padded, studio_on
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.uploader import Uploader

from services.db.models import Job, Upload

MIB = 1 << 20
_MOST_LOST = 4 * MIB


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    made = studio_on(tmp_path / "data", f"sqlite:///{tmp_path / 'service.db'}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_clip(tmp_path_factory.mktemp("clip") / "c.mp4", moving_bars(30)).read_bytes()


def jobs(studio: Studio) -> int:
    with studio.services.database.read() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


@pytest.mark.parametrize("checksum", [False, True])
def test_tuspy_resumes_however_often_the_server_is_killed(
    studio: Studio, clip: bytes, checksum: bool
) -> None:
    data = padded(clip, 128 * MIB)
    uploader = uploader_of(studio, io.BytesIO(data), chunk_size=8 * MIB, upload_checksum=checksum)
    uploader.set_url(uploader.create_url())
    path = "/" + uploader.url.rsplit("/", 1)[-1]
    with killing(studio, studio.part(path), random.Random(2026 + checksum)) as kills:
        while uploader.offset < len(data):
            acknowledged = uploader.offset
            try:
                uploader.upload_chunk()
            except TusCommunicationError:
                uploader.offset = ask_patiently(uploader)
                assert uploader.offset >= acknowledged
    assert len(kills) >= 5
    assert studio.view(path)["state"] == "received"
    assert studio.part(path).read_bytes() == data
    assert jobs(studio) == 1


@contextmanager
def killing(studio: Studio, part: Path, dice: random.Random) -> Iterator[list[int]]:
    """Kill the server, and start it, each time when some more bytes of a file are on the disk."""
    kills: list[int] = []
    over = threading.Event()

    def kill_again_and_again() -> None:
        goal = dice.randint(0, 20 * MIB)
        while not over.wait(dice.uniform(0, 0.004)):
            size = part.stat().st_size if part.exists() else 0
            if size >= goal:
                studio.server.kill()
                kills.append(size)
                studio.server.start()
                goal = part.stat().st_size + dice.randint(MIB, 24 * MIB)

    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    try:
        yield kills
    finally:
        over.set()
        killer.join()


def uploader_of(studio: Studio, file: io.BytesIO, **options: Any) -> Uploader:
    client = TusClient(studio.url, headers=studio.ana.headers)
    return client.uploader(file_stream=file, metadata={"filename": "a.mp4", "show": "My Show"}, **options)


def ask_patiently(uploader: Uploader) -> int:
    while True:
        try:
            return int(uploader.get_offset())
        except TusCommunicationError:
            time.sleep(0.05)


def test_a_kill_loses_at_most_4_mib_of_a_part(studio: Studio) -> None:
    path = studio.created(100 * MIB)
    data, sent = os.urandom(16 * MIB), 0

    def slowly() -> Iterator[bytes]:
        nonlocal sent
        for at in range(0, len(data), 64 << 10):
            yield data[at : at + (64 << 10)]
            if at == 15 * MIB:
                time.sleep(0.5)  # until nothing is left in the pipes
                sent = at
                studio.server.kill()

    headers = {"Upload-Offset": "0", "Content-Type": PART, "Content-Length": str(16 * MIB)}
    with pytest.raises(httpx.TransportError):
        studio.ask("PATCH", path, content=slowly(), headers=headers)
    studio.server.start()
    offset = studio.offset(path)
    gathered = MIB  # what the server has read and not yet written
    assert sent - offset <= _MOST_LOST + gathered
    assert studio.part(path).read_bytes()[:offset] == data[:offset]


def test_a_server_that_is_killed_around_the_last_byte_makes_one_job(studio: Studio, clip: bytes) -> None:
    dice = random.Random(7)
    data, states = padded(clip, MIB), Counter[str]()
    for n in range(6):
        path = studio.created(len(data), episode=f"e{n}")
        studio.patch(path, 0, data[:-1])
        blow = threading.Timer(dice.uniform(0.0, 0.35), studio.server.kill)
        blow.start()
        try:
            states[str(studio.patch(path, len(data) - 1, data[-1:]).status_code)] += 1
        except httpx.TransportError:
            states["killed"] += 1
        blow.join()
        studio.server.start()
        if (offset := studio.offset(path)) < len(data):
            studio.patch(path, offset, data[offset:])
        assert studio.view(path)["state"] == "received"
        assert jobs(studio) == n + 1
    assert states["killed"] >= 2


def test_twenty_clients_on_one_upload_spoil_nothing(studio: Studio, clip: bytes) -> None:
    data, seen = padded(clip, 24 * MIB), Counter[int]()
    path = studio.created(len(data))

    def push(_: int) -> None:
        while (offset := studio.offset(path)) < len(data):
            answer = studio.patch(path, offset, data[offset : offset + MIB])
            seen[answer.status_code] += 1

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(push, range(20)))
    assert studio.part(path).read_bytes() == data
    assert set(seen) == {204, 409, 423}
    assert seen[204] == 24
    assert jobs(studio) == 1
    assert studio.view(path)["state"] == "received"


def test_twenty_uploads_at_once(studio: Studio, clip: bytes) -> None:
    def upload(n: int) -> int:
        data = padded(clip, 3 * MIB, seed=n)
        path = studio.created(len(data), episode=f"e{n}", show=f"Show {n % 3}")
        for at in range(0, len(data), MIB):
            assert studio.patch(path, at, data[at : at + MIB]).status_code == 204
        return int(studio.part(path).read_bytes() == data)

    with ThreadPoolExecutor(20) as pool:
        assert sum(pool.map(upload, range(20))) == 20
    assert jobs(studio) == 20


def test_a_gigabyte_passes_through_little_memory(studio: Studio) -> None:
    block, total = os.urandom(16 * MIB), 1 << 30
    path = studio.created(total + 1)
    before, peak, over = studio.server.rss(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, studio.server.rss())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for at in range(0, total, len(block)):
        assert studio.patch(path, at, block).status_code == 204
    over.set()
    watcher.join()
    assert peak - before < 64 * MIB
    assert studio.offset(path) == total


def test_tuspy_without_a_chunk_size_is_told_to_set_one(studio: Studio) -> None:
    """It sends the whole file in one PATCH; the answer comes before it is sent, and the connection ends."""
    uploader = uploader_of(studio, io.BytesIO(b"x" * (200 * MIB)))
    with pytest.raises(TusCommunicationError) as caught:
        uploader.upload()
    # It has gone on sending, so it may see no answer but the end of the connection; it never sees another.
    assert caught.value.status_code in {413, None}
    assert studio.offset("/" + uploader.url.rsplit("/", 1)[-1]) == 0
    with studio.services.database.read() as session:
        assert session.scalar(select(Upload.state)) == "receiving"
