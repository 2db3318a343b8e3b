"""One-time secrets: what a new user, or one who forgot the password, logs in with once."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.access.passwords import passwords
from services.db.models import now
from services.settings import AccessSettings

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing in it is mistaken for another
_MISTAKEN = str.maketrans({"i": "1", "l": "1", "o": "0", "-": "", " ": ""})
_GROUPS, _GROUP = 7, 4  # 28 letters of 5 bits


@dataclass(frozen=True)
class OneTimeSecret:
    """A secret on its way to its user.

    Attributes:
        text: as it is shown, once.
        hash: what is stored.
        until: when it ends unused.
    """

    text: str = field(repr=False)
    hash: str = field(repr=False)
    until: datetime


def make(cfg: AccessSettings) -> OneTimeSecret:
    """A new one of 140 random bits. Takes as long as hashing a password: do it outside of a transaction."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    text = "-".join(groups)
    return OneTimeSecret(text, passwords(cfg).hash(normal(text)), now() + timedelta(hours=cfg.secret_hours))


def normal(typed: str) -> str:
    """A secret as it is compared: case, dashes, spaces and the letters i, l, o do not matter."""
    return typed.strip().casefold().translate(_MISTAKEN)
