"""Names of users: what may be one, and when two are the same."""

import unicodedata

from services.access.errors import UserNameError

LONGEST = 64
_LONGEST_KEY = 240
# Controls, invisible marks (some turn the direction of text), halves of characters, what is no character.
_REFUSED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def clean(raw: str) -> str:
    """The name as it is shown: composed (NFC), without spaces around it.

    Raises:
        UserNameError: it is empty, longer than 64 characters, or holds characters that cannot be seen.
    """
    bad = next((c for c in raw if unicodedata.category(c) in _REFUSED), None)
    if bad is not None:
        raise UserNameError(f"a user's name cannot hold the character U+{ord(bad):04X}. Leave it out.")
    name = " ".join(unicodedata.normalize("NFC", raw).split())
    if not name or len(name) > LONGEST:
        raise UserNameError(f"a user's name has 1 to {LONGEST} characters. Choose another.")
    if len(key(name)) > _LONGEST_KEY:
        raise UserNameError("this user's name is too long when it is written out. Choose another.")
    return name


def key(name: str) -> str:
    """What two names that read alike have in common: no case, no compatibility forms."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def lookup_key(raw: str) -> str | None:
    """The key of a name as it was typed at a login; None where no user can have it."""
    try:
        return key(clean(raw))
    except UserNameError:
        return None
