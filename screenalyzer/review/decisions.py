"""What people decided of an episode, as a store of keys and values; see `Change` for the keys."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.model import Change, Entry

PERSON_PREFIX = "person/"  # people are of the show: who keeps the show keeps them


class Decisions:
    """Decisions by key. Where there is no key there is no decision.

    Keys of people are not kept here, whether given or applied: they hold in all episodes of the show.
    """

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        """Copy what is given.

        Args:
            items: key to value, JSON.
        """
        self._items = {k: v for k, v in (items or {}).items() if not k.startswith(PERSON_PREFIX)}

    @classmethod
    def replayed(cls, entries: Iterable[Entry]) -> "Decisions":
        """What a whole log comes to.

        Raises:
            EditRefusedError: an entry does not follow from those before it.
        """
        decisions = cls()
        for entry in entries:
            decisions.apply(entry.changes)
        return decisions

    def get(self, key: str) -> Any:
        """The value, or None where nothing was decided."""
        return self._items.get(key)

    def items(self) -> dict[str, Any]:
        """A copy, sorted by key."""
        return dict(sorted(self._items.items()))

    def apply(self, changes: Iterable[Change]) -> None:
        """Make all the changes, or none of them.

        Raises:
            EditRefusedError: a key has another value than the change found.
        """
        own = [c for c in changes if not c.key.startswith(PERSON_PREFIX)]
        after = dict(self._items)
        for change in own:
            if after.get(change.key) != change.before:
                raise EditRefusedError(
                    f"{change.key} was changed in the meantime. Look at the newest state and edit again."
                )
            if change.after is None:
                after.pop(change.key, None)
            else:
                after[change.key] = change.after
        self._items = after

    def canonical(self) -> bytes:
        """The same bytes for the same decisions, in whatever order they were made."""
        text = json.dumps(self._items, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.encode()

    def copy(self) -> "Decisions":
        """Another store with the same decisions."""
        return Decisions(self._items)
