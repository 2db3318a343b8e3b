"""Logins of the command line: a file that only this user can read, with the tokens of each service.

A refresh token works once, so whoever renews it holds a lock from reading the old one to writing the new.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from screenalyzer.errors import ServiceError
from services.access import private

_EARLY_S = 30.0  # a token that is about to expire would expire on its way


class Access(Protocol):
    """What a client bears."""

    def token(self) -> str:
        """An access token that is valid as far as is known."""

    def renew(self, refused: str) -> bool:
        """Get another one in the place of one that was refused; False where that cannot be."""


@dataclass(frozen=True)
class Login:
    """One login as it is kept.

    Attributes:
        user: name of the user.
        access_token: to be sent with requests.
        refresh_token: gives the next two, once.
        expires_at: of the access token, seconds since the epoch.
    """

    user: str
    access_token: str
    refresh_token: str
    expires_at: float

    @classmethod
    def of(cls, user: str, answer: dict[str, Any]) -> "Login":
        """From the answer of POST /v1/auth/token."""
        expires_at = time.time() + float(answer["expires_in"])
        return cls(user, answer["access_token"], answer["refresh_token"], expires_at)


def credentials_path() -> Path:
    """Where logins are kept."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "screenalyzer" / "credentials.json"


class Credentials:
    """The file."""

    def __init__(self, path: Path | None = None) -> None:
        """Take its path; it need not be there."""
        self._path = path or credentials_path()

    def find(self, url: str) -> Login | None:
        """The login at a service.

        Raises:
            SettingsError: others can read the file.
        """
        found = self._read().get(url)
        return Login(**found) if found else None

    def put(self, url: str, login: Login | None) -> None:
        """Keep a login, or forget it."""
        with self.held():
            self._replace(url, login)

    def renew(self, url: str, refused: str, refresh: Callable[[Login], Login | None]) -> Login | None:
        """The login with new tokens; with those that another process has got meanwhile, if it was faster.

        Args:
            url: of the service.
            refused: the access token that is of no use any more.
            refresh: exchanges the tokens; returns None where the login has ended.
        """
        with self.held():
            known = self.find(url)
            if known is None or known.access_token != refused:
                return known
            fresh = refresh(known)
            self._replace(url, fresh)
            return fresh

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the file against other processes."""
        with private.turn(self._path.parent):
            yield

    def _replace(self, url: str, login: Login | None) -> None:
        kept = {k: v for k, v in self._read().items() if k != url}
        if login:
            kept[url] = asdict(login)
        private.write(self._path, json.dumps(kept, indent=1).encode() + b"\n")

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                private.check_mode(self._path, os.fstat(file.fileno()))
                found = json.load(file)
        except FileNotFoundError:
            return {}
        except ValueError as e:
            raise ServiceError(f"{self._path} is damaged. Remove it, and log in again.") from e
        return found if isinstance(found, dict) else {}


class GivenToken:
    """A token from an option or the environment, which somebody else renews."""

    def __init__(self, token: str) -> None:
        """Take the token."""
        self._token = token

    def token(self) -> str:
        """The token."""
        return self._token

    def renew(self, refused: str) -> bool:  # noqa: ARG002 - as in Access
        """It cannot be."""
        return False


class KeptLogin:
    """A login from the file, renewed when it has to be."""

    def __init__(self, credentials: Credentials, url: str, refresh: Callable[[Login], Login | None]) -> None:
        """Take the file, the service, and what exchanges tokens there."""
        self._credentials, self._url, self._refresh = credentials, url, refresh

    def token(self) -> str:
        """The access token, renewed in time.

        Raises:
            ServiceError: nobody is logged in.
        """
        found = self._credentials.find(self._url)
        if found is not None and found.expires_at - _EARLY_S < time.time():
            found = self._credentials.renew(self._url, found.access_token, self._refresh)
        if found is None:
            raise ServiceError(f"nobody is logged in at {self._url}. Run `screenalyzer login`.")
        return found.access_token

    def renew(self, refused: str) -> bool:
        """Exchange the tokens, unless another process has done so.

        Raises:
            ServiceError: the login has ended.
        """
        if self._credentials.renew(self._url, refused, self._refresh) is None:
            raise ServiceError(f"the login at {self._url} has ended. Run `screenalyzer login`.")
        return True
