"""A purge: what is asked for goes, the proof is made, and one line in the audit log says so.

Everything that goes is noted in a ledger before the first of it goes. Whoever runs the job again after a kill
finds there what was known, does again what may have been done, and comes to the same end.
"""

import json
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from screenalyzer import audit, storage
from services.access import trail
from services.context import Services
from services.db.models import now
from services.jobs.streams import DEAD
from services.privacy import database, rows
from services.privacy.database import Needles
from services.privacy.episode import purge_episode, purge_show
from services.privacy.ledger import Ledger
from services.privacy.locks import folder_held, held_everywhere, ledgers
from services.privacy.nodes import forget_copies
from services.privacy.person import purge_person
from services.privacy.proof import prove
from services.privacy.work import Report, Stop, Work

_TAIL = 4 << 20  # bytes of the audit log in which the line of an earlier attempt is looked for


def run(services: Services, params: Mapping[str, Any], report: Report, stop: Stop) -> dict[str, Any]:
    """Purge an episode, a show or a person. May be run again after it ended anywhere.

    Args:
        services: of the process.
        params: `job_id`, `target` (episode, show or person), `episode_id`, `show_id`, `person_id` as the
            target needs them, and `actor`, who asked for it.
        report: told how much of how much is done.
        stop: asked often whether to stop.

    Returns:
        `removed`, counts of what was there, and `scan`: `files`, `bytes` and `rows` that were looked through
        afterwards, and `found`, the traces that were left, which is 0.

    Raises:
        EpisodeBusyError: something else works on it, and will end soon.
        ScreenalyzerError: traces are left; says where.
        Stopped: told to stop.
    """
    job_id, root = str(params["job_id"]), services.settings.root
    folder, what = ledgers(root), "another purge is"
    with held_everywhere(folder, what), folder_held(folder, what):
        kept = Ledger(root, job_id)
        told = _told(services, job_id)
        if told is None:
            work = Work(services, job_id, params, report, stop, kept)
            _remove(work)
            forget_copies(root)
            told = _tell(work, prove(work))
        kept.remove()
    return {"removed": told["removed"], "scan": told["scan"]}


def _remove(work: Work) -> None:
    target, params = work.params["target"], work.params
    if target == "episode":
        purge_episode(work, params["episode_id"])
    elif target == "show":
        purge_show(work, params["show_id"])
    else:
        purge_person(work, params["show_id"], params["person_id"])
    needles = Needles(work.ledger.names("ids") | work.ledger.names("words"))
    gone = rows.forget_answers(work.services, needles)
    work.ledger.count("answers", answers=gone)
    rows.forget_own_troubles(work.services, work.job_id)
    _clear_redis(work, needles)
    work.check()
    database.compact(work.services.database)


def _clear_redis(work: Work, needles: Needles) -> None:
    """Take jobs out of the mirror, and what names something out of the dead letters' stream."""
    jobs = work.ledger.names("jobs") | {work.job_id}
    for job_id in jobs - {work.job_id}:
        work.services.board.clear(job_id)
    redis: Any = work.services.redis

    def rebuild(pipe: Any) -> None:
        # XDEL only marks an entry: its bytes stay in the stream's node, in memory and in every file.
        entries = pipe.xrange(DEAD)
        left = [(i, f) for i, f in entries if f.get("job") not in jobs and not needles.within(f)]
        pipe.multi()
        if len(left) < len(entries):
            pipe.delete(DEAD)
            for entry_id, fields in left:
                pipe.xadd(DEAD, fields, id=entry_id)

    try:
        redis.transaction(rebuild, DEAD)
        redis.bgrewriteaof()  # its file lists what came before all of it was deleted
    except RedisError:
        return  # it keeps nothing that SQL does not know, and is away


def _tell(work: Work, scan: dict[str, int]) -> dict[str, Any]:
    """The one line in the audit log: ids and counts, no names."""
    ids = {k: work.params[k] for k in ("episode_id", "show_id", "person_id") if k in work.params}
    details = {
        "job_id": work.job_id, **ids, "removed": work.ledger.totals(), "scan": scan,
        "audit_logs": work.ledger.anchors,
    }  # fmt: skip
    actor = str(work.params.get("actor") or trail.SYSTEM)
    audit.append(trail.path(work.services), f"{work.params['target']}.purged", actor, details, now())
    return details


def _told(services: Services, job_id: str) -> dict[str, Any] | None:
    """What an earlier attempt has written into the audit log, if it came so far."""
    path = trail.path(services)
    if not storage.need(path):
        return None
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        if job_id.encode() in line:
            found = json.loads(line)
            if found["action"].endswith(".purged") and found["details"].get("job_id") == job_id:
                return dict(found["details"])
    return None
