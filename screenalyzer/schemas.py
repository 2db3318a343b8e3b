"""The one schema of every Parquet artifact.

Times are integer milliseconds of the source's own clock. Boxes are x1, y1, x2, y2 in pixels of the
displayed source frame (rotation and pixel aspect applied). A table that does not match its schema is
never written and never silently read.
"""

from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = "1"

_BBOX = pa.list_(pa.float32(), 4)
_LANDMARKS = pa.list_(pa.float32(), 10)
_EMBEDDING = pa.list_(pa.float32())


def _schema(name: str, fields: list[tuple[str, pa.DataType]]) -> pa.Schema:
    metadata = {"schema": name, "schema_version": SCHEMA_VERSION}
    return pa.schema([pa.field(n, t) for n, t in fields], metadata=metadata)


MANIFEST: Final = _schema(
    "manifest", [("frame_index", pa.int64()), ("ts_ms", pa.int64()), ("scene_id", pa.int32())]
)

CHUNK_FRAMES: Final = _schema(
    "chunk_frames",
    [
        ("pts", pa.int64()),  # ticks of the stream's time base
        ("ts_ms", pa.int64()),
        ("end_ms", pa.int64()),  # when the next frame is due
        ("sampled", pa.bool_()),
        # Difference to the frame before; null on a chunk's first frame, whose neighbour is in another chunk.
        ("delta_luma", pa.float32()),  # mean absolute, 0..1
        ("delta_chroma", pa.float32()),  # mean absolute, 0..1
        ("delta_form", pa.float32()),  # 1 - correlation after the best small shift, 0..1
        ("thumb", pa.binary()),  # tiny picture of a chunk's first and last frame, and on both sides of a jump
    ],
)

CHUNK_FACES: Final = _schema(
    "chunk_faces",
    [
        ("det_id", pa.string()),
        ("pts", pa.int64()),
        ("ts_ms", pa.int64()),
        ("bbox", _BBOX),
        ("conf", pa.float32()),
        ("landmarks", _LANDMARKS),
        ("sharpness", pa.float32()),
        ("size", pa.float32()),
        ("pose", pa.float32()),
        ("exposure", pa.float32()),
        ("visibility", pa.float32()),
        ("quality", pa.float32()),
        ("embedding", _EMBEDDING),
        ("crop", pa.binary()),  # JPEG of the face with a margin
    ],
)

DETECTIONS: Final = _schema(
    "detections",
    [
        ("det_id", pa.string()),
        ("frame_index", pa.int64()),
        ("ts_ms", pa.int64()),
        ("scene_id", pa.int32()),
        ("bbox", _BBOX),
        ("conf", pa.float32()),
        ("landmarks", _LANDMARKS),
        ("quality", pa.float32()),
    ],
)

EMBEDDINGS: Final = _schema(
    "embeddings",
    [
        ("det_id", pa.string()),
        ("track_id", pa.string()),
        ("ts_ms", pa.int64()),
        ("embedding", _EMBEDDING),
        ("bbox", _BBOX),
        ("conf", pa.float32()),
        ("quality", pa.float32()),
    ],
)

CLUSTERS: Final = _schema(
    "clusters",
    [
        ("cluster_id", pa.string()),
        ("name", pa.string()),  # null until a person or the facebank names it
        ("member_count", pa.int32()),
        ("intra_variance", pa.float32()),
        ("rep_crop", pa.string()),  # path below the data root
        ("low_conf", pa.bool_()),
        ("reason", pa.string()),  # why low_conf; empty where it is not
        ("named_by", pa.string()),  # person, facebank, or null
        ("face_score", pa.float32()),  # that it is a face at all
    ],
)

MEMBERS: Final = _schema(
    "members", [("cluster_id", pa.string()), ("track_id", pa.string()), ("score", pa.float32())]
)

REVIEWED_MEMBERS: Final = _schema(
    "reviewed_members",
    [
        ("cluster_id", pa.string()),
        ("track_id", pa.string()),  # or the id of a part of a track
        ("score", pa.float32()),
        ("part_of", pa.string()),  # the track, of a part; else null
        ("det_ids", pa.list_(pa.string())),  # of a part, and of a track that parts were taken from; else null
    ],
)

MERGE_SUGGESTIONS: Final = _schema(
    "merge_suggestions",
    [
        ("cluster_a", pa.string()),
        ("cluster_b", pa.string()),
        ("similarity", pa.float32()),
        ("rank", pa.int32()),
    ],
)

LOW_CONFIDENCE: Final = _schema(
    "low_confidence",
    [
        ("cluster_id", pa.string()),
        ("track_ids", pa.list_(pa.string())),  # parts of tracks too, see members.parquet
        ("reason", pa.string()),
        ("seconds", pa.float64()),  # nobody has decided on
        ("uncertainty", pa.float64()),  # 0..1
        ("priority", pa.float64()),
        ("rank", pa.int32()),  # from 1
        ("rep_crop", pa.string()),  # path below the data root; null where there is none
    ],
)

TOTALS: Final = _schema(
    "totals",
    [
        ("person_name", pa.string()),
        ("total_ms", pa.int64()),
        ("appearances", pa.int32()),
        ("percent", pa.float64()),  # of the episode's duration
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
    ],
)

ERASED: Final = _schema(
    "erased",
    [
        ("source", pa.string()),  # sha256 of the video
        ("stretch", pa.int64()),  # number of an appearance: between two of its rows the box moves straight
        ("ts_ms", pa.int64()),
        ("bbox", _BBOX),
    ],
)

FACEBANK_PEOPLE: Final = _schema(
    "facebank_people", [("person_id", pa.string()), ("name", pa.string()), ("face_count", pa.int32())]
)

FACEBANK_EMBEDDINGS: Final = _schema(
    "facebank_embeddings",
    [
        ("person_id", pa.string()),
        ("episode", pa.string()),
        ("track_id", pa.string()),
        ("det_id", pa.string()),
        ("embedder", pa.string()),
        ("embedding", _EMBEDDING),
        ("crop", pa.binary()),  # JPEG of the face with a margin
        ("crop_bbox", _BBOX),  # the face in pixels of the crop, so that any embedder can align it again
        ("crop_landmarks", _LANDMARKS),
    ],
)
