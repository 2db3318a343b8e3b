"""The proof of a purge: every file below the data root and every row are looked through for its traces.

What else has a right to be there is no trace: a video that another episode shows or that was uploaded again,
and the same faces that were read from it for that one; a name in another show, where it may be another
person's.
"""

from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import make_url

from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.erasure.scan import scan_files
from screenalyzer.erasure.traces import Traces, of_episode
from screenalyzer.errors import ScreenalyzerError
from services.access import trail
from services.db.models import Edit, Episode, Show
from services.privacy import database, rows
from services.privacy.database import Hit, Needles
from services.privacy.locks import ledgers
from services.privacy.rows import REMOVED
from services.privacy.work import Work

_SHOWN = 5

# Columns in which a person's name is somebody else's or something else: users, titles, and files of videos.
_OTHER_NAMES = (
    ("users", "*"), ("sessions", "*"), ("login_throttles", "*"), ("shows", "*"), ("episodes", "*"),
    ("videos", "*"), ("uploads", "file_name"), ("uploads", "episode_name"), ("edits", "actor"),
)  # fmt: skip


def prove(work: Work) -> dict[str, int]:
    """Look through everything.

    Returns:
        `files` and `bytes` and `rows` that were looked through, and `found`, which is 0.

    Raises:
        ScreenalyzerError: something was found; says what and where.
        Stopped: told to stop.
    """
    wanted, skip = _less_the_rightful(work), _skipped(work)
    names = wanted.words if work.params["target"] == "person" else frozenset[str]()
    seen = scan_files(work.root, replace(wanted, words=frozenset()), skip, work.report, work.stop)
    work.check()
    found = [f"{_place(work, f.path)} ({f.what})" for f in seen.found]
    if names:
        of_show = [*skip, *_not_of_show(work)]
        by_name = scan_files(work.root, Traces(words=names), of_show, work.report, work.stop)
        work.check()
        found += [f"{_place(work, f.path)} ({f.what})" for f in by_name.found]
    held = _scan_rows(work, names)
    found += [f"table {h.table}, column {h.column}, row {h.key}" for h in held.found]
    if found:
        more = f" and {len(found) - _SHOWN} more places" if len(found) > _SHOWN else ""
        places = Needles(work.ledger.names("words")).without("; ".join(found[:_SHOWN]), REMOVED)
        raise ScreenalyzerError(
            f"traces are left in {places}{more}. Remove what is there, or wait until it has expired, "
            "and resume the job."
        )
    return {"files": seen.files, "bytes": seen.bytes, "rows": held.rows, "found": 0}


def _scan_rows(work: Work, names: frozenset[str]) -> database.DatabaseScan:
    needles = Needles({*names, *work.ledger.names("ids"), *_gone_videos(work)})
    seen = database.scan(work.services.database, needles, _OTHER_NAMES if names else (), work.job_id)
    return replace(seen, found=tuple(h for h in seen.found if not names or not _of_another_show(work, h)))


def _of_another_show(work: Work, hit: Hit) -> bool:
    """Whether a row is of the people or the reviews of another show, where a name is another person's."""
    mine = work.params["show_id"]
    if hit.table == "people":
        return hit.key.split("/")[0] != str(mine)
    if hit.table != "edits":
        return False
    with work.services.database.read() as session:
        query = select(Episode.show_id).join(Edit, Edit.episode_id == Episode.id)
        return session.scalar(query.where(Edit.id == hit.key)) != str(mine)


def _gone_videos(work: Work) -> set[str]:
    videos = work.ledger.videos
    with work.services.database.read() as session:
        return videos.keys() - rows.kept_videos(session, videos)


def _less_the_rightful(work: Work) -> Traces:
    found = work.ledger.traces
    with work.services.database.read() as session:
        kept = rows.kept_videos(session, found.digests)
        videos = set(work.ledger.videos)
        query = select(Show.name, Episode.name).join(Episode.show)
        if work.params["target"] == "person":
            mine = Episode.show_id == work.params["show_id"]
            shown = select(Episode.video_sha256).where(mine)
            videos |= {v for v in session.scalars(shown) if v}
            query = query.where(~mine)
        twins = session.execute(query.where(Episode.video_sha256.in_(videos))).all()
    for show, episode in twins:
        paths = EpisodePaths(work.root, show, episode)
        artifacts.pull(paths, chunks=True, crops=True)
        other = of_episode(paths)
        found = replace(found, vectors=found.vectors - other.vectors, crops=found.crops - other.crops)
    return replace(found, digests=found.digests - kept)


def _skipped(work: Work) -> list[Path]:
    """What is no artifact: this purge's memory, the database (looked through by itself), Redis, the keys."""
    settings = work.services.settings
    skip = [ledgers(work.root), work.root / "redis", work.root / "secrets", settings.secrets]
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and url.database:
        skip += [Path(f"{url.database}{end}") for end in ("", "-wal", "-shm", "-journal")]
    return skip


def _not_of_show(work: Work) -> list[Path]:
    """Where a name may be another person's: other shows, videos, and the audit logs with their users."""
    own = work.ledger.facts.get("show")
    kinds = [work.root / kind for kind in ("harvest", "outputs", "facebank")]
    others = [p for kind in kinds for p in storage.folders(kind) if p.name != own]
    logs = [p / "diagnostics" / "audit.jsonl" for p in storage.folders(work.root / "outputs" / str(own))]
    return [*others, *logs, work.root / "videos", work.root / "uploads", trail.path(work.services)]


def _place(work: Work, path: Path) -> str:
    full = work.root / path
    return full.relative_to(work.root).as_posix() if full.is_relative_to(work.root) else str(path)
