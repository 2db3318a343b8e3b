"""Logging in with a password or a one-time secret.

Whether the user is unknown or inactive or the password wrong, the answer is the same and takes as long: one
hash is computed, and the attempt is counted for the name as it was typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.access import first_admin, names, one_time, sessions, throttle
from services.access.errors import LoginRefusedError
from services.access.passwords import passwords
from services.access.sessions import Grant
from services.access.trail import record
from services.context import Services
from services.db.models import User, now

_UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Credential:
    """What a user's password is compared with."""

    user_id: str | None = None
    user_name: str = _UNKNOWN
    stored: str | None = None
    one_time: bool = False


def log_in(services: Services, name: str, password: str, address: str) -> Grant:
    """Check a password or one-time secret, in transactions of its own, and begin a login.

    Args:
        services: of the process.
        name: as it was typed.
        password: likewise; a one-time secret works once, and is then the user's no longer.
        address: of the client.

    Raises:
        LoginRefusedError: unknown user, inactive user, or wrong password.
        ThrottledError: too many failures of this name or address.
        CrowdedError: too many passwords are being checked.
    """
    key, cfg = names.lookup_key(name), services.settings.access
    with services.database.write() as session:
        counted = (throttle.user_key(key or name), throttle.address_key(address))
        entered = throttle.enter(session, cfg, *counted)
    with services.database.read() as session:
        known = _find(session, key)
    typed = one_time.normal(password) if known.one_time else password
    right = passwords(cfg).verify(known.stored, typed)
    better = passwords(cfg).hash(typed) if right and _is_outdated(services, known) else None
    given = _begin(services, known, better, entered) if right else None
    if given is None:
        record(services, "login.failed", known.user_name, {"address": address})
        raise LoginRefusedError("The user name or the password is wrong.")
    record(services, "login", known.user_name, {"address": address, "one_time": known.one_time})
    if known.one_time:
        first_admin.remove_used(services, typed)
    return given


def check_password(services: Services, user_id: str, name: str, password: str) -> bool:
    """Whether it is the current password of a user who is logged in, in transactions of its own.

    Raises:
        ThrottledError: too many failures of this user.
        CrowdedError: too many passwords are being checked.
    """
    with services.database.write() as session:
        entered = throttle.enter(session, services.settings.access, throttle.user_key(names.key(name)))
    with services.database.read() as session:
        stored = session.scalar(select(User.password_hash).where(User.id == user_id))
    right = passwords(services.settings.access).verify(stored, password)
    if right:
        with services.database.write() as session:
            throttle.leave(session, entered)
    return right


def _find(session: Session, key: str | None) -> _Credential:
    user = session.scalar(select(User).where(User.name_key == key)) if key else None
    if user is None:
        return _Credential()
    if user.password_hash:
        return _Credential(user.id, user.name, user.password_hash)
    return _Credential(user.id, user.name, user.secret_hash, one_time=True)


def _begin(
    services: Services, known: _Credential, better: str | None, entered: Mapping[str, datetime | None]
) -> Grant | None:
    """Begin the login, unless the user has changed since the password was looked at."""
    with services.database.write() as session:
        user = session.scalar(select(User).where(User.id == known.user_id).with_for_update(key_share=True))
        if user is None or not user.active or not _still(user, known):
            return None
        if known.one_time:
            user.secret_hash = user.secret_until = None
        elif better:
            user.password_hash = better
        throttle.leave(session, entered)
        row, token = sessions.begin(session, user, services.settings.access)
    return sessions.grant(services, user, row.id, token)


def _still(user: User, known: _Credential) -> bool:
    if not known.one_time:
        return user.password_hash == known.stored
    unexpired = user.secret_until is not None and user.secret_until > now()
    return user.password_hash is None and user.secret_hash == known.stored and unexpired


def _is_outdated(services: Services, known: _Credential) -> bool:
    return (
        not known.one_time
        and known.stored is not None
        and passwords(services.settings.access).outdated(known.stored)
    )
