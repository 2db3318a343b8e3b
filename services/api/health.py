"""How each part of the service is, asked at this moment."""

import shutil
from datetime import timedelta
from typing import Final

from redis.exceptions import RedisError
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from screenalyzer import __version__
from services.api.schemas.health import HealthView, PartHealth
from services.context import Services
from services.db.models import Job, StageRun, now

_PATIENCE_S: Final = 30.0  # a stage that is due is taken within a second where a worker is free
_LIVE: Final = Job.state.in_(("queued", "running"))


def examine(services: Services) -> HealthView:
    """All parts. Without a database nothing can be answered; without the rest, work waits."""
    database, redis = _database(services), _redis(services)
    workers, disk = _workers(services), _disk(services)
    rest = {p.status for p in (redis, workers, disk)}
    status = "down" if database.status == "down" else ("ok" if rest == {"ok"} else "degraded")
    return HealthView(
        status=status, version=__version__, database=database, redis=redis, workers=workers, disk=disk
    )


def discreet(found: HealthView) -> HealthView:
    """The same for anybody: without versions, addresses and figures."""
    parts = {
        name: PartHealth(status=getattr(found, name).status)
        for name in ("database", "redis", "workers", "disk")
    }
    return HealthView(status=found.status, **parts)


def _database(services: Services) -> PartHealth:
    try:
        with services.database.read() as session:
            session.execute(text("SELECT 1"))
            return PartHealth(status="ok", detail=session.get_bind().dialect.name)
    except SQLAlchemyError as e:
        return PartHealth(status="down", detail=f"does not answer ({type(e).__name__})")


def _redis(services: Services) -> PartHealth:
    try:
        services.redis.ping()
    except RedisError as e:
        return PartHealth(
            status="degraded", detail=f"does not answer ({type(e).__name__}): jobs wait until it is back"
        )
    return PartHealth(status="ok", detail="answers")


def _workers(services: Services) -> PartHealth:
    """By what they do, since only a worker that has something to do can be seen."""
    moment, lease_s = now(), services.settings.queues.lease_s
    due = [
        StageRun.state.in_(("ready", "queued")),
        StageRun.not_before < moment - timedelta(seconds=_PATIENCE_S),
    ]
    beating = [StageRun.state == "running", StageRun.heartbeat_at > moment - timedelta(seconds=2 * lease_s)]
    try:
        with services.database.read() as session:
            late = (
                session.scalar(select(func.count()).select_from(StageRun).join(Job).where(*due, _LIVE)) or 0
            )
            busy = session.scalar(select(func.count()).select_from(StageRun).where(*beating)) or 0
    except SQLAlchemyError:
        return PartHealth(status="degraded", detail="not known")
    if late and not busy:
        return PartHealth(status="degraded", detail=f"{late} stages wait and no worker takes one")
    return PartHealth(status="ok", detail=f"{busy} stages run")


def _disk(services: Services) -> PartHealth:
    try:
        free = shutil.disk_usage(services.settings.root).free
    except OSError as e:
        return PartHealth(status="degraded", detail=f"the data root cannot be read ({type(e).__name__})")
    low = free < services.settings.uploads.keep_free_bytes
    detail = f"{free} bytes free{': uploads are refused' if low else ''}"
    return PartHealth(status="degraded" if low else "ok", detail=detail)
