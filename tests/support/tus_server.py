"""The API on uvicorn in a process of its own, and a tus client that can misbehave.

The process: `python -m support.tus_server ROOT DATABASE_URL PORT GROUPS`, the last being settings as JSON.
"""

import hashlib
import json
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from sqlalchemy import delete
from support.callers import Person, admin, analyst
from support.databases import close_services, services_on
from support.killable import KillableServer
from support.service import free_port

from services.db.models import Upload

if TYPE_CHECKING:
    from services.context import Services

PART = "application/offset+octet-stream"
_PATIENCE_S = 120.0  # on a machine that does much else


class TusServer(KillableServer):
    """Uploads on a data root and a database."""

    def __init__(self, root: Path, database_url: str, **groups: Any) -> None:
        """Take the data root, the database, and groups of the service's settings."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        words = [str(root), database_url, str(self.port), json.dumps(groups)]
        super().__init__("support.tus_server", words, f"{self.url}/v1/uploads", _PATIENCE_S)

    def rss(self) -> int:
        """Bytes of memory that it has now."""
        assert self._process
        return int(psutil.Process(self._process.pid).memory_info().rss)


@dataclass
class Studio:
    """A server, its services seen from the test, and three users.

    Attributes:
        ana: an Analyst, who asks where nobody is named.
        ben: another one.
        ada: an Admin.
    """

    services: "Services"
    server: TusServer
    ana: Person
    ben: Person
    ada: Person
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=90))

    @property
    def url(self) -> str:
        """Where uploads are created."""
        return f"{self.server.url}/v1/uploads"

    def ask(self, method: str, path: str = "", who: Person | None = None, **more: Any) -> httpx.Response:
        """Ask for an upload's path below /v1/uploads, or for any URL of the server."""
        headers = {
            "Tus-Resumable": "1.0.0",
            **(who or self.ana).headers,
            **{k: v for k, v in more.pop("headers", {}).items() if v is not None},
        }
        url = path if path.startswith("http") else f"{self.url}{path}"
        return self.client.request(method, url, headers=headers, **more)

    def create(self, length: int, who: Person | None = None, **metadata: str) -> httpx.Response:
        """Create an upload; metadata as text."""
        header = encode({"filename": "s01e01.mp4", "show": "My Show", **metadata})
        return self.ask("POST", who=who, headers={"Upload-Length": str(length), "Upload-Metadata": header})

    def created(self, length: int, who: Person | None = None, **metadata: str) -> str:
        """Create an upload that must be accepted; returns its path below /v1/uploads."""
        answer = self.create(length, who, **metadata)
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"].startswith("/v1/uploads/")
        return answer.headers["location"].removeprefix("/v1/uploads")

    def patch(
        self, path: str, offset: int, data: bytes, who: Person | None = None, **more: str
    ) -> httpx.Response:
        """Send bytes."""
        headers = {"Upload-Offset": str(offset), "Content-Type": PART, **more}
        return self.ask("PATCH", path, who, content=data, headers=headers)

    def offset(self, path: str, who: Person | None = None) -> int:
        """How far an upload is."""
        answer = self.ask("HEAD", path, who)
        assert answer.status_code == 200, answer.headers
        return int(answer.headers["upload-offset"])

    def view(self, path: str, who: Person | None = None) -> Any:
        """The upload as JSON."""
        answer = self.ask("GET", path, who)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def part(self, path: str) -> Path:
        """The file of an unfinished upload."""
        return self.services.settings.root / "uploads" / f"{path.strip('/')}.part"

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.server.kill()
        close_services(self.services)


def studio_on(root: Path, database_url: str, **groups: Any) -> Studio:
    """A running server with three users; `close` it at the end."""
    services = services_on(root, database_url, **groups)
    people = analyst(services, "ana"), analyst(services, "ben"), admin(services, "ada")
    made = Studio(services, TusServer(root, database_url, **groups), *people)
    made.server.start()
    return made


def encode(metadata: dict[str, str | bytes]) -> str:
    """An Upload-Metadata header."""
    raw = {k: v.encode() if isinstance(v, str) else v for k, v in metadata.items()}
    return ",".join(f"{k} {b64encode(v).decode()}" for k, v in raw.items())


def code(answer: httpx.Response, status: int) -> str:
    """The code of a problem, which must have this status and speak tus."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["tus-resumable"] == "1.0.0"
    return str(answer.json()["code"])


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    """An Upload-Checksum header."""
    return f"{algorithm} {b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def raw_patch(studio: Studio, path: str, length: str, offset: int = 0, body: bytes = b"") -> socket.socket:
    """A PATCH that is begun and not ended."""
    connection = socket.create_connection(("127.0.0.1", studio.server.port), timeout=30)
    head = (
        f"PATCH /v1/uploads{path} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
        f"Authorization: {studio.ana.headers['Authorization']}\r\nContent-Type: {PART}\r\n{length}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection


def status_of(connection: socket.socket) -> tuple[int, bytes]:
    """Status and all that follows until the server ends the connection."""
    answer = b""
    while block := connection.recv(65536):
        answer += block
    connection.close()
    return int(answer.split(b" ", 2)[1]), answer


def wait_for(true: Callable[[], bool], patience_s: float = 10) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cleared(studio: Studio) -> Studio:
    """The studio without unfinished uploads of tests before."""
    with studio.services.database.write() as session:
        session.execute(delete(Upload).where(Upload.state != "received"))
    return studio


def padded(clip: bytes, size: int, seed: int = 1) -> bytes:
    """A playable MP4 of exactly so many bytes: the clip, and a box that players skip, full of noise."""
    import numpy as np  # noqa: PLC0415

    noise = np.random.default_rng(seed).integers(0, 256, size - len(clip) - 8, dtype=np.uint8).tobytes()
    return clip + (len(noise) + 8).to_bytes(4, "big") + b"free" + noise


def _serve(root: str, database_url: str, port: str, groups: str) -> None:
    import uvicorn  # noqa: PLC0415

    from services.api.app import create_app  # noqa: PLC0415
    from services.uploads.check import check_video  # noqa: PLC0415

    app = create_app(services_on(Path(root), database_url, **json.loads(groups)), check_video)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", lifespan="off", ws="none")


if __name__ == "__main__":
    _serve(*sys.argv[1:])
