"""Signed URLs that expire: how an <img> or <video> gets what else only the bearer of a token may see.

A URL opens exactly its path, for the user and the login that it was made for; it dies with that login. What
it opens must be in its path: other parameters of the query are not signed.

A wall of 10,000 faces has no use for 10,000 signatures: a folder can be signed instead, which opens every
file that lies in it directly and nothing below or beside. Since such files come by the hundred, it is
remembered for some seconds that their login stands; so long at most a folder outlives its login.
"""

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal
from urllib.parse import quote, urlencode

from fastapi import Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from screenalyzer.errors import ScreenalyzerError
from services.access.keys import Key, Keyring
from services.access.sessions import Caller, caller_of
from services.api.deps import TokenDep, get_caller
from services.api.problems import ApiError
from services.context import Services
from services.db.models import now

PARAMETERS = ("exp", "user", "session", "kid", "sig")
REMEMBERED_S: Final = 3.0
_STEPS = 6
_EXPIRES = re.compile(r"[0-9]{1,12}", re.ASCII)
_NO_FILES = frozenset({"", ".", ".."})
_FOLDER = "folder"

_Parameter = Annotated[str | None, Query(description="of a signed URL, as it was given")]


class UrlError(ScreenalyzerError):
    """A signed URL that opens nothing."""

    def __init__(self, code: Literal["bad-url", "url-expired", "url-revoked"], detail: str) -> None:
        """Take a word for programs and a sentence for people."""
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True)
class Signed:
    """Whom a URL was made for.

    Attributes:
        user_id: of the user.
        session_id: of the login.
        folder: it opens all files of a folder, not one path.
    """

    user_id: str
    session_id: str
    folder: bool = False


def sign(
    keyring: Keyring, path: str, user_id: str, session_id: str, expires: datetime, *, folder: bool = False
) -> str:
    """The query that opens a path.

    Args:
        keyring: the newest key signs.
        path: as the application sees it, from /v1 on, not percent-encoded.
        user_id: whom it is made for.
        session_id: of the login that it dies with.
        expires: when it ends, to the second.
        folder: the path ends in a slash, and the query opens every file that lies there directly.
    """
    key, until = keyring.newest("url"), str(int(expires.timestamp()))
    signature = _signature(key, path, until, Signed(user_id, session_id, folder))
    values = (until, user_id, session_id, key.kid, signature)
    return urlencode(dict(zip(PARAMETERS, values, strict=True)))


def verify(keyring: Keyring, path: str, query: Iterable[tuple[str, str]], at: datetime) -> Signed:
    """Whom a URL was made for; whether that login still stands is for the caller to see.

    Args:
        keyring: every kept key is good.
        path: of the request, decoded.
        query: every parameter, in any order; others than ours are not looked at.
        at: the moment.

    Raises:
        UrlError: it was not signed here for this path, or has expired.
    """
    ours = [(k, v) for k, v in query if k in PARAMETERS]
    found = dict(ours)
    if len(ours) != len(PARAMETERS) or set(found) != set(PARAMETERS) or not _EXPIRES.fullmatch(found["exp"]):
        raise _forged()
    key = keyring.find(found["kid"], "url")
    if key is None:
        raise _forged()
    sent = found["sig"].encode(errors="surrogatepass")
    folder, slash, name = path.rpartition("/")
    for signed, signed_path in (
        (Signed(found["user"], found["session"]), path),
        (Signed(found["user"], found["session"], folder=True), folder + slash),
    ):
        expected = _signature(key, signed_path, found["exp"], signed)
        if hmac.compare_digest(expected.encode(), sent) and (name not in _NO_FILES or not signed.folder):
            break
    else:
        raise _forged()
    if int(found["exp"]) <= at.timestamp():
        raise UrlError("url-expired", "This URL has expired. Get a new one from where you got it.")
    return signed


def signed_url(services: Services, caller: Caller, path: str) -> str:
    """A path with its query, for this caller's login, that lives as long as the settings say at most.

    Its end is rounded down to a sixth of that, so that a browser finds in its cache what it has just shown.

    Args:
        services: of the process.
        caller: whom it is made for.
        path: from /v1 on, not percent-encoded.
    """
    query = sign(services.keyring, path, caller.user_id, caller.session_id, _end(services))
    return f"{quote(path)}?{query}"


