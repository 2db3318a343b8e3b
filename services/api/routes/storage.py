"""Routes of the machine: its disk and its settings; for Admins."""

from fastapi import APIRouter, Request

from services.api.deps import ADMIN_ONLY, ServicesDep
from services.api.problems import responses
from services.api.schemas.storage import KindView, SettingsView, StorageView
from services.api.storage import StorageMeter
from services.api.unit import UnitOfWork

router = APIRouter(tags=["machine"], route_class=UnitOfWork, dependencies=[ADMIN_ONLY])


@router.get("/storage", responses=responses(401, 403))
def get_storage(request: Request, services: ServicesDep) -> StorageView:
    """What lies below the data root, by kind, and how much room is left."""
    meter: StorageMeter = request.app.state.storage
    found = meter.measure()
    kinds = [KindView(kind=k, files=files, bytes=size) for k, (files, size) in found.kinds.items()]
    return StorageView(
        kinds=sorted(kinds, key=lambda k: (-k.bytes, k.kind)),
        used_bytes=sum(k.bytes for k in kinds),
        free_bytes=found.free,
        total_bytes=found.total,
        keep_free_bytes=services.settings.uploads.keep_free_bytes,
        measured_at=found.at,
    )


@router.get("/settings", responses=responses(401, 403))
def get_settings(services: ServicesDep) -> SettingsView:
    """What is kept how long, how large uploads may be, and how long logins live."""
    cfg = services.settings
    return SettingsView(retention=cfg.retention, uploads=cfg.uploads, access=cfg.access)
