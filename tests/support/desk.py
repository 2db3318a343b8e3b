"""What a studio does with a running service, over HTTP alone; a pytest plugin."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.service import RunningService

ENDED = ("done", "failed", "cancelled")
_AGAIN_S = 0.3


class Desk:
    """A client that is as patient as a good one should be: what fails in transit is asked again."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        """Take the address, and what gives a valid access token."""
        self.url, self._token = url, token

    def get(self, path: str, **params: Any) -> Any:
        """JSON of a GET."""
        return self.ask("GET", path, params=params).json()

    def post(self, path: str, body: object = None, key: str | None = None) -> Any:
        """JSON of a POST."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.ask("POST", path, json=body, headers=headers).json()

    def ask(self, method: str, path: str, patience_s: float = 60, **more: Any) -> httpx.Response:
        """Ask until there is an answer that is not the network's or the server's trouble."""
        deadline = time.monotonic() + patience_s
        while True:
            headers = {"Authorization": f"Bearer {self._token()}", **more.pop("headers", {})}
            try:
                answer = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=20, **more)
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            else:
                if answer.status_code < 500 or time.monotonic() > deadline:
                    return answer.raise_for_status()
            time.sleep(_AGAIN_S)

    def upload(self, video: Path, show: str, part: int = 8 << 20, retries: int = 5, **metadata: str) -> str:
        """Upload by tuspy, resuming whatever breaks; returns the upload's id."""
        from tusclient.client import TusClient  # noqa: PLC0415 - most tests upload nothing
        from tusclient.exceptions import TusCommunicationError  # noqa: PLC0415 - likewise

        client = TusClient(f"{self.url}/v1/uploads", headers={"Authorization": f"Bearer {self._token()}"})
        fields = {"filename": video.name, "show": show, **metadata}
        deadline = time.monotonic() + 360
        uploader = None
        with video.open("rb") as file:  # tuspy would leave it open
            while uploader is None or uploader.offset < video.stat().st_size:
                try:
                    uploader = uploader or client.uploader(
                        file_stream=file, chunk_size=part, metadata=fields, retries=retries, retry_delay=1
                    )
                    uploader.upload()
                except (OSError, TusCommunicationError):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(_AGAIN_S)
                    if uploader is not None:
                        self._find_offset(uploader)
        return str(uploader.url).rsplit("/", 1)[-1]

    def _find_offset(self, uploader: Any) -> None:
        """Ask how much arrived, as a client does that lost the line."""
        from tusclient.exceptions import TusCommunicationError  # noqa: PLC0415 - likewise

        try:
            uploader.offset = uploader.get_offset()
        except (OSError, TusCommunicationError):
            return  # asked again with the next part

    def job_of(self, upload_id: str) -> str:
        """The job that an upload became."""
        return str(self._until(f"/v1/uploads/{upload_id}", lambda u: u["job_id"], 60)["job_id"])

    def wait(self, job_id: str, states: Sequence[str] = ENDED, patience_s: float = 240) -> dict[str, Any]:
        """The job, once it is in one of the states."""
        found: dict[str, Any] = self._until(f"/v1/jobs/{job_id}", lambda j: j["state"] in states, patience_s)
        return found

    def _until(self, path: str, good: Callable[[Any], Any], patience_s: float) -> Any:
        deadline = time.monotonic() + patience_s
        while not good(found := self.get(path)):
            assert time.monotonic() < deadline, f"{path} is still {found}"
            time.sleep(_AGAIN_S)
        return found


# They name the show, which tests of one file under several shows must look past.
_NAMING = ("manifest.json", "clusters.parquet", "selected_samples.csv", "low_confidence.parquet")


def artifact_bytes_of(root: Path, show: str, *, nameless: bool = False) -> dict[str, bytes]:
    """Every artifact of a show, by its path below the show; without logs, which tell the time.

    Args:
        root: the data root.
        show: name of the show.
        nameless: leave out what holds the show's name.
    """
    found = {}
    for folder in (root / "harvest" / show, root / "outputs" / show):
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            parts = file.relative_to(folder).parts
            if {"diagnostics", "exports"} & set(parts):
                continue
            if not (nameless and (file.name in _NAMING or "stages" in parts)):
                found["/".join((folder.parent.name, *parts))] = file.read_bytes()
    return found


@pytest.fixture
def desk(service: RunningService) -> Desk:
    """The Admin's."""
    return Desk(service.url, lambda: service.admin_token)


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Hold the block to its time."""
    began = time.monotonic()
    yield
    taken = time.monotonic() - began
    assert taken <= seconds, f"it took {taken:.1f} s, not {seconds:g}"
