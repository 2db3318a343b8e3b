"""The machine's disk, and settings that an Admin asks about."""

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, Field

from services.api.schemas.common import example
from services.settings import AccessSettings, RetentionSettings, UploadSettings

StorageKind = Literal[
    "videos", "uploads", "manifests", "crops", "chunks", "results", "exports", "facebank", "database", "logs",
    "other",
]  # fmt: skip

_VIDEOS: Final = {"kind": "videos", "files": 3, "bytes": 3_703_703_670}


class KindView(BaseModel):
    """What one kind of thing takes."""

    model_config = example(**_VIDEOS)

    kind: StorageKind
    files: int
    bytes: int


class StorageView(BaseModel):
    """What lies below the data root."""

    model_config = example(
        kinds=[_VIDEOS], used_bytes=3_703_703_670, free_bytes=128 << 30, total_bytes=512 << 30,
        keep_free_bytes=1 << 30, measured_at="2026-05-04T09:30:00Z",
    )  # fmt: skip

    kinds: list[KindView] = Field(description="every kind, the largest first")
    used_bytes: int = Field(description="all of them together")
    free_bytes: int = Field(description="of the disk")
    total_bytes: int = Field(description="of the disk")
    keep_free_bytes: int = Field(description="that uploads never fill")
    measured_at: datetime = Field(description="it is measured again after a minute")


class SettingsView(BaseModel):
    """Settings of the service that are no secret; they are changed in its environment."""

    model_config = example(
        retention=RetentionSettings().model_dump(), uploads=UploadSettings().model_dump(),
        access=AccessSettings().model_dump(),
    )  # fmt: skip

    retention: RetentionSettings
    uploads: UploadSettings
    access: AccessSettings
