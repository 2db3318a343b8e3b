"""An ASGI application behind a real HTTP server on the loopback, in a thread of the test."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

_PATIENCE_S = 10.0


@contextmanager
def serving(app: Any, *, lifespan: bool = False) -> Iterator[httpx.Client]:
    """A client whose base URL is the application's; thread-safe. The server stops at the end of the block.

    Args:
        app: the application.
        lifespan: tell it when it starts and ends, so that it does what it does beside requests.
    """
    config = uvicorn.Config(
        app, lifespan="on" if lifespan else "off", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + _PATIENCE_S
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.005)
        port = listening.getsockname()[1]
        limits = httpx.Limits(max_connections=200)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits) as client:
            yield client
        server.should_exit = True
        thread.join(_PATIENCE_S)


def ask_raw(client: httpx.Client, target: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """GET a target as it stands; httpx would tidy away the dots in it."""
    url = client.base_url
    connection = http.client.HTTPConnection(url.host, url.port or 80, timeout=60)
    try:
        connection.request("GET", target, headers=headers or {})
        answer = connection.getresponse()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())
    finally:
        connection.close()
