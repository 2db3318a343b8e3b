"""Keys that tokens and URLs are signed with: made at first use, shared by every process of the service.

They lie in `keys.json`, newest first: `{"keys": [{"kid": ..., "secret": ..., "created_at": ...}]}`, each
secret 32 bytes in base64. The newest signs, all that are kept verify. What a key is used for goes into what
is derived from it, so a signature of one kind is worth nothing as another kind.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Literal

from pydantic import SecretStr

from services.access import private
from services.access.errors import KeysError

Purpose = Literal["access-token", "url", "request"]

KEYS_FILE = "keys.json"
_KEY_BYTES = 32
_ENVIRONMENT = "SCREENALYZER_SIGNING_KEYS"


@dataclass(frozen=True)
class Key:
    """A key for one purpose.

    Attributes:
        kid: its public name.
        secret: 32 bytes.
    """

    kid: str
    secret: bytes


@dataclass(frozen=True)
class _Root:
    kid: str
    secret: bytes
    created_at: str

    def derive(self, purpose: Purpose) -> Key:
        label = f"screenalyzer {purpose} 1"
        return Key(self.kid, hmac.digest(self.secret, label.encode(), hashlib.sha256))


class Keyring:
    """The keys; every look sees what another process has rotated since."""

    def __init__(self, folder: Path, given: SecretStr | None = None) -> None:
        """Take where the keys lie; nothing is read or made before the first use.

        Args:
            folder: made with mode 0700 where it is not there.
            given: the content of a keys.json, to be used instead of the file.

        Raises:
            KeysError: what is given is no such content.
        """
        self._path = folder / KEYS_FILE
        self._given = _parse(given.get_secret_value(), _ENVIRONMENT) if given else None
        self._lock = threading.Lock()
        self._loaded: tuple[_Root, ...] = ()
        self._seen: tuple[int, int, int] | None = None

    def newest(self, purpose: Purpose) -> Key:
        """The key to sign with.

        Raises:
            KeysError: the file is damaged, or open to other users.
        """
        return self._roots()[0].derive(purpose)

    def find(self, kid: str, purpose: Purpose) -> Key | None:
        """The key of that name; None where there is none, or no longer.

        Raises:
            KeysError: the file is damaged, or open to other users.
        """
        return next((r.derive(purpose) for r in self._roots() if r.kid == kid), None)

    def rotate(self, keep: int = 2) -> str:
        """Put a new key before the others, and forget the oldest.

        Args:
            keep: how many remain, with the new one. 1 ends every token and URL at once; with 2 they live on
                for as long as they were given, if keys are not rotated again before.

        Returns:
            The new key's kid.

        Raises:
            KeysError: the keys are given by the environment, or the file is damaged or open to others.
            ValueError: `keep` is below 1.
        """
        if keep < 1:
            raise ValueError("at least the new key is kept")
        if self._given is not None:
            raise KeysError(f"the keys come from {_ENVIRONMENT}. Rotate them there.")
        with private.turn(self._path.parent):
            kept = self._read() if self._path.exists() else ()
            fresh = _new_root()
            self._write((fresh, *kept)[:keep])
        return fresh.kid

    def _roots(self) -> tuple[_Root, ...]:
        if self._given is not None:
            return self._given
        with self._lock:
            try:
                unchanged = _mark(self._path.stat()) == self._seen
            except FileNotFoundError:
                self._make()
                unchanged = False
            if not unchanged:
                self._loaded = self._read()
            return self._loaded

    def _make(self) -> None:
        with private.turn(self._path.parent):
            if not self._path.exists():  # another process may have been faster
                self._write((_new_root(),))

    def _write(self, roots: tuple[_Root, ...]) -> None:
        private.write(self._path, json.dumps(_plain(roots), indent=1).encode() + b"\n")

    def _read(self) -> tuple[_Root, ...]:
        with self._path.open("rb") as file:
            found = os.fstat(file.fileno())
            private.check_mode(self._path, found)
            roots = _parse(file.read(), str(self._path))
        self._seen = _mark(found)
        return roots


def _mark(found: os.stat_result) -> tuple[int, int, int]:
    """Changes with each replacement of a file, and with its mode."""
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def new_keys() -> str:
    """The content of a keys.json with one new key, on one line, for who gives keys by the environment."""
    return json.dumps(_plain((_new_root(),)))


def _plain(roots: tuple[_Root, ...]) -> dict[str, list[dict[str, str]]]:
    keys = [
        {"kid": r.kid, "secret": base64.b64encode(r.secret).decode(), "created_at": r.created_at}
        for r in roots
    ]
    return {"keys": keys}


def _new_root() -> _Root:
    return _Root(token_hex(8), token_bytes(_KEY_BYTES), datetime.now(UTC).isoformat(timespec="seconds"))


def _parse(text: bytes | str, where: str) -> tuple[_Root, ...]:
    """The keys of a file or of the environment, newest first."""
    try:
        entries = json.loads(text)["keys"]
        roots = tuple(
            _Root(str(e["kid"]), base64.b64decode(e["secret"], validate=True), str(e.get("created_at", "")))
            for e in entries
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as e:
        raise KeysError(
            f"{where} holds no signing keys. Restore it from a backup; or remove it, and everybody has to "
            "log in again."
        ) from e
    if not roots or any(len(r.secret) < _KEY_BYTES or not r.kid for r in roots):
        raise KeysError(f"{where}: each key needs a kid and a secret of {_KEY_BYTES} bytes in base64.")
    if len({r.kid for r in roots}) < len(roots):
        raise KeysError(f"{where}: two keys have the same kid. Give each its own.")
    return roots
