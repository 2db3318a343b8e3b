"""Uploads as JSON; the protocol itself speaks in headers."""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, Field

from services.api.schemas.common import IdField, example
from services.db.models import Upload, UploadState

_UPLOAD: Final = {
    "id": "3e1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f",
    "user_id": "9a8b5a3c7b9e4d2a8c6f0e1b2a3d4c5f",
    "file_name": "s01e01.mp4",
    "show_id": "0d1f5a3c7b9e4d2a8c6f0e1b2a3d4c5f",
    "episode_name": "s01e01",
    "replace": False,
    "state": "receiving",
    "offset": 16_777_216,
    "length": 1_234_567_890,
    "problem": None,
    "episode_id": None,
    "job_id": None,
    "created_at": "2026-05-04T09:30:00Z",
    "expires_at": "2026-05-07T09:31:00Z",
}


class UploadView(BaseModel):
    """A file on its way in."""

    model_config = example(**_UPLOAD)

    id: IdField
    user_id: IdField | None = Field(description="whose it is; null where the user was removed")
    file_name: str = Field(description="as the user called it")
    show_id: IdField
    episode_name: str = Field(description="of the episode that it is to become, as in paths")
    replace: bool = Field(description="another content of the episode is discarded")
    state: UploadState = Field(
        description="receiving bytes; received, and a job takes it in; stored as a video; or refused"
    )
    offset: int = Field(description="bytes that are safe")
    length: int = Field(description="bytes of the file")
    problem: str | None = Field(description="why it was refused")
    episode_id: IdField | None = Field(description="of the episode that it became")
    job_id: IdField | None = Field(description="of the job that processes it")
    created_at: datetime
    expires_at: datetime = Field(description="when it is removed, if it is unfinished or refused then")

    @classmethod
    def of(cls, upload: Upload) -> "UploadView":
        """A row as it is answered."""
        return cls.model_validate(upload, from_attributes=True)
