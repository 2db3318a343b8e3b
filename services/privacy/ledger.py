"""What a purge has to remember while it runs, so that another attempt goes on where a killed one ended.

It lies in diagnostics/purges, for the owner alone, and is removed with the end of the purge. It holds hashes
and ids, and the names that are purged; the proof looks for all of them everywhere else.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from screenalyzer import storage
from screenalyzer.erasure.traces import Traces
from screenalyzer.errors import ArtifactError, StoreError
from services.privacy.locks import ledgers

_OWNER_ONLY = 0o600


class Ledger:
    """The memory of one purge. Every change is on disk when its method returns."""

    def __init__(self, root: Path, job_id: str) -> None:
        """Read what an earlier attempt has left, if there was one.

        Raises:
            ArtifactError: it is damaged.
        """
        self.path = ledgers(root) / f"{job_id}.json"
        self._data: dict[str, Any] = {
            "traces": Traces().to_json(), "ids": [], "words": [], "videos": {}, "uploads": [], "jobs": [],
            "anchors": {}, "counts": {}, "facts": {},
        }  # fmt: skip
        if self.path.exists():
            try:
                self._data |= json.loads(self.path.read_bytes())
            except ValueError as e:
                raise ArtifactError(f"{self.path} is damaged ({e}). Restore it from a backup.") from e

    @property
    def traces(self) -> Traces:
        """What may be found nowhere afterwards."""
        return Traces.from_json(self._data["traces"])

    @property
    def facts(self) -> dict[str, Any]:
        """What was known of the target when the purge began."""
        return dict(self._data["facts"])

    @property
    def anchors(self) -> dict[str, str]:
        """Last hashes of the audit logs that are gone, by episode id."""
        return dict(self._data["anchors"])

    @property
    def videos(self) -> dict[str, str]:
        """Video files that go unless something else shows them: digest to path below the data root."""
        return dict(self._data["videos"])

    def names(self, kind: str) -> set[str]:
        """What was noted under `ids`, `words`, `uploads` or `jobs`."""
        return set(self._data[kind])

    def note(self, *, traces: Traces | None = None, facts: dict[str, Any] | None = None, **more: Any) -> None:
        """Add to what is known, and write it down.

        Args:
            traces: joined with the known ones.
            facts: kept as they were first noted.
            more: `ids`, `words`, `uploads`, `jobs` (iterables of texts), `videos`, `anchors` (mappings).
        """
        if traces is not None:
            self._data["traces"] = (self.traces | traces).to_json()
        self._data["facts"] = {**(facts or {}), **self._data["facts"]}
        for kind, value in more.items():
            known = self._data[kind]
            self._data[kind] = {**value, **known} if isinstance(known, dict) else _joined(known, value)
        self._save()

    def count(self, part: str, **numbers: int) -> None:
        """Note how much of something there was. Each attempt finds less; the first has seen most."""
        known = self._data["counts"].get(part, {})
        keys = known.keys() | numbers.keys()
        self._data["counts"][part] = {k: max(known.get(k, 0), numbers.get(k, 0)) for k in sorted(keys)}
        self._save()

    def totals(self) -> dict[str, int]:
        """The counts over all parts."""
        found: dict[str, int] = {}
        for numbers in self._data["counts"].values():
            for k, n in numbers.items():
                found[k] = found.get(k, 0) + n
        return found

    def remove(self) -> None:
        """Forget everything."""
        storage.remove(self.path)
        for leftover in self.path.parent.glob(f".{self.path.name}.*"):
            leftover.unlink(missing_ok=True)
        storage.fsync_folder(self.path.parent)

    def _save(self) -> None:
        data = json.dumps(self._data, sort_keys=True).encode()
        tmp = self.path.with_name(f".{self.path.name}.{uuid4().hex[:8]}.tmp")
        with os.fdopen(os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            storage.publish(tmp, self.path)
        except StoreError:
            tmp.unlink(missing_ok=True)
            raise


def _joined(known: Iterable[str], more: Iterable[str]) -> list[str]:
    return sorted({*known, *more})
