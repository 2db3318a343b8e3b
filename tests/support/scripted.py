"""An HTTP server that answers as it is told, one answer after the other, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer; status 0 closes the connection without a word.

    Attributes:
        status: of HTTP.
        body: JSON, or text as it is.
        kind: its content type.
        headers: more of them.
        cut: send half of the body, then close.
    """

    status: int = 200
    body: Any = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    """What the server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Script:
    """Answers to come, and what was asked so far; `answer`, where set, is asked when there are none left."""

    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Answer] | None = None
    url: str = ""


def problem(status: int, code: str = "no", detail: str = "No.", **headers: str) -> Answer:
    """An answer of the API's own that says no."""
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return Answer(status, {"code": code, "detail": detail}, "application/problem+json", named)


@contextmanager
def scripted(*answers: Answer) -> Iterator[Script]:
    """A server for the time of the block."""
    script = Script(list(answers))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {k.lower(): v for k, v in self.headers.items()}
            asked = Asked(self.command, self.path, headers, body)
            script.asked.append(asked)
            answer = script.answers.pop(0) if script.answers else (script.answer or _nothing)(asked)
            if answer.status:
                self._send(answer)
            self.close_connection = answer.status == 0 or answer.cut

        def _send(self, answer: Answer) -> None:
            text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            data = b"" if answer.status == 204 else text.encode()
            self.send_response(answer.status)
            self.send_header("content-type", answer.kind)
            self.send_header("content-length", str(len(data)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if answer.cut else data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _nothing(asked: Asked) -> Answer:
    return problem(404, "not-found", f"There is no {asked.path}.")
