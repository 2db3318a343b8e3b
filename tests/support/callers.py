"""Users for tests of the API, and what they send."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.access import names, sessions
from services.access.passwords import passwords
from services.db.models import Role, User

if TYPE_CHECKING:
    from services.context import Services

PASSWORD = "correct pony battery staple"


@dataclass(frozen=True)
class Person:
    """A user who is logged in.

    Attributes:
        id: of the user.
        name: the user name; the password is PASSWORD.
        session_id: of the login.
        token: an access token.
        refresh_token: works once.
    """

    id: str
    name: str
    session_id: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": f"Bearer {self.token}"}


def person(services: "Services", name: str, role: Role) -> Person:
    """Make a user with a password and log in, without HTTP."""
    hashed = passwords(services.settings.access).hash(PASSWORD)
    with services.database.write() as session:
        user = User(name=name, name_key=names.key(name), role=role, password_hash=hashed)
        session.add(user)
        session.flush()
        row, refresh_token = sessions.begin(session, user, services.settings.access)
    given = sessions.grant(services, user, row.id, refresh_token)
    return Person(user.id, name, row.id, given.access_token, given.refresh_token)


def admin(services: "Services", name: str = "ada") -> Person:
    """An Admin who is logged in."""
    return person(services, name, "admin")


def analyst(services: "Services", name: str = "ben") -> Person:
    """An Analyst who is logged in."""
    return person(services, name, "analyst")
