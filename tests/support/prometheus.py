"""A real Prometheus with the project's configuration, on a service of the tests."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from support.programs import program
from support.queries import PROMETHEUS
from support.service import eventually, free_port

_START_S = 60
_FASTER = (
    ("scrape_interval: 15s", "scrape_interval: 5s"),
    ("evaluation_interval: 15s", "evaluation_interval: 1s"),
    ("refresh_interval: 30s", "refresh_interval: 1s"),
)


@dataclass(frozen=True)
class Prometheus:
    """One that runs, asked by its HTTP API."""

    client: httpx.Client

    def ask(self, what: str, **params: str) -> Any:
        """The data of an answer that must go well."""
        answer = self.client.get(f"/api/v1/{what}", params=params)
        assert answer.status_code == 200, f"{params}: {answer.text}"
        found = answer.json()
        assert found["status"] == "success", found
        return found["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The value of an expression that has one series; None where it has none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else None


@contextmanager
def prometheus_on(folder: Path, service_url: str, token: str) -> Iterator[Prometheus]:
    """Prometheus with the project's configuration, made faster, for the time of the block.

    Args:
        folder: for its files; must not be there.
        service_url: of the API.
        token: that opens the figures.
    """
    found = program("prometheus")
    shutil.copytree(PROMETHEUS, folder)
    config = folder / "prometheus.yml"
    text = config.read_text().replace("127.0.0.1:8000", urlsplit(service_url).netloc)
    for slow, fast in _FASTER:
        assert slow in text
        text = text.replace(slow, fast)
    config.write_text(text)
    (folder / "secrets").mkdir()
    (folder / "secrets" / "metrics-token").write_text(token)
    port = free_port()
    words = [
        found, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                eventually(lambda: _is_ready(client), _START_S, (folder / "log").read_text())
                yield Prometheus(client)
        finally:
            process.terminate()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False
