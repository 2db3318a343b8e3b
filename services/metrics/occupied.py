"""How much of the storage each kind of thing takes, measured by each sweep: counting files takes long."""

from typing import Final

from services.api.storage import StorageMeter
from services.context import Services
from services.db.figures import Finding
from services.db.models import now

NAME: Final = "storage"


def measure_storage(services: Services) -> None:
    """Measure, and record what was found."""
    kinds = StorageMeter(services.settings.root).measure().kinds
    data = {kind: {"files": files, "bytes": size} for kind, (files, size) in kinds.items()}
    with services.database.write() as session:
        session.merge(Finding(name=NAME, data=data, at=now()))
