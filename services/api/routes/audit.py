"""Routes of the audit logs: what was done, and whether the log is as it was written."""

import json
from pathlib import Path

from fastapi import APIRouter

from screenalyzer import audit, storage
from services.access import trail
from services.api.deps import ADMIN_ONLY, LOGGED_IN, ServicesDep, SessionDep
from services.api.lookup import find_episode, paths_of
from services.api.paging import Paging, PagingDep, slice_page
from services.api.problems import responses
from services.api.routes.episodes import EpisodeId
from services.api.schemas.audit import AuditLine, AuditPage, AuditVerdict
from services.api.unit import UnitOfWork

router = APIRouter(tags=["audit"], route_class=UnitOfWork)

_MOST_LINES = 10**9


@router.get("/episodes/{episode_id}/audit", dependencies=[LOGGED_IN], responses=responses(401, 404, 422))
def list_episode_audit(
    episode_id: EpisodeId, session: SessionDep, services: ServicesDep, paging: PagingDep
) -> AuditPage:
    """What was done to an episode, newest first. The whole chain is checked each time."""
    path = paths_of(services, find_episode(session, episode_id)).audit
    session.close()  # gives its connection back: a long log takes a while
    return _page(path, paging)


@router.get("/audit", dependencies=[ADMIN_ONLY], responses=responses(401, 403, 422))
def list_audit(services: ServicesDep, paging: PagingDep) -> AuditPage:
    """The service's own log, newest first: logins, users, keys, what was deleted."""
    path = trail.path(services)
    storage.need(path)
    return _page(path, paging)


def _page(path: Path, paging: Paging) -> AuditPage:
    verdict = audit.verify(path)
    raw = path.read_bytes().split(b"\n")[: verdict.lines] if verdict.lines else []
    newest_first = range(len(raw), 0, -1)
    numbers, following = slice_page(newest_first, lambda n: f"{_MOST_LINES - n:010d}", paging)
    return AuditPage(
        items=[AuditLine.model_validate(json.loads(raw[n - 1])) for n in numbers],
        next=following,
        verdict=AuditVerdict(
            whole=verdict.kind != "tampered",
            kind=verdict.kind,
            lines=verdict.lines,
            broken_line=verdict.broken_line,
            detail=verdict.reason,
        ),
    )
