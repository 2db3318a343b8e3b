"""Users: made, changed and removed, always with an active Admin left."""

from dataclasses import dataclass

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from services.access import names, sessions
from services.access.errors import LastAdminError
from services.access.one_time import OneTimeSecret
from services.db.models import IdempotencyKey, Role, User


@dataclass(frozen=True)
class Held:
    """A user whose row is locked, together with those of all active Admins.

    Attributes:
        user: the row.
        others: how many other active Admins there are.
    """

    user: User
    others: int

    def must_not_be_last(self) -> None:
        """Refuse to lose this user as an Admin.

        Raises:
            LastAdminError: there is no other.
        """
        if self.user.role == "admin" and self.user.active and not self.others:
            raise LastAdminError(self.user.name)


def hold(session: Session, user_id: str) -> Held | None:
    """Lock a user, and the Admins, so that two of them cannot remove each other at once."""
    found = (
        select(User)
        .where(or_(User.id == user_id, (User.role == "admin") & User.active))
        .order_by(User.id)  # one order for everybody: no two transactions wait for each other
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    rows = list(session.scalars(found))
    user = next((r for r in rows if r.id == user_id), None)
    if user is None:
        return None
    return Held(user, sum(r.role == "admin" and r.active and r is not user for r in rows))


def create(session: Session, name: str, role: Role, fresh: OneTimeSecret) -> User:
    """A new user, who logs in with the secret once and then sets a password. Flushed.

    Raises:
        UserNameError: it is none.
        IntegrityError: there is a user of this name.
    """
    shown = names.clean(name)
    user = User(name=shown, name_key=names.key(shown), role=role, active=True, revision=1)
    user.secret_hash, user.secret_until = fresh.hash, fresh.until
    session.add(user)
    session.flush()
    return user


def reset_secret(session: Session, user: User, fresh: OneTimeSecret) -> None:
    """Put a one-time secret in place of the user's password or last secret, and end every login."""
    user.password_hash = None
    user.secret_hash, user.secret_until = fresh.hash, fresh.until
    user.revision += 1
    sessions.revoke_all(session, user.id)


def set_password(session: Session, user: User, hashed: str, session_id: str) -> None:
    """Put a password in place of the last one, and end every login but this."""
    user.password_hash, user.secret_hash, user.secret_until = hashed, None, None
    user.revision += 1
    sessions.revoke_all(session, user.id, but=session_id)


def change(session: Session, held: Held, role: Role | None, active: bool | None) -> bool:
    """Give a user another role, or stop or let them log in; what is None stays.

    Returns:
        Whether anything is not as it was.

    Raises:
        LastAdminError: it would leave no active Admin.
    """
    user = held.user
    wanted = (user.role if role is None else role, user.active if active is None else active)
    if wanted == (user.role, user.active):
        return False
    if wanted != ("admin", True):
        held.must_not_be_last()
    user.role, user.active = wanted
    user.revision += 1
    if not user.active:
        sessions.revoke_all(session, user.id)
    return True


def remove(session: Session, held: Held) -> None:
    """Delete a user with all logins and stored answers; uploads and jobs stay, and are nobody's.

    Raises:
        LastAdminError: it would leave no active Admin.
    """
    held.must_not_be_last()
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.user_id == held.user.id))
    session.delete(held.user)
