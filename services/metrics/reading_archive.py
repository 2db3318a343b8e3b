"""Figures of what is kept: counts of episodes, their reviews, storage, audit logs; as they were recorded."""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from services.db.figures import EpisodeFigures, Finding
from services.db.models import Episode, now
from services.metrics import chains, occupied
from services.metrics.values import Rows, Values

_PERIODS: Final = {"30d": timedelta(days=30), "all": None}


def archive(session: Session) -> Values:
    """Sums over all episodes."""
    columns = {
        "frames": EpisodeFigures.frames,
        "faces": EpisodeFigures.faces,
        "tracks": EpisodeFigures.tracks,
        "clusters": EpisodeFigures.clusters,
        "low_confidence_clusters": EpisodeFigures.low_conf_clusters,
    }
    row = session.execute(select(*(func.sum(c) for c in columns.values()))).one()
    episodes = session.scalar(select(func.count()).select_from(Episode))
    sums: Values = {f"archive_{n}": {(): float(v or 0)} for n, v in zip(columns, row, strict=True)}
    return {"archive_episodes": {(): float(episodes or 0)}, **sums}


def review(session: Session) -> Values:
    """Sums over the episodes whose review was published, lately or ever."""
    names = ("review_episodes", "review_actions", "review_tracks", "review_reviewed_tracks",
             "review_moved_tracks")  # fmt: skip
    found: Values = {name: {} for name in names}
    for period, span in _PERIODS.items():
        since: ColumnElement[bool] = (
            EpisodeFigures.reviewed_at.is_not(None) if span is None
            else EpisodeFigures.reviewed_at > now() - span
        )  # fmt: skip
        row = session.execute(
            select(
                func.count(), func.sum(EpisodeFigures.actions), func.sum(EpisodeFigures.tracks),
                func.sum(EpisodeFigures.reviewed_tracks), func.sum(EpisodeFigures.moved_tracks),
            ).where(since)
        ).one()  # fmt: skip
        for name, value in zip(names, row, strict=True):
            found[name][period,] = float(value or 0)
    return found


def storage(session: Session) -> Values:
    """What the last sweep measured; nothing before the first."""
    found = session.get(Finding, occupied.NAME)
    if found is None:
        return {}
    sizes: Rows = {(kind,): float(of["bytes"]) for kind, of in found.data.items()}
    files: Rows = {(kind,): float(of["files"]) for kind, of in found.data.items()}
    measured: Rows = {(): found.at.timestamp()}
    return {"storage_bytes": sizes, "storage_files": files, "storage_measured_timestamp_seconds": measured}


def audit_chains(session: Session) -> Values:
    """What the last sweep found of the audit logs; nothing before the first."""
    found = session.get(Finding, chains.NAME)
    if found is None:
        return {}
    return {
        "audit_logs": {(verdict,): float(n) for verdict, n in found.data["counts"].items()},
        "audit_lines": {(): float(found.data["all_lines"])},
        "audit_verified_timestamp_seconds": {(): found.at.timestamp()},
    }
