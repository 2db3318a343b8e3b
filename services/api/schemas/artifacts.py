"""Files of an episode that can be fetched: artifacts, crops, exports. URLs are signed and expire."""

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, Field

from screenalyzer.exports import Format
from services.api.schemas.common import Body, body_example, example

ArtifactKind = Literal[
    "video",
    "source",
    "manifest",
    "manifest_json",
    "selected_samples",
    "detections",
    "embeddings",
    "tracks",
    "clusters",
    "members",
    "merge_suggestions",
    "reviewed_clusters",
    "reviewed_members",
    "low_confidence",
    "timeline",
    "totals_csv",
    "totals_parquet",
    "audit",
]

_DET: Final = "c3a1f0b2d4e56789a0b1c2d3e4f50617"
_MEDIA: Final = "/v1/media/episodes/5f2c8a4e9d0b4c6f8a1e2d3c4b5a6978"
_ARTIFACT: Final = {
    "kind": "timeline",
    "path": "outputs/The-Long-Table/s01e01/timeline.csv",
    "size_bytes": 18_211,
    "modified": "2026-05-04T09:58:00Z",
    "url": f"{_MEDIA}/artifacts/timeline?…",
}
_CROP: Final = {
    "det_id": _DET,
    "track_id": "9b2f7c1e-55d0-5c3e-8f6a-0a1b2c3d4e5f",
    "ts_ms": 61_200,
    "quality": 0.83,
    "reason": "best quality",
    "url": f"{_MEDIA}/crops/{_DET}.jpg?…",
    "thumb_url": f"{_MEDIA}/thumbs/{_DET}.webp?…",
}
_EXPORT: Final = {
    "name": "s01e01.xlsx",
    "format": "xlsx",
    "size_bytes": 12_400,
    "modified": "2026-05-04T10:02:00Z",
    "url": f"{_MEDIA}/exports/s01e01.xlsx?…",
}


class ArtifactView(BaseModel):
    """A file that was made of an episode."""

    model_config = example(**_ARTIFACT)

    kind: ArtifactKind
    path: str = Field(description="below the data root")
    size_bytes: int
    modified: datetime
    url: str = Field(description="fetches the file without a token until it expires")


class ArtifactList(BaseModel):
    """The files of an episode that are there now."""

    model_config = example(items=[_ARTIFACT])

    items: list[ArtifactView]


class CropView(BaseModel):
    """A face that was kept for people to look at."""

    model_config = example(**_CROP)

    det_id: str = Field(description="of the detection")
    track_id: str
    ts_ms: int = Field(description="time of the frame, on the source's clock")
    quality: float = Field(description="0..1")
    reason: str = Field(description="why this one was chosen of its track")
    url: str | None = Field(description="JPEG, at most 160 pixels a side; null once it is kept no longer")
    thumb_url: str | None = Field(description="WebP of at most 96 pixels a side")


class NewExport(Body):
    """What to write."""

    model_config = body_example(format="xlsx")

    format: Format


class ExportView(BaseModel):
    """A file for people outside."""

    model_config = example(**_EXPORT)

    name: str
    format: str = Field(description="what its name ends in")
    size_bytes: int
    modified: datetime
    url: str = Field(description="fetches the file without a token until it expires")


class ExportList(BaseModel):
    """The exports of an episode that are there now."""

    model_config = example(items=[_EXPORT])

    items: list[ExportView]
