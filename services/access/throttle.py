"""Slowing down who guesses passwords, by user name and by address.

An attempt is counted before the password is looked at, under a lock on its rows, and taken back if it was
right: so a hundred guesses sent at once count as a hundred. After the free ones each failure doubles the
wait.
"""

import hashlib
import ipaddress
import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from services.access.errors import ThrottledError
from services.db.models import LoginThrottle, now
from services.settings import AccessSettings

_FORGET = timedelta(hours=24)
_USERS_BEHIND_AN_ADDRESS = 10  # a studio, or its proxy, may be one address
_HIGHEST_POWER = 30


def user_key(name: str) -> str:
    """The counter of a user's name as it was typed, if there is such a user or not.

    It is hashed: people type passwords into the wrong field.
    """
    return "user:" + hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def address_key(address: str) -> str:
    """The counter of a client's address; of IPv6 the /64, since that is what one client gets."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "address:" + hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            network = ipaddress.ip_network((int(found), 64), strict=False)
            return f"address:{network}"
        found = found.ipv4_mapped
    return f"address:{found}"


def enter(session: Session, cfg: AccessSettings, *keys: str) -> dict[str, datetime | None]:
    """Count an attempt that is about to be made.

    Args:
        session: of a transaction of its own, which must be committed before the password is looked at.
        cfg: how many are free, and the longest wait.
        keys: of the user and the address.

    Returns:
        Until when each key is blocked from here on, for `leave`.

    Raises:
        ThrottledError: one of them is blocked already; nothing is counted then.
    """
    at = now()
    rows = [_held(session, k) for k in sorted(keys)]
    # One that was set further ahead than any wait reaches is of a clock that was set back since.
    latest = at + 2 * timedelta(seconds=cfg.max_block_s)
    blocked = [r.blocked_until for r in rows if r.blocked_until and at < r.blocked_until <= latest]
    if blocked:
        raise ThrottledError(math.ceil((max(blocked) - at).total_seconds()))
    for row in rows:
        row.failures = 1 if row.failed_at < at - _FORGET else row.failures + 1
        row.failed_at, row.blocked_until = at, _block(row, cfg, at)
    return {r.key: r.blocked_until for r in rows}


def leave(session: Session, entered: Mapping[str, datetime | None]) -> None:
    """Take an attempt back that was right: the user's counter is cleared, the address's is one less.

    Args:
        session: of the transaction that logs the user in.
        entered: what `enter` returned.
    """
    for key, block in sorted(entered.items()):
        row = _held(session, key)
        if key.startswith("user:"):
            row.failures, row.blocked_until = 0, None
            continue
        row.failures = max(0, row.failures - 1)
        if row.blocked_until == block:
            row.blocked_until = None


def forget(session: Session) -> None:
    """Remove counters that nobody has touched for a day."""
    session.execute(delete(LoginThrottle).where(LoginThrottle.failed_at < now() - _FORGET))


def _held(session: Session, key: str) -> LoginThrottle:
    """The row of a key, made where it is missing, and locked."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    made = insert(LoginThrottle).values(key=key, failures=0, failed_at=now())
    # Changing a row to what it is locks it, and returns it also where it was there.
    upsert = made.on_conflict_do_update(index_elements=["key"], set_={"failures": LoginThrottle.failures})
    returning = upsert.returning(LoginThrottle)
    return session.scalars(returning, execution_options={"populate_existing": True}).one()


def _block(row: LoginThrottle, cfg: AccessSettings, at: datetime) -> datetime | None:
    free = cfg.free_attempts * (1 if row.key.startswith("user:") else _USERS_BEHIND_AN_ADDRESS)
    if row.failures < free:
        return None
    return at + timedelta(seconds=min(cfg.max_block_s, 2.0 ** min(row.failures - free, _HIGHEST_POWER)))
