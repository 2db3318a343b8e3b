"""The first Admin, who gets in with a one-time secret from a file: there is never a default password."""

import logging
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import exists, select, text
from sqlalchemy.orm import Session

from services.access import names, one_time, private, users
from services.access.one_time import OneTimeSecret
from services.access.passwords import passwords
from services.access.trail import SYSTEM, record
from services.context import Services
from services.db.models import LoginSession, User, now

NAME = "admin"
SECRET_FILE = "first-admin-secret"
_LOCK = 0x5C4EE5  # PostgreSQL's advisory lock: two starting services take turns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FirstAdmin:
    """An Admin, and how to get in for the first time.

    Attributes:
        name: the user name.
        secret_path: the file with the one-time secret; None where the Admin has been in.
    """

    name: str
    secret_path: Path | None


def ensure_first_admin(services: Services) -> FirstAdmin:
    """See that somebody can administer; call it at each start, after the migrations.

    While no Admin has a password, the oldest has a one-time secret that is valid and lies in its file: a lost
    or expired one is replaced. Nothing is touched once an Admin has a password, or is logged in to set it.

    Raises:
        OSError: the folder of the secrets cannot be written.
    """
    file = secret_file(services)
    with services.database.read() as session:
        admin = _admin(session)
        if admin and not _is_needed(session, services, admin):
            if not admin.secret_hash:
                _remove(file)
            return FirstAdmin(admin.name, file if admin.secret_hash else None)
    fresh = one_time.make(services.settings.access)
    with services.database.write() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        admin = _admin(session)
        if admin and not _is_needed(session, services, admin):  # another process was faster
            return FirstAdmin(admin.name, file if admin.secret_hash else None)
        admin = _give(session, admin, fresh)
        # Before the commit: the next start replaces a file without its row, as a row without its file.
        private.write(file, f"{fresh.text}\n".encode())
    record(services, "user.first-admin", SYSTEM, {"user": admin.name})
    return FirstAdmin(admin.name, file)


def secret_file(services: Services) -> Path:
    """Where the secret lies until it is used."""
    return services.settings.secrets / SECRET_FILE


def remove_used(services: Services, secret: str) -> None:
    """Remove the file if this secret, which has just been used, is what it holds."""
    file = secret_file(services)
    if _read(file) == secret:
        _remove(file)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except (
        OSError
    ) as e:  # a replica may see the folder as read-only; what is in the file is worth nothing now
        log.warning("%s holds a secret that has been used, and cannot be removed: %s", file, e)


def _admin(session: Session) -> User | None:
    """The Admin who has a password, else the oldest; None where there is no active one."""
    found = select(User).where(User.role == "admin", User.active)
    first = found.order_by(User.password_hash.is_(None), User.created_at, User.id).limit(1)
    return session.scalar(first.with_for_update(key_share=True).execution_options(populate_existing=True))


def _is_needed(session: Session, services: Services, admin: User) -> bool:
    if admin.password_hash:
        return False
    if admin.secret_hash and admin.secret_until and admin.secret_until > now():
        written = _read(secret_file(services))
        return not written or not passwords(services.settings.access).verify(admin.secret_hash, written)
    live = exists().where(
        LoginSession.user_id == admin.id, LoginSession.revoked_at.is_(None), LoginSession.expires_at > now()
    )
    return not session.scalar(select(live))


def _give(session: Session, admin: User | None, fresh: OneTimeSecret) -> User:
    same_name = select(User).where(User.name_key == names.key(NAME)).with_for_update(key_share=True)
    known = admin or session.scalar(same_name)
    if known is None:
        return users.create(session, NAME, "admin", fresh)
    known.role, known.active = "admin", True
    users.reset_secret(session, known, fresh)
    return known


def _read(file: Path) -> str:
    """The secret in the file; empty where there is none to be read."""
    try:
        return one_time.normal(file.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return ""
