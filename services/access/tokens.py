"""Access tokens: JSON Web Tokens (RFC 7519, HS256) that name a login, and nothing that may change."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from services.access.keys import Keyring

ISSUER = "screenalyzer"
AUDIENCE = "screenalyzer-api"
_ALGORITHM = "HS256"
_LONGEST = 1024
_LONGEST_HEADER = 256  # a deeper nest of brackets than this holds is not worth parsing
_CLAIMS = ("iss", "aud", "sub", "sid", "iat", "exp")


@dataclass(frozen=True)
class Claims:
    """Whom a token names."""

    user_id: str
    session_id: str


def issue(keyring: Keyring, claims: Claims, life: timedelta, at: datetime) -> str:
    """A token signed with the newest key.

    Args:
        keyring: the keys.
        claims: whom it names.
        life: how long it is valid.
        at: from when on.
    """
    signing = keyring.newest("access-token")
    payload = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": claims.user_id,
        "sid": claims.session_id,
        "iat": at,
        "exp": at + life,
    }
    return jwt.encode(payload, signing.secret, _ALGORITHM, headers={"kid": signing.kid})


def read(keyring: Keyring, token: str) -> Claims | None:
    """Whom a token names; None where it is forged, damaged, expired or signed with a key that is gone."""
    if not token.isascii() or len(token) > _LONGEST or len(token.partition(".")[0]) > _LONGEST_HEADER:
        return None
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        found = keyring.find(kid, "access-token") if isinstance(kid, str) else None
        if found is None:
            return None
        claims = jwt.decode(
            token,
            found.secret,
            algorithms=[_ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            # A token from a node whose clock is ahead is no forgery.
            options={"require": list(_CLAIMS), "verify_iat": False},
        )
    except jwt.InvalidTokenError:
        return None
    return Claims(str(claims["sub"]), str(claims["sid"]))
