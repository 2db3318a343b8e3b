"""The embedded Redis: nobody else's, hard to lose, gone with its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis
from redis.exceptions import RedisError
from support.service import eventually

from screenalyzer.errors import ServiceError
from services.context import connect
from services.host.redis_server import RedisServer
from services.settings import ServiceSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceSettings:
    monkeypatch.delenv("REDIS_URL", raising=False)
    return ServiceSettings(data_root=tmp_path)


@pytest.fixture
def server(settings: ServiceSettings) -> Iterator[RedisServer]:
    made = RedisServer(settings)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(server: RedisServer, settings: ServiceSettings) -> Iterator[Redis]:
    made = connect(settings)
    yield made
    made.close()


def _pid(client: Redis) -> int:
    return int(client.info("server")["process_id"])


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def test_it_listens_on_a_socket_of_this_user_alone(client: Redis, settings: ServiceSettings) -> None:
    assert client.ping()
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    assert not psutil.Process(_pid(client)).net_connections("inet")
    assert settings.redis_socket.parent.stat().st_mode & 0o777 == 0o700
    assert settings.redis_socket.stat().st_mode & 0o077 == 0


def test_killed_it_is_back_within_two_seconds_with_what_it_had(client: Redis) -> None:
    client.set("kept", "1")
    time.sleep(1.2)  # written to disk every second
    for _ in range(3):
        before = _pid(client)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: _answers(client), 2, "Redis answers again")
        assert _pid(client) != before
        assert client.get("kept") == "1"


def test_one_that_does_not_answer_is_replaced(client: Redis) -> None:
    before = _pid(client)
    os.kill(before, signal.SIGSTOP)
    time.sleep(0.5)
    eventually(lambda: _answers(client), 15, "another Redis answers")
    assert _pid(client) != before


def test_a_log_that_breaks_off_loses_its_end_alone(
    server: RedisServer, client: Redis, settings: ServiceSettings
) -> None:
    client.set("first", "1")
    client.set("second", "2")
    time.sleep(1.2)
    server.stop()
    log = settings.root / "redis" / "appendonly.aof"
    log.write_bytes(log.read_bytes()[:-3])
    again = RedisServer(settings)
    again.start()
    try:
        assert client.get("first") == "1"
        assert client.get("second") is None
    finally:
        again.stop()


def test_a_log_that_is_no_log_is_set_aside(
    server: RedisServer, client: Redis, settings: ServiceSettings
) -> None:
    log = settings.root / "redis" / "appendonly.aof"
    server.stop()
    log.write_bytes(b"this is no log of Redis\r\n" * 10)
    again = RedisServer(settings)
    again.start()
    try:
        assert client.ping()
        assert client.dbsize() == 0
        assert [p.read_bytes()[:12] for p in log.parent.glob("appendonly.aof.unread-*")] == [b"this is no l"]
    finally:
        again.stop()


def test_a_folder_that_others_can_enter_is_refused(settings: ServiceSettings) -> None:
    folder = settings.redis_socket.parent
    folder.mkdir()
    folder.chmod(0o755)
    try:
        with pytest.raises(ServiceError, match="not this user's alone"):
            RedisServer(settings).start()
    finally:
        folder.rmdir()


def test_stopped_it_leaves_nothing_but_its_data(settings: ServiceSettings) -> None:
    made = RedisServer(settings)
    made.start()
    made.stop()
    assert not settings.redis_socket.parent.exists()
    assert (settings.root / "redis" / "appendonly.aof").exists()


def test_it_dies_with_its_parent(settings: ServiceSettings) -> None:
    program = (
        "import time\nfrom services.host.redis_server import RedisServer\n"
        "from services.settings import ServiceSettings\n"
        "RedisServer(ServiceSettings()).start()\nprint('up', flush=True)\ntime.sleep(60)"
    )
    env = {**os.environ, "SCREENALYZER_DATA_ROOT": str(settings.root)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        client = connect(settings)
        pid = _pid(client)
        parent.kill()
        eventually(lambda: not psutil.pid_exists(pid), 2, "Redis is gone")
        client.close()
    settings.redis_socket.unlink()
    settings.redis_socket.parent.rmdir()
