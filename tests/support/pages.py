"""The review UI's pages over an API that a test has started itself, without the rest of the service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.service import free_port

from services.host.address import wait_listening

_APP: Final = Path(__file__).parents[2] / "review_ui" / "app.py"
_PATIENCE_S: Final = 60.0
_END_S: Final = 10.0


@dataclass(frozen=True)
class Pages:
    """Where they are.

    Attributes:
        ui: address for browsers.
    """

    ui: str


@contextmanager
def pages_on(api_url: str) -> Iterator[Pages]:
    """Start the pages over the API of an address, and end them with the block."""
    port = free_port()
    words = [
        sys.executable, "-m", "streamlit", "run", str(_APP), "--server.headless", "true",
        "--server.address", "127.0.0.1", "--server.port", str(port), "--browser.serverAddress", "127.0.0.1",
        "--browser.gatherUsageStats", "false", "--server.maxMessageSize", "100",
    ]  # fmt: skip
    env = {**os.environ, "SCREENALYZER_URL": api_url, "SCREENALYZER_PUBLIC_URL": api_url}
    process = subprocess.Popen(words, env=env, cwd=_APP.parents[1])
    try:
        assert wait_listening("127.0.0.1", port, _PATIENCE_S, lambda: process.poll() is None)
        yield Pages(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(_END_S)
