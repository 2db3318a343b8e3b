import re
from pathlib import Path

import pyarrow as pa
import pytest

from screenalyzer import schemas

ALL = {name: value for name, value in vars(schemas).items() if isinstance(value, pa.Schema)}

# What others read these files by: the columns that the data contract promises, in its order.
PROMISED = {
    "MANIFEST": ["frame_index", "ts_ms", "scene_id"],
    "DETECTIONS": ["det_id", "frame_index", "ts_ms", "scene_id", "bbox", "conf", "landmarks", "quality"],
    "EMBEDDINGS": ["det_id", "track_id", "ts_ms", "embedding", "bbox", "conf", "quality"],
    "CLUSTERS": ["cluster_id", "name", "member_count", "intra_variance", "rep_crop", "low_conf"],
    "MEMBERS": ["cluster_id", "track_id", "score"],
    "REVIEWED_MEMBERS": ["cluster_id", "track_id", "score"],
    "MERGE_SUGGESTIONS": ["cluster_a", "cluster_b", "similarity", "rank"],
    "TOTALS": ["person_name", "total_ms", "appearances", "percent", "first_ms", "last_ms"],
}


@pytest.mark.parametrize("name", ALL)
def test_a_schema_says_its_name_and_version(name: str) -> None:
    assert ALL[name].metadata == {b"schema": name.lower().encode(), b"schema_version": b"1"}


@pytest.mark.parametrize("name", ALL)
def test_times_are_whole_milliseconds_and_boxes_have_four_numbers(name: str) -> None:
    for field in ALL[name]:
        if field.name == "pts" or field.name.endswith("_ms"):
            assert field.type == pa.int64()
        if field.name.endswith("bbox"):
            assert field.type == pa.list_(pa.float32(), 4)
        if field.name.endswith("landmarks"):
            assert field.type == pa.list_(pa.float32(), 10)


@pytest.mark.parametrize("name", PROMISED)
def test_promised_columns_come_first_and_in_order(name: str) -> None:
    assert ALL[name].names[: len(PROMISED[name])] == PROMISED[name]


@pytest.mark.parametrize(
    ("artifact", "name"),
    [
        ("manifest.parquet", "MANIFEST"),
        ("detections/part-*.parquet", "DETECTIONS"),
        ("embeddings.parquet", "EMBEDDINGS"),
        ("{ep}/clusters.parquet", "CLUSTERS"),
        ("{ep}/members.parquet", "MEMBERS"),
        ("assist/members.parquet", "REVIEWED_MEMBERS"),
        ("low_confidence.parquet", "LOW_CONFIDENCE"),
        ("merge_suggestions.parquet", "MERGE_SUGGESTIONS"),
        ("totals.csv", "TOTALS"),
    ],
)
def test_the_table_of_artifacts_names_the_columns(artifact: str, name: str) -> None:
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if re.match(rf"\| `[^`]*{re.escape(artifact)}`", line))
    assert row.split("|")[-2].strip() == ", ".join(getattr(schemas, name).names)
