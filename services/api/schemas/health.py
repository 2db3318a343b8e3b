"""How the service is."""

from typing import Final, Literal

from pydantic import BaseModel, Field

from services.api.schemas.common import example

Condition = Literal["ok", "degraded", "down"]

_OK: Final = {"status": "ok", "detail": None}


class PartHealth(BaseModel):
    """How a part is."""

    model_config = example(**_OK)

    status: Condition
    detail: str | None = Field(None, description="for those who are logged in")


class HealthView(BaseModel):
    """How the service is: down where it cannot answer, degraded where something waits or is about to fail."""

    model_config = example(status="ok", version=None, database=_OK, redis=_OK, workers=_OK, disk=_OK)

    status: Condition
    version: str | None = Field(None, description="for those who are logged in")
    database: PartHealth
    redis: PartHealth
    workers: PartHealth
    disk: PartHealth