def signed_folder_url(services: Services, caller: Caller, folder: str, template: str) -> str:
    """A template of URLs that open the files of a folder, otherwise like `signed_url`.

    Args:
        services: of the process.
        caller: whom it is made for.
        folder: from /v1 on, with a slash at its end, not percent-encoded.
        template: name of a file with a hole in it, such as `{det}.webp`, to be filled by whoever gets it.
    """
    query = sign(services.keyring, folder, caller.user_id, caller.session_id, _end(services), folder=True)
    return f"{quote(folder)}{template}?{query}"


def _end(services: Services) -> datetime:
    life_s = services.settings.access.url_minutes * 60
    step_s = max(1.0, life_s / _STEPS)
    until = (now().timestamp() + life_s) // step_s * step_s
    return datetime.fromtimestamp(until, now().tzinfo)


async def get_signed_caller(
    request: Request,
    token: TokenDep,
    exp: _Parameter = None,
    user: _Parameter = None,
    session: _Parameter = None,
    kid: _Parameter = None,
    sig: _Parameter = None,
) -> Caller:
    """Who calls, by bearer token, signed URL of this very path, or both.

    Raises:
        ApiError: 401 where neither is valid, or one that is sent is not; 403 where they are not of one user.
    """
    if (exp, user, session, kid, sig) == (None,) * len(PARAMETERS):
        return await get_caller(request, token)
    services: Services = request.app.state.services
    try:
        owner = await _open(request, services)
    except UrlError as e:
        raise ApiError(401, e.code, str(e), {"WWW-Authenticate": "Bearer"}) from e
    if token and (await get_caller(request, token)).user_id != owner.user_id:
        raise ApiError(403, "other-users-url", "This URL was made for another user. Get one of your own.")
    request.state.caller = owner
    return owner


SignedCallerDep = Annotated[Caller, Depends(get_signed_caller)]


async def _open(request: Request, services: Services) -> Caller:
    signed = verify(services.keyring, request.scope["path"], request.query_params.multi_items(), now())
    remembered: RecentCallers = request.app.state.recent_callers
    owner = remembered.find(signed) if signed.folder else None
    if owner is None:
        owner = await run_in_threadpool(_look_up, request, signed)
        remembered.remember(signed, owner)
    return owner


def _look_up(request: Request, signed: Signed) -> Caller:
    owner = caller_of(request.state.session, signed.user_id, signed.session_id)
    request.state.session.close()  # gives its connection back: the next step may have to wait for a thread
    if owner is None:
        raise UrlError("url-revoked", "The login that this URL was made for has ended. Log in again.")
    return owner


class RecentCallers:
    """Whose logins were just found to stand; of one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody yet; the clock counts seconds."""
        self._clock = clock
        self._found: dict[tuple[str, str], tuple[float, Caller]] = {}

    def find(self, signed: Signed) -> Caller | None:
        """The caller, if the login was looked up in the last seconds."""
        at, caller = self._found.get((signed.user_id, signed.session_id), (0.0, None))
        return caller if self._clock() - at < REMEMBERED_S else None

    def remember(self, signed: Signed, caller: Caller) -> None:
        """Note that a login stands, and forget those that were noted too long ago."""
        at = self._clock()
        self._found = {k: v for k, v in self._found.items() if at - v[0] < REMEMBERED_S}
        self._found[signed.user_id, signed.session_id] = (at, caller)


def _signature(key: Key, path: str, until: str, signed: Signed) -> str:
    # The path comes last: it alone may hold anything. What is signed for a path begins with a number.
    kind = (_FOLDER,) if signed.folder else ()
    text = "\n".join((*kind, until, signed.user_id, signed.session_id, key.kid, path))
    digest = hmac.digest(key.secret, text.encode(errors="surrogatepass"), "sha256")
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _forged() -> UrlError:
    return UrlError("bad-url", "This URL is damaged, or was not made for this path. Get a new one.")
