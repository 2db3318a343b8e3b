"""Logins: who calls, refreshing, and revoking.

An access token lives for minutes and names its login; each request looks whether that login still stands, so
a revocation, a lost role or a deactivated user takes hold at once. A refresh token works once and is
replaced. Whoever brings one that was used before, the thief or the robbed, ends the login: there is no grace
for a client that sends the same one twice, since nothing tells it from a thief. It logs in again.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_urlsafe

from sqlalchemy import Update, delete, select, update
from sqlalchemy.orm import Session

from services.access import throttle, tokens
from services.access.keys import Keyring
from services.access.tokens import Claims
from services.access.trail import record
from services.context import Services
from services.db.models import LoginSession, User, now
from services.settings import AccessSettings

_BYTES = 32
_LONGEST = 200


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        user_id: of the row.
        name: the user name.
        role: admin or analyst, as the row says now.
        session_id: of the login.
    """

    user_id: str
    name: str
    role: str
    session_id: str


@dataclass(frozen=True)
class Grant:
    """What a login or a refresh gives.

    Attributes:
        access_token: to be sent as bearer token.
        expires_in_s: seconds that it lives.
        refresh_token: for the next grant, once.
        must_set_password: the user has none yet.
    """

    access_token: str = field(repr=False)
    expires_in_s: int
    refresh_token: str = field(repr=False)
    must_set_password: bool


def authenticate(session: Session, keyring: Keyring, token: str) -> Caller | None:
    """Who bears the token; None where it is forged, expired or revoked, or its user inactive."""
    claims = tokens.read(keyring, token) if token else None
    return caller_of(session, claims.user_id, claims.session_id) if claims else None


def caller_of(session: Session, user_id: str, session_id: str) -> Caller | None:
    """Who a login is of; None where it is revoked or expired, of another user, or its user inactive."""
    row = session.scalar(select(LoginSession).where(LoginSession.id == session_id))
    if row is None or row.user_id != user_id or not _stands(row):
        return None
    return Caller(row.user_id, row.user.name, row.user.role, row.id)


def begin(session: Session, user: User, cfg: AccessSettings) -> tuple[LoginSession, str]:
    """A new login of a user; returns its row, which is flushed, and its first refresh token."""
    family = token_urlsafe(_BYTES)
    token = _next(family)
    row = LoginSession(
        user_id=user.id,
        refresh_hash=_sha256(token),
        family_hash=_sha256(family),
        expires_at=now() + timedelta(days=cfg.refresh_days),
    )
    session.add(row)
    session.flush()
    return row, token


def grant(services: Services, user: User, session_id: str, refresh_token: str) -> Grant:
    """The tokens of a login."""
    life = timedelta(minutes=services.settings.access.access_minutes)
    access = tokens.issue(services.keyring, Claims(user.id, session_id), life, now())
    return Grant(access, int(life.total_seconds()), refresh_token, user.password_hash is None)


def refresh(services: Services, token: str) -> Grant | None:
    """New tokens for a refresh token, in a transaction of its own.

    Returns:
        None where it is unknown, spent, expired or revoked, or its user inactive. A spent one also ends its
        login, and the audit log says so.
    """
    family = token.partition(".")[0]
    if len(token) > _LONGEST or not token.isascii():
        return None
    with services.database.write() as session:
        found = select(LoginSession).where(LoginSession.family_hash == _sha256(family))
        row = session.scalar(found.with_for_update(of=LoginSession))
        if row is None or not _stands(row):
            return None
        user, session_id = row.user, row.id
        stolen = row.refresh_hash != _sha256(token)
        if stolen:
            row.revoked_at = now()
        else:
            fresh = _next(family)
            row.refresh_hash = _sha256(fresh)
            row.expires_at = now() + timedelta(days=services.settings.access.refresh_days)
    if stolen:
        record(services, "session.refresh-reused", user.name, {"session": session_id})
        return None
    return grant(services, user, session_id, fresh)


def revoke(session: Session, session_id: str) -> None:
    """End a login."""
    session.execute(_ending().where(LoginSession.id == session_id))


def revoke_all(session: Session, user_id: str, but: str | None = None) -> None:
    """End every login of a user.

    Args:
        session: of the transaction.
        user_id: whose.
        but: id of one that goes on.
    """
    ending = _ending().where(LoginSession.user_id == user_id)
    session.execute(ending if but is None else ending.where(LoginSession.id != but))


def tidy(session: Session) -> None:
    """Remove logins that have ended and counters that nobody has touched for a day."""
    session.execute(
        delete(LoginSession).where((LoginSession.expires_at < now()) | LoginSession.revoked_at.is_not(None))
    )
    throttle.forget(session)


def _ending() -> Update:
    return update(LoginSession).where(LoginSession.revoked_at.is_(None)).values(revoked_at=now())


def _stands(row: LoginSession) -> bool:
    return row.revoked_at is None and row.expires_at > now() and row.user.active


def _next(family: str) -> str:
    """A refresh token: what all of its login share, and what only this one has. 256 random bits each."""
    return f"{family}.{token_urlsafe(_BYTES)}"


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
