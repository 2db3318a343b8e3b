"""The audit logs' chains, verified by each sweep; what was seen is kept in SQL, apart from the files.

So a log that was shortened, or written anew as a whole, is noticed too: the line that was its last one before
must still be there.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Select, exists, select

from screenalyzer import audit, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.audit import GENESIS, Verdict
from services.access import trail
from services.context import Services
from services.db.figures import EpisodeFigures, Finding
from services.db.models import ENDED, Episode, Job, now
from services.metrics.counting import figures_of

NAME: Final = "audit"
VERDICTS: Final = ("ok", "torn", "tampered")


@dataclass(frozen=True)
class _Log:
    """A log, and the line that was its last when it was verified before."""

    path: Path
    seen: tuple[int, str]


def verify_chains(services: Services) -> dict[str, int]:
    """Verify every audit log, and record what was found.

    Returns:
        How many logs there are of each verdict.
    """
    own_before = _own(services)
    own = _verify(_Log(trail.path(services), (own_before.get("lines", 0), own_before.get("hash", GENESIS))))
    counts, lines = Counter({own.kind: 1}), own.lines
    for episode_id, log in _logs(services):
        found = _verify(log)
        if _record(services, episode_id, found):
            counts[found.kind] += 1
            lines += found.lines
    kept = _kept(own, own_before)
    data = {**kept, "counts": {v: counts[v] for v in VERDICTS}, "all_lines": lines}
    with services.database.write() as session:
        session.merge(Finding(name=NAME, data=data, at=now()))
    return dict(data["counts"])


def _logs(services: Services) -> list[tuple[str, _Log]]:
    root = services.settings.root
    with services.database.read() as session:
        episodes = session.scalars(select(Episode)).all()
        rows = {f.episode_id: f for f in session.scalars(select(EpisodeFigures))}
    found = []
    for e in episodes:
        known = rows.get(e.id)
        seen = (known.audit_lines, known.audit_hash or GENESIS) if known else (0, GENESIS)
        found.append((e.id, _Log(EpisodePaths(root, e.show.name, e.name).audit, seen)))
    return found


def _verify(log: _Log) -> Verdict:
    storage.need(log.path)
    return audit.verify(log.path, log.seen)


def _own(services: Services) -> dict[str, Any]:
    with services.database.read() as session:
        found = session.get(Finding, NAME)
        return dict(found.data) if found else {}


def _record(services: Services, episode_id: str, found: Verdict) -> bool:
    """Keep the verdict; the line to look for next time grows with a good log, and stays with a broken one.

    Returns:
        Whether the verdict counts: the log of an episode that is being purged goes before the episode does.
    """
    with services.database.write() as session:
        episode = session.get(Episode, episode_id)
        if episode is None or (found.kind == "tampered" and session.scalar(_purge_of(episode))):
            return False
        figures = figures_of(session, episode_id)
        if figures is not None:
            figures.audit_kind = found.kind
        if figures is not None and found.kind != "tampered":
            figures.audit_lines, figures.audit_hash = found.lines, found.last
        return True


def _purge_of(episode: Episode) -> Select[tuple[bool]]:
    return select(
        exists().where(Job.kind == "purge", Job.show_id == episode.show_id, Job.state.not_in(ENDED))
    )


def _kept(found: Verdict, before: dict[str, Any]) -> dict[str, Any]:
    if found.kind != "tampered":
        return {"lines": found.lines, "hash": found.last}
    return {k: before[k] for k in ("lines", "hash") if k in before}
