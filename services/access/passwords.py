"""Passwords: argon2id, and which ones are refused.

The rules are those of NIST SP 800-63B: long enough, not known to be common, nothing asked of composition.
"""

import re
import threading
import unicodedata
from functools import cache
from itertools import pairwise
from secrets import token_bytes

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from services.access.errors import CrowdedError, PasswordError
from services.access.names import key
from services.settings import AccessSettings

SHORTEST = 12
LONGEST_BYTES = 1024
_FEWEST_DIFFERENT = 5
_COMMON = (
    "password", "passwort", "passphrase", "passcode", "screenalyzer", "administrator", "admin", "analyst",
    "welcome", "letmein", "changeme", "default", "iloveyou", "sunshine", "princess", "football", "baseball",
    "monkey", "dragon", "master", "superman", "batman", "trustno", "starwars", "whatever", "secret", "qwe",
    "qwerty", "qwertyuiop", "asd", "asdfghjkl", "zxc", "zxcvbnm", "qaz", "wsx", "edc", "abc", "abcdef",
    "test", "guest", "user", "login", "root", "correcthorsebatterystaple", "my", "the", "is", "please",
)  # fmt: skip
_LEET = str.maketrans("013457@$!", "oleastasi")
_AT_ONCE = 4
_PATIENCE_S = 5.0
_turns = threading.BoundedSemaphore(_AT_ONCE)  # of this process: each check takes the memory that is set


class Passwords:
    """Hashes and verifies at one cost."""

    def __init__(self, memory_mib: int, rounds: int) -> None:
        """Take the cost of a hash; RFC 9106 advises 64 MiB and 3 rounds where memory is not plenty."""
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_mib * 1024, parallelism=1)
        self._of_nobody = self._hasher.hash(token_bytes(32))

    def hash(self, password: str) -> str:
        """An argon2id hash with its parameters and salt.

        Raises:
            CrowdedError: too many are being computed at once.
        """
        with _Turn():
            return self._hasher.hash(_bytes(password))

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether it is the password. Takes as long where there is nothing stored to compare with.

        Raises:
            CrowdedError: too many are being computed at once.
        """
        with _Turn():
            try:
                self._hasher.verify(stored or self._of_nobody, _bytes(password))
            except (VerifyMismatchError, VerificationError, InvalidHashError):
                return False
        return bool(stored)

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost."""
        return self._hasher.check_needs_rehash(stored)


class _Turn:
    def __enter__(self) -> None:
        if not _turns.acquire(timeout=_PATIENCE_S):
            raise CrowdedError("Too many people log in at this moment. Try again in a few seconds.")

    def __exit__(self, *_exc: object) -> None:
        _turns.release()


@cache
def passwords(cfg: AccessSettings) -> Passwords:
    """The one of these settings."""
    return Passwords(cfg.hash_mib, cfg.hash_rounds)


def check(password: str, user_name: str) -> None:
    """Refuse what is easy to guess.

    Raises:
        PasswordError: shorter than 12 characters, longer than 1024 bytes, the user's name, or one of those
            that everybody tries first.
    """
    text = _normal(password)
    if len(text) < SHORTEST:
        raise PasswordError(f"a password has at least {SHORTEST} characters; a few words together are good.")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as e:
        raise PasswordError("the password holds half a character. Type it anew.") from e
    if size > LONGEST_BYTES:
        raise PasswordError(f"a password has at most {LONGEST_BYTES} bytes.")
    if _is_made_of(key(text), (key(user_name),)):
        raise PasswordError("the password is the user's name. Choose another.")
    if _is_obvious(key(text)):
        raise PasswordError("the password is one of those that are tried first. Choose another.")


def _is_obvious(text: str) -> bool:
    if len(set(text)) < _FEWEST_DIFFERENT or _counts(text):
        return True
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)
    return _is_made_of(text, _COMMON) or _is_made_of(core.translate(_LEET), _COMMON)


def _is_made_of(text: str, words: tuple[str, ...]) -> bool:
    """Whether nothing but these words, digits and signs is in it."""
    letters = _letters(text)
    known = sorted({_letters(w) for w in words} - {""}, key=len, reverse=True)
    # The possessive ++ never tries another split, so a long password costs no more than its length.
    return text in words or bool(letters and known and re.fullmatch(f"(?:{'|'.join(known)})++", letters))


def _letters(text: str) -> str:
    return re.sub(r"[\W\d_]+", "", text)


def _counts(text: str) -> bool:
    """Whether each character follows the one before, up or down, as in 123456789012."""
    if text.isdecimal():
        return {(int(b) - int(a)) % 10 for a, b in pairwise(text)} in ({1}, {9})
    return {ord(b) - ord(a) for a, b in pairwise(text)} in ({1}, {-1})


def _normal(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    """What is hashed: the same whichever way a keyboard composes its letters."""
    return _normal(password).encode(errors="surrogatepass")
