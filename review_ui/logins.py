"""Who is logged in: tokens live in this process alone, and a browser holds no more than a number for them.

See docs/adr/0011-review-ui.md for why.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from review_ui.wire import LoginEndedError, Wire, wire

_IDLE_S: Final = 12 * 3600.0
_TICKET_S: Final = 60.0
_EARLY_S: Final = 30.0


@dataclass
class _Tokens:
    access: str
    refresh: str
    life_s: float
    expires_at: float  # time.monotonic


class Login:
    """A login at the service, shared by every page and tab of a browser."""

    def __init__(self, lines: Wire, answer: dict[str, Any]) -> None:
        """Take the service and its answer to a password."""
        self.id: Final = secrets.token_urlsafe(32)
        self.must_set_password = bool(answer["must_set_password"])
        self.user: dict[str, Any] = {}
        self.used_at = time.monotonic()
        self._wire, self._lock, self._ended = lines, threading.Lock(), False
        self._tokens = _tokens(answer)

    def token(self, refused: str | None = None, spare_s: float = _EARLY_S) -> str:
        """A valid access token; renewed by one thread at a time, since a refresh token works once.

        Args:
            refused: a token that the service did not take.
            spare_s: how long it must be valid still, at least, where its life is that long.

        Raises:
            LoginEndedError: the login is over.
            ServiceError: the service cannot be asked.
        """
        with self._lock:
            self.used_at = time.monotonic()
            if self._ended:
                raise _ended()
            spare_s = min(spare_s, self._tokens.life_s / 2)
            if refused == self._tokens.access or self._tokens.expires_at - spare_s < time.monotonic():
                self._renew()
            return self._tokens.access

    def end(self) -> None:
        """Forget the tokens; ending the login at the service is the caller's."""
        with self._lock:
            self._ended = True

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def _renew(self) -> None:
        form = {"grant_type": "refresh_token", "refresh_token": self._tokens.refresh}
        try:
            self._tokens = _tokens(self._wire.ask("POST", "/v1/auth/token", data=form).json())
        except LoginEndedError:
            self._ended = True
            raise _ended() from None


class Logins:
    """All logins of this process, by what their browsers hold."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._by_id: dict[str, Login] = {}
        self._tickets: dict[str, tuple[str, float]] = {}

    def add(self, login: Login) -> None:
        """Keep a login until it ends, or nobody has used it for half a day."""
        with self._lock:
            old = time.monotonic() - _IDLE_S
            self._by_id = {i: k for i, k in self._by_id.items() if not k.over and k.used_at > old}
            self._by_id[login.id] = login

    def find(self, login_id: str | None) -> Login | None:
        """The login of a browser; None where there is none any more."""
        with self._lock:
            found = self._by_id.get(login_id or "")
            gone = found is None or found.over or time.monotonic() - found.used_at > _IDLE_S
            return None if gone else found

    def end(self, login: Login) -> None:
        """End a login here."""
        login.end()
        with self._lock:
            self._by_id.pop(login.id, None)

    def ticket(self, login: Login) -> str:
        """Something that a browser exchanges for its cookie, once and soon."""
        with self._lock:
            now = time.monotonic()
            self._tickets = {t: v for t, v in self._tickets.items() if v[1] > now}
            ticket = secrets.token_urlsafe(32)
            self._tickets[ticket] = (login.id, now + _TICKET_S)
            return ticket

    def claim(self, ticket: str) -> str | None:
        """What a ticket stands for; None where it was used or is too old."""
        with self._lock:
            login_id, until = self._tickets.pop(ticket, ("", 0.0))
            return login_id if time.monotonic() < until else None


LOGINS: Final = Logins()


def log_in(user: str, password: str, came_from: str | None, lines: Callable[[], Wire] = wire) -> Login:
    """Log in with a password or a one-time secret.

    Args:
        user: name.
        password: of the user.
        came_from: address of the browser, which the service believes where it trusts this process as a proxy.
        lines: gives the service.

    Raises:
        ServiceError: refused, or not reached.
    """
    form = {"grant_type": "password", "username": user, "password": password}
    headers = {"X-Forwarded-For": came_from} if came_from else {}
    answer = lines().ask("POST", "/v1/auth/token", data=form, headers=headers).json()
    login = Login(lines(), answer)
    login.user = lines().ask("GET", "/v1/users/me", login.token).json()
    LOGINS.add(login)
    return login


def _tokens(answer: dict[str, Any]) -> _Tokens:
    life_s = float(answer["expires_in"])
    return _Tokens(answer["access_token"], answer["refresh_token"], life_s, time.monotonic() + life_s)


def _ended() -> LoginEndedError:
    return LoginEndedError(401, "login-ended", "Your login has ended. Log in again.", "POST /v1/auth/token")
