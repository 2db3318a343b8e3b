"""Bytes on their way to disk: too many, too slow, broken off, with a full disk or no database."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import OperationalError
from support.tus_server import (
    Studio,
    checksum,
    cleared,
    code,
    encode,
    raw_patch,
    status_of,
    studio_on,
    wait_for,
)

from services.access.sessions import Caller
from services.api.problems import ApiError
from services.db.models import Upload, User
from services.uploads import parts
from services.uploads.creation import create
from services.uploads.receive import receiving
from services.uploads.tus import Part, read_checksum

if TYPE_CHECKING:
    from services.context import Services

MIB = 1 << 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("studio")
    cfg = {"max_bytes": 64 * MIB, "silence_s": 2.0}
    made = studio_on(folder / "data", f"sqlite:///{folder / 'service.db'}", uploads=cfg)
    yield made
    made.close()


@pytest.fixture
def studio(running: Studio) -> Studio:
    return cleared(running)


def test_bytes_beyond_the_length_are_refused(studio: Studio) -> None:
    path = studio.created(1000)
    assert code(studio.patch(path, 0, b"x" * 1001), 413) == "beyond-length"
    assert studio.offset(path) == 0

    sent = push_endlessly(raw_patch(studio, path, "Transfer-Encoding: chunked"), b"x" * 300)
    assert sent < 16 * MIB  # the connection ended, though not before the pipes were full
    assert studio.offset(path) == 0


def push_endlessly(connection: socket.socket, block: bytes) -> int:
    """Send chunks until the server ends the connection; returns how many bytes it had by then, at most."""
    sent, chunk = 0, b"%x\r\n%b\r\n" % (len(block), block)
    with connection, suppress(ConnectionError):
        while sent < 256 * MIB:
            connection.sendall(chunk)
            sent += len(block)
    return sent


def test_a_part_of_2_gib_is_refused_before_a_byte_of_it_is_sent(studio: Studio) -> None:
    path = studio.created(64 * MIB)
    status, answer = status_of(raw_patch(studio, path, f"Content-Length: {2 << 30}"))
    assert status == 413
    assert b"part-too-large" in answer
    assert b"chunk_size" in answer
    assert b"connection: close" in answer.lower()


def test_an_endless_part_is_refused_once_it_is_too_large(studio: Studio) -> None:
    path = studio.created(64 * MIB)
    sent = push_endlessly(raw_patch(studio, path, "Transfer-Encoding: chunked"), b"x" * 65536)
    assert 16 * MIB <= sent < 24 * MIB
    assert 12 * MIB <= studio.offset(path) <= 16 * MIB


def test_what_came_before_the_connection_broke_stays(studio: Studio) -> None:
    data = os.urandom(6 * MIB)
    path = studio.created(20 * MIB)
    raw_patch(studio, path, f"Content-Length: {10 * MIB}", body=data).close()
    wait_for(lambda: studio.offset(path) == len(data))
    assert studio.part(path).read_bytes() == data


def test_a_client_that_falls_silent_does_not_hold_an_upload_for_ever(studio: Studio) -> None:
    path = studio.created(20 * MIB)
    connection = raw_patch(studio, path, f"Content-Length: {10 * MIB}", body=b"x" * 1000)
    wait_for(studio.part(path).exists)
    answer = studio.patch(path, 0, b"y")
    assert code(answer, 423) == "held"
    assert answer.headers["retry-after"] == "1"
    status, answered = status_of(connection)
    assert (status, b"broken-off" in answered) == (503, True)
    assert studio.offset(path) == 1000
    assert studio.patch(path, 1000, b"y").status_code == 204


def test_an_upload_that_is_ended_while_bytes_come_stays_ended(studio: Studio) -> None:
    path = studio.created(20 * MIB)
    connection = raw_patch(studio, path, f"Content-Length: {10 * MIB}", body=b"x" * MIB)
    wait_for(lambda: studio.part(path).exists())
    assert studio.ask("DELETE", path).status_code == 204
    connection.sendall(b"x" * 9 * MIB)
    connection.shutdown(socket.SHUT_WR)
    assert status_of(connection)[0] == 404
    assert not studio.part(path).exists()


def test_the_unacknowledged_rest_of_a_file_is_overwritten(studio: Studio) -> None:
    path = studio.created(1000)
    studio.patch(path, 0, b"x" * 100)
    with studio.part(path).open("ab") as file:
        file.write(b"z" * 500)
    assert studio.patch(path, 100, b"y" * 10).status_code == 204
    assert studio.part(path).read_bytes() == b"x" * 100 + b"y" * 10


def test_bytes_that_are_lost_are_said_to_be(studio: Studio) -> None:
    path = studio.created(1000)
    studio.patch(path, 0, b"x" * 100)
    studio.part(path).write_bytes(b"x" * 50)
    assert code(studio.patch(path, 100, b"y"), 410) == "lost"
    assert studio.view(path)["state"] == "refused"


def begun(services: "Services", length: int) -> str:
    """An upload of which nothing has come."""
    with services.database.write() as session:
        user = User(name="ana", name_key="ana", role="analyst")
        session.add(user)
        session.flush()
        header = encode({"filename": "a.mp4", "show": "My Show"})
        return create(session, services, Caller(user.id, "ana", "analyst", ""), length, header).id


def offset_of(services: "Services", upload_id: str) -> int:
    with services.database.read() as session:
        return session.get_one(Upload, upload_id).offset


def part_of(services: "Services", upload_id: str) -> Path:
    return parts.part_path(services.settings.root, upload_id)


async def blocks(data: bytes, then: asyncio.Event | None = None) -> AsyncGenerator[bytes, None]:
    """The data in pieces as they come from a network; then, if wanted, a wait."""
    for at in range(0, len(data), 64 << 10):
        yield data[at : at + (64 << 10)]
    if then:
        then.set()
        await asyncio.sleep(60)


async def pour(services: "Services", upload_id: str, data: bytes, **part: Any) -> int:
    async with receiving(services, upload_id, Part(**{"offset": 0, **part})) as receiver:
        assert receiver
        await receiver.pour(blocks(data))
    return receiver.offset


@pytest.mark.parametrize("hashed", [False, True])
def test_a_cancelled_request_keeps_what_came_and_lets_go(services: "Services", hashed: bool) -> None:
    """As a server does that notices the client's leave by itself."""
    data, upload_id = os.urandom(6 * MIB + 1), begun(services, 20 * MIB)
    check = read_checksum(checksum(data)) if hashed else None

    async def cancel_it() -> None:
        all_sent = asyncio.Event()

        async def receive() -> None:
            async with receiving(services, upload_id, Part(0, None, check)) as receiver:
                assert receiver
                await receiver.pour(blocks(data, all_sent))

        task = asyncio.create_task(receive())
        await all_sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_it())
    assert offset_of(services, upload_id) == (0 if hashed else len(data))
    with parts.held(services.settings.root, upload_id):
        kept = part_of(services, upload_id).read_bytes()
    assert hashed or kept == data


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """A disk on which no file grows beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_disk_that_is_full_ends_the_part_and_not_the_upload(services: "Services") -> None:
    data, upload_id = os.urandom(12 * MIB), begun(services, 12 * MIB)
    with files_up_to(6 * MIB), pytest.raises(ApiError) as caught:
        asyncio.run(pour(services, upload_id, data))
    assert (caught.value.status, caught.value.code) == (507, "disk-full")
    offset = offset_of(services, upload_id)
    assert offset == 4 * MIB
    assert asyncio.run(pour(services, upload_id, data[offset:], offset=offset)) == len(data)
    assert part_of(services, upload_id).read_bytes() == data


def test_a_database_that_is_away_costs_no_acknowledged_byte(services: "Services") -> None:
    data, upload_id, begin = os.urandom(12 * MIB), begun(services, 12 * MIB), services.database.write
    times = 0

    def away_at_the_second_time() -> Any:
        nonlocal times
        times += 1
        if times == 2:
            raise OperationalError("BEGIN", {}, Exception("away"))
        return begin()

    services.database.write = away_at_the_second_time  # type: ignore[method-assign]
    with pytest.raises(OperationalError):
        asyncio.run(pour(services, upload_id, data))
    assert times == 2
    offset = offset_of(services, upload_id)
    assert offset == 4 * MIB
    assert asyncio.run(pour(services, upload_id, data[offset:], offset=offset)) == len(data)
    assert part_of(services, upload_id).read_bytes() == data


def test_a_part_that_fits_to_the_byte_is_safe_on_both_databases(services: "Services") -> None:
    data, upload_id = os.urandom(16 * MIB), begun(services, 16 * MIB)
    assert asyncio.run(pour(services, upload_id, data, length=len(data))) == len(data)
    assert part_of(services, upload_id).read_bytes() == data
