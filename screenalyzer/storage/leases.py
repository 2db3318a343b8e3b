"""Locks between nodes, as objects with a life: what a dead holder held is free some seconds later.

Whoever wants a lock writes an object of their own below its name and lists what is there. Who is alone has
it; who sees another takes their own away and has not. So two never hold it, without any conditional write. A
holder writes its object anew every few seconds. One that was not for longer than its life is a dead holder's,
by the store's own clock: both time stamps that are compared are the store's. A holder that comes back after
so long does not write it again, since another may have the lock by then.
"""

import hashlib
import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from screenalyzer.errors import StoreError
from screenalyzer.locks import taken
from screenalyzer.storage.store import Store

LIFE_S: Final = 20.0
RENEW_S: Final = 5.0
_MARGIN_S: Final = 1.0  # by which a holder gives up before others may take over: clocks run apart
_TRIES: Final = 4  # two who come at one moment see each other, and one must come again
_PAUSE_S: Final = 0.2

log = logging.getLogger(__name__)


class Leases:
    """The locks of one store, as this process holds them."""

    def __init__(self, store: Store, prefix: str, local: Path) -> None:
        """Take the place in the store, and a folder here.

        Args:
            store: where the objects lie.
            prefix: of their keys.
            local: a folder for files that processes of this node hold beside: so it is seen at once when one
                of them is dead.
        """
        self._store, self._prefix, self._local = store, prefix, local
        self._held: dict[str, float] = {}  # object's key to when it was last written, by our own clock
        self._guard = threading.Lock()
        self._renewer: threading.Thread | None = None

    @contextmanager
    def held(self, name: str, *, wait_s: float = 0.0) -> Iterator[bool]:
        """Hold a lock for the time of the block; yields False where somebody else holds it.

        Args:
            name: any text; the store is shown its hash alone.
            wait_s: for the holder to let go.

        Raises:
            StoreError: the store does not answer.
        """
        folder = f"{self._prefix}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        key = f"{folder}/{uuid4().hex}"
        with taken(self._local / Path(key).name) as here:
            mine = here and self._take(folder, key, wait_s)
            try:
                yield mine
            finally:
                if mine:
                    self._let_go(key)
                (self._local / Path(key).name).unlink(missing_ok=True)

    def check(self) -> None:
        """Refuse to go on where a lock could not be renewed for so long that another may have it.

        A lock that was lost so is refused until its holder lets it go, though the store is back.

        Raises:
            StoreError: that is so.
        """
        now = _now()
        with self._guard:
            late = any(now - written > LIFE_S - RENEW_S for written in self._held.values())
        if late:
            raise StoreError(
                f"the object store {self._store.uri} was away for so long that another run may have taken "
                "over. Nothing is lost: the same can be done again."
            )

    def _take(self, folder: str, key: str, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        for tries in range(1, 1_000_000):
            began = _now()
            if self._try(folder, key):
                with self._guard:
                    self._held[key] = began
                self._keep_renewing()
                return True
            if tries >= _TRIES and time.monotonic() >= deadline:
                return False
            time.sleep(random.uniform(_PAUSE_S / 2, _PAUSE_S * min(tries, 10)))
        return False

    def _try(self, folder: str, key: str) -> bool:
        """Write our object, and see whether it is alone among the living."""
        alone = False
        self._store.put_bytes(b"", key)
        try:
            there = self._store.list(folder)
            mine = there.pop(key, None)
            others = [
                k for k, f in there.items() if mine and not self._is_dead(k, mine.modified - f.modified)
            ]
            alone = mine is not None and not others
            if alone:
                self._store.remove(there)
        finally:
            if not alone:
                self._store.remove([key])
        return alone

    def _is_dead(self, key: str, age_s: float) -> bool:
        if age_s > LIFE_S:
            return True
        file = self._local / Path(key).name
        if not file.exists():
            return False  # of another node
        with taken(file) as free:
            if free:
                file.unlink(missing_ok=True)
            return free

    def _let_go(self, key: str) -> None:
        with self._guard:
            self._held.pop(key, None)
        self._take_away(key)

    def _take_away(self, key: str) -> None:
        try:
            self._store.remove([key])
        except StoreError:
            log.warning("a lock is let go by its age: the object store does not answer")

    def _keep_renewing(self) -> None:
        with self._guard:
            if self._renewer is None or not self._renewer.is_alive():
                self._renewer = threading.Thread(target=self._renew, daemon=True)
                self._renewer.start()

    def _renew(self) -> None:
        """Write the objects anew as long as there are any."""
        while True:
            time.sleep(RENEW_S)
            with self._guard:
                keys = list(self._held)
                if not keys:
                    self._renewer = None
                    return
            for key in keys:
                self._write_anew(key)

    def _write_anew(self, key: str) -> None:
        """Renew one that has not lapsed; one that has keeps its old time, and so is lost for good."""
        with self._guard:
            written = self._held.get(key)
        began = _now()
        if written is None or _has_lapsed(written):
            return
        try:
            self._store.put_bytes(b"", key)
        except StoreError:
            return
        with self._guard:
            if key in self._held and not _has_lapsed(written):
                self._held[key] = began
                return
        self._take_away(key)  # it was let go while it was written, or came too late


def _has_lapsed(written: float) -> bool:
    return _now() - written > LIFE_S - _MARGIN_S


def _now() -> float:
    """Seconds of a clock that goes on while this machine is suspended, as those of the others do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
