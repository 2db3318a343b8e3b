"""The API as the command line calls it: waits out restarts, applies nothing twice, renews its login."""

import json
import ssl
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import httpx

from screenalyzer.errors import ServiceError
from services.cli.credentials import Access, Credentials, KeptLogin, Login

PATIENCE_S: Final = 30.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_TIMEOUT = httpx.Timeout(60, connect=5)
_STREAM_SILENCE_S = 60.0  # the API says something at least every 15 s
_READS = {"GET", "HEAD"}
_LATER = {429, 503}


class RefusedError(ServiceError):
    """The API has refused a request; the message is its own."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        """Take the problem's status, its word for programs, and its sentence."""
        super().__init__(detail)
        self.status, self.code = status, code

    def __reduce__(self) -> tuple[type, tuple[int, str, str]]:
        """Let the error cross process boundaries unchanged."""
        return type(self), (self.status, self.code, str(self))


@dataclass(frozen=True)
class ServerEvent:
    """An event of a job's stream; progress has no id."""

    kind: str
    data: dict[str, Any]
    id: str | None = None


class Api:
    """A connection to a service; a context manager."""

    def __init__(
        self, url: str, access: Access | None = None, ca_cert: Path | None = None,
        say: Callable[[str], None] = lambda _: None, patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        """Take the address; nothing is sent yet.

        Args:
            url: scheme, host and port.
            access: what requests bear; the login that is kept for this address, where left out.
            ca_cert: certificate that the service's is to be checked with, besides those of the system.
            say: is told once when the service does not answer.
            patience_s: how long a request is tried again.
        """
        self.url, self.ca_cert = url.rstrip("/"), ca_cert
        self._http = httpx.Client(base_url=self.url, timeout=_TIMEOUT, verify=_trust(ca_cert))
        self.access: Access = access or KeptLogin(Credentials(), self.url, self._refresh)
        self._say, self._patience_s = say, patience_s

    def __enter__(self) -> "Api":
        """Nothing: it connects when it is asked."""
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Close connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        """What a path answers, as JSON.

        Raises:
            RefusedError: the API says no.
            ServiceError: it cannot be reached.
        """
        wanted = {k: v for k, v in params.items() if v is not None}
        return self.ask("GET", path, params=wanted).json()

    def send(self, method: str, path: str, body: Any = None, revision: int | None = None) -> Any:
        """Change something, once, however often it has to be sent; returns the answer's JSON, if it has any.

        Args:
            method: POST, PUT, PATCH or DELETE.
            path: what is changed.
            body: plain JSON.
            revision: that the change was decided on.

        Raises:
            RefusedError: the API says no.
            ServiceError: it cannot be reached.
        """
        headers = {"If-Match": f'"{revision}"'} if revision is not None else {}
        more = {} if body is None else {"json": body}
        answer = self.ask(method, path, headers=headers, **more)
        return answer.json() if answer.content else None

    def items(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Everything of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, cursor=cursor, limit=200, **params)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def events(self, path: str) -> Iterator[ServerEvent]:
        """Server-Sent Events until there are no more; broken connections are taken up where they broke."""
        last: str | None = None
        attempts = _Attempts(self._patience_s, self._say)
        while True:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
            try:
                with self._stream(path, headers) as answer:
                    if answer.status_code == 204:
                        return
                    attempts = _Attempts(self._patience_s, self._say)
                    for event in _parse(answer.iter_lines()):
                        last = event.id or last
                        yield event
            except httpx.TransportError as e:
                attempts.again(_describe(e, self.url))

    def log_in(self, user: str, password: str) -> dict[str, Any]:
        """Tokens for a password or a one-time secret, as the API answers them.

        Raises:
            RefusedError: the API says no.
            ServiceError: it cannot be reached.
        """
        form = {"grant_type": "password", "username": user, "password": password}
        # Each attempt that reaches the API is counted, and too many are slowed down.
        answer = self._attempt("POST", "/v1/auth/token", {"data": form}, later=())
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request that bears the login, as often as it takes.

        Raises:
            RefusedError: the API says no.
            ServiceError: it cannot be reached.
        """
        headers = dict(request.pop("headers", {}))
        if method not in _READS:
            headers["Idempotency-Key"] = uuid4().hex
        token = self.access.token()
        for last in (False, True):
            request["headers"] = {**headers, "Authorization": f"Bearer {token}"}
            try:
                return self._attempt(method, path, request)
            except RefusedError as e:
                if last or e.status != 401 or not self.access.renew(token):
                    raise
                token = self.access.token()
        raise AssertionError

    def _attempt(
        self, method: str, path: str, request: dict[str, Any], later: Container[int] = _LATER
    ) -> httpx.Response:
        """Send a request until it is answered; statuses of `later` are no answer yet."""
        attempts = _Attempts(self._patience_s, self._say)
        while True:
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as e:
                attempts.again(_describe(e, self.url))
                continue
            if answer.status_code < 400:
                return answer
            if answer.status_code not in later and _is_problem(answer):
                raise refusal(answer.status_code, answer.content)
            attempts.again(
                _complaint(answer), _retry_after(answer), refusal(answer.status_code, answer.content)
            )

    def _stream(self, path: str, headers: dict[str, str]) -> "_Streaming":
        return _Streaming(self, self._http, path, headers)

    def _refresh(self, login: Login) -> Login | None:
        form = {"grant_type": "refresh_token", "refresh_token": login.refresh_token}
        try:
            answer = self._attempt("POST", "/v1/auth/token", {"data": form})
        except RefusedError as e:
            if e.status == 401:
                return None
            raise
        return Login.of(login.user, answer.json())


class _Streaming:
    """An open stream: a refused token is renewed once, a refusal raised, the rest is a broken connection."""

    def __init__(self, api: Api, http: httpx.Client, path: str, headers: dict[str, str]) -> None:
        self._api, self._http, self._path, self._headers = api, http, path, headers

    def __enter__(self) -> httpx.Response:
        token = self._api.access.token()
        self._open = self._begin(token)
        answer: httpx.Response = self._open.__enter__()
        if answer.status_code == 401 and self._api.access.renew(token):
            self._open.__exit__(None, None, None)
            self._open = self._begin(self._api.access.token())
            answer = self._open.__enter__()
        if answer.status_code >= 400:
            answer.read()
            self._open.__exit__(None, None, None)
            if _is_problem(answer) and answer.status_code not in _LATER:
                raise refusal(answer.status_code, answer.content)
            raise httpx.RemoteProtocolError(_complaint(answer))
        return answer

    def __exit__(self, *found: Any) -> None:
        self._open.__exit__(*found)

    def _begin(self, token: str) -> Any:
        headers = {**self._headers, "Authorization": f"Bearer {token}"}
        timeout = httpx.Timeout(_STREAM_SILENCE_S, connect=5)
        return self._http.stream("GET", self._path, headers=headers, timeout=timeout)


class _Attempts:
    """Waits longer each time, and gives up in the end."""

    def __init__(self, patience_s: float, say: Callable[[str], None]) -> None:
        self._deadline, self._pause_s = time.monotonic() + patience_s, _FIRST_PAUSE_S
        self._say: Callable[[str], None] | None = say

    def again(self, why: str, wait_s: float = 0.0, refused: ServiceError | None = None) -> None:
        """Wait before the next attempt.

        Raises:
            ServiceError: there has been enough of them.
        """
        wait_s = max(wait_s, self._pause_s)
        if time.monotonic() + wait_s > self._deadline:
            raise refused or ServiceError(
                f"{why} Is it running? `screenalyzer status` says so on its machine."
            )
        if self._say:
            self._say(f"{why} Trying again.")
            self._say = None
        time.sleep(wait_s)
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2)


def segment(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def refusal(status: int, content: bytes) -> RefusedError:
    """What the API answered instead of what it was asked for."""
    try:
        body = json.loads(content)
        return RefusedError(status, str(body["code"]), str(body["detail"]))
    except (ValueError, KeyError, TypeError):
        text = content.decode(errors="replace").strip().splitlines()[:1]
        return RefusedError(status, "unknown", f"the service answered {status}: {''.join(text) or 'nothing'}")


def _parse(lines: Iterator[str]) -> Iterator[ServerEvent]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield ServerEvent(fields.get("event", "message"), json.loads(fields["data"]), fields.get("id"))
        fields = {}


def _trust(ca_cert: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_cert:
        try:
            context.load_verify_locations(ca_cert)
        except (OSError, ssl.SSLError) as e:
            raise ServiceError(f"{ca_cert} is no certificate in PEM: {e}. Correct --ca-cert.") from e
    return context


def _describe(e: httpx.TransportError, url: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(e):
        raise ServiceError(
            f"the certificate of {url} is not trusted ({e}). Give it, or its authority's, with --ca-cert."
        ) from e
    if isinstance(e, httpx.UnsupportedProtocol):
        raise ServiceError(f"{url} is no address of a service. Give one like http://127.0.0.1:8000.") from e
    return f"the service at {url} does not answer ({type(e).__name__})."


def _is_problem(answer: httpx.Response) -> bool:
    """Whether the API itself answers; else it is Serve's proxy, or another, which cannot reach it."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    return kind in {"application/problem+json", "application/json"}


def _complaint(answer: httpx.Response) -> str:
    return (
        str(refusal(answer.status_code, answer.content))
        if _is_problem(answer)
        else (f"the service cannot answer now ({answer.status_code}).")
    )


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("retry-after", "")
    return float(given) if given.isdigit() else 0.0
