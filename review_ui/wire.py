"""HTTP to the service: patience with restarts, requests applied once, and refusals as errors for people."""

import json
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from uuid import uuid4

import httpx

_PATIENCE_S: Final = 4.0  # somebody looks at a page that waits
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.15, 1.0
_TIMEOUT = httpx.Timeout(40, connect=3)
_READS = frozenset({"GET", "HEAD"})
_LATER = frozenset({429, 503})

_WHAT_TO_DO = {
    "not-ready": "Look at Status to see how far its processing is.",
    "conflict": "Look at what has changed, and decide again.",
    "busy": "Look at Status for the job that works on it.",
    "job-state": "The job has moved on; look at its state again.",
    "not-allowed": "Ask an Admin.",
    "unexpected": "If it happens again, give the request's number to whoever runs the service.",
}


class ServiceError(Exception):
    """The service has not done what it was asked for.

    Attributes:
        status: of HTTP; 0 where there was no answer.
        code: for programs, `unreachable` where there was no answer.
        what: happened, in a sentence.
        where: method and path that were asked.
        to_do: what may help; empty where `what` says so already.
        errors: fields that are wrong, each with `where` and `what`.
    """

    def __init__(
        self, status: int, code: str, what: str, where: str, errors: tuple[dict[str, Any], ...] = ()
    ) -> None:
        """Take the parts of a problem."""
        super().__init__(what)
        self.status, self.code, self.what, self.where, self.errors = status, code, what, where, errors
        self.to_do = _WHAT_TO_DO.get(code, "")

    @property
    def away(self) -> bool:
        """Whether the service could not be asked, so that the same request may go well later."""
        return self.status in {0, 429, 502, 503, 504}


class LoginEndedError(ServiceError):
    """The login is no more: expired, revoked, or ended elsewhere."""


@dataclass(frozen=True)
class Address:
    """Where the service is.

    Attributes:
        url: for this process.
        public_url: for browsers.
        ca_cert: path of a certificate to check it with besides the system's; empty for none.
    """

    url: str
    public_url: str
    ca_cert: str


@cache
def address() -> Address:
    """As the environment says: SCREENALYZER_URL, SCREENALYZER_PUBLIC_URL, SCREENALYZER_CA_CERT."""
    url = (os.environ.get("SCREENALYZER_URL") or "http://127.0.0.1:8000").rstrip("/")
    public = (os.environ.get("SCREENALYZER_PUBLIC_URL") or url).rstrip("/")
    return Address(url, public, os.environ.get("SCREENALYZER_CA_CERT", ""))


class Wire:
    """One pool of connections to the service, for all threads."""

    def __init__(self, place: Address) -> None:
        """Take the address; nothing is sent yet."""
        trust = ssl.create_default_context()
        if place.ca_cert:
            trust.load_verify_locations(place.ca_cert)
        self._http = httpx.Client(base_url=place.url, timeout=_TIMEOUT, verify=trust)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def ask(
        self, method: str, path: str, token: Callable[[str | None], str] | None = None, **request: Any
    ) -> httpx.Response:  # fmt: skip
        """The answer to a request, which is sent again while the service is away for a moment.

        Args:
            method: of HTTP.
            path: from `/v1` on.
            token: gives the access token; given one that was refused, it gives another. None for no login.
            request: as httpx takes it. What changes something bears an Idempotency-Key, made here if missing.

        Raises:
            ServiceError: it was refused, or the service cannot be reached.
        """
        headers = dict(request.pop("headers", {}))
        if method not in _READS and token:
            headers.setdefault("Idempotency-Key", uuid4().hex)
        deadline, pause, refused = time.monotonic() + _PATIENCE_S, _FIRST_PAUSE_S, None
        while True:
            bearer = token(refused) if token else None
            if bearer:
                headers["Authorization"] = f"Bearer {bearer}"
            found = self._try(method, path, {**request, "headers": headers})
            if isinstance(found, httpx.Response):
                return found
            if found.status == 401 and bearer and refused is None:
                refused = bearer
                continue
            if not found.away or time.monotonic() + pause > deadline:
                raise found
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    def _try(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response | ServiceError:
        where = f"{method} {path}"
        try:
            answer = self._http.request(method, path, **request)
        except httpx.TransportError as e:
            what = f"The service does not answer ({type(e).__name__}). It is asked again by itself."
            return ServiceError(0, "unreachable", what, where)
        return answer if answer.status_code < 400 else _refusal(answer, where)


@cache
def wire() -> Wire:
    """The process's."""
    return Wire(address())


def _refusal(answer: httpx.Response, where: str) -> ServiceError:
    try:
        body = json.loads(answer.content)
        code, what = str(body["code"]), str(body["detail"])
        errors = tuple(body.get("errors") or ())
    except (ValueError, KeyError, TypeError):
        what = f"The service cannot answer now ({answer.status_code}). Try again in a moment."
        code, errors = "unknown", ()
    kind = LoginEndedError if answer.status_code == 401 else ServiceError
    return kind(answer.status_code, code, what, where, errors)
