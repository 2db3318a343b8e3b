"""Every artifact of a processed episode, read back through its schema and held against the others."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.processed import Machine

from pipelines.episode import (
    embedder_of,
    load_clustering,
    load_detections,
    load_grid,
    load_source,
    load_tracked,
)
from screenalyzer import audit, facebank, schemas
from screenalyzer.artifacts import EpisodePaths, read_csv, read_json, read_table, sha256_file
from screenalyzer.demo import DemoEpisode
from screenalyzer.evaluation import Truth, score
from screenalyzer.facebank import Face, Facebank
from screenalyzer.results import EpisodeFacts, read_rules, read_timeline, read_totals


def _column(path: Path, schema: pa.Schema, name: str) -> list:
    return read_table(path, schema)[name].to_pylist()


def test_manifest(processed: EpisodePaths, short_season: list[DemoEpisode]) -> None:
    table, facts = read_table(processed.manifest, schemas.MANIFEST), read_json(processed.manifest_json)
    truth = Truth.load(short_season[0].truth)
    assert facts["source"]["sha256"] == sha256_file(short_season[0].video)
    assert facts["source"]["size_bytes"] == short_season[0].video.stat().st_size
    assert (facts["width"], facts["height"], facts["fps"], facts["frame_count"]) == (640, 360, 25.0, 300)
    assert (facts["show"], facts["episode"]) == ("My-Show", "s01e01")
    assert facts["duration_ms"] == truth.duration_ms == 12_000
    assert facts["missing"] == []
    shots = facts["shots"]
    assert [s["scene_id"] for s in shots] == list(range(len(shots)))
    assert [s["end_ms"] for s in shots[:-1]] == [s["start_ms"] for s in shots[1:]]
    assert (shots[0]["start_ms"], shots[-1]["end_ms"]) == (facts["start_ms"], facts["start_ms"] + 12_000)
    cuts = {s["start_ms"] for s in json.loads(short_season[0].truth.read_text())["shots"]}
    assert {s["start_ms"] for s in shots} >= {2_000, 2_240, 6_000} & cuts
    ts, index, scene = (table[n].to_numpy() for n in ("ts_ms", "frame_index", "scene_id"))
    assert (np.diff(ts) > 0).all()
    assert (index == ts // 40).all()
    assert ((scene >= 0) & (scene < len(shots))).all()
    assert all(shots[s]["start_ms"] <= t < shots[s]["end_ms"] for s, t in zip(scene, ts, strict=True))
    assert np.diff(ts).max() <= 200


def test_detections_lie_in_the_manifest(processed: EpisodePaths) -> None:
    table, manifest = load_detections(processed), read_table(processed.manifest, schemas.MANIFEST)
    ids = table["det_id"].to_pylist()
    assert len(ids) == len(set(ids)) > 50
    frames = {r["frame_index"]: (r["ts_ms"], r["scene_id"]) for r in manifest.to_pylist()}
    for row in table.to_pylist():
        assert frames[row["frame_index"]] == (row["ts_ms"], row["scene_id"])
        assert row["bbox"][0] < row["bbox"][2]
        assert row["bbox"][1] < row["bbox"][3]
        assert 0 <= row["quality"] <= 1
        assert 0.9 <= row["conf"] <= 1
        assert len(row["landmarks"]) == 10


def test_embeddings_follow_the_detections(processed: EpisodePaths, machine: Machine) -> None:
    table, detections = read_table(processed.embeddings, schemas.EMBEDDINGS), load_detections(processed)
    assert embedder_of(table) == machine.embedder.id
    for name in ("det_id", "ts_ms", "bbox", "conf", "quality"):
        assert table[name].to_pylist() == detections[name].to_pylist()
    vectors = np.array(table["embedding"].to_pylist())
    assert vectors.shape == (len(table), 128)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_tracks_and_embeddings_name_each_other(processed: EpisodePaths) -> None:
    rows = read_json(processed.tracks)["tracks"]
    tracked, grid = load_tracked(processed), load_grid(processed)
    by_id = {r["track_id"]: r for r in rows}
    assert len(by_id) == len(rows) >= 4
    named = set(_column(processed.embeddings, schemas.EMBEDDINGS, "track_id")) - {None}
    assert named == set(by_id)
    for t in tracked.tracks:
        ts = tracked.obs.ts_ms[t.members]
        assert (ts[0], len(ts)) == (t.start_ms, by_id[t.track_id]["count"])
        assert (np.diff(ts) > 0).all()
        assert set(tracked.obs.scene_id[t.members]) == {t.scene_id}
        assert ts[-1] < t.end_ms <= grid.scenes[t.scene_id].end_ms
        assert 0 < t.stitch_score <= 1
        assert 0.9 <= t.mean_conf <= 1


def test_samples_have_their_crops(processed: EpisodePaths, machine: Machine) -> None:
    rows = read_csv(processed.selected_samples)
    assert list(rows[0]) == ["track_id", "ts_ms", "crop_path", "quality", "reason"]
    seen = dict(
        zip(
            _column(processed.embeddings, schemas.EMBEDDINGS, "det_id"),
            zip(
                _column(processed.embeddings, schemas.EMBEDDINGS, "track_id"),
                _column(processed.embeddings, schemas.EMBEDDINGS, "ts_ms"),
                strict=True,
            ),
            strict=True,
        )
    )
    for row in rows:
        crop = processed.root / row["crop_path"]
        assert cv2.imread(str(crop)) is not None
        assert seen[crop.stem] == (row["track_id"], int(row["ts_ms"]))
        assert 0 <= float(row["quality"]) <= 1
        assert row["reason"]
    assert {r["track_id"] for r in rows} == {r["track_id"] for r in read_json(processed.tracks)["tracks"]}
    assert {p.name for p in processed.crops.iterdir()} == {Path(r["crop_path"]).name for r in rows}
    most = machine.settings.track.samples_per_track
    assert max(np.unique([r["track_id"] for r in rows], return_counts=True)[1]) <= most


def test_members_cover_every_track_once(processed: EpisodePaths) -> None:
    clusters = read_table(processed.clusters, schemas.CLUSTERS).to_pylist()
    members = read_table(processed.members, schemas.MEMBERS).to_pylist()
    assert sorted(m["track_id"] for m in members) == sorted(
        r["track_id"] for r in read_json(processed.tracks)["tracks"]
    )
    counts = {c["cluster_id"]: c["member_count"] for c in clusters}
    assert len(counts) == len(clusters)
    assert counts == {c: sum(m["cluster_id"] == c for m in members) for c in counts}
    assert {m["cluster_id"] for m in members} == set(counts)
    track_of = {r["crop_path"]: r["track_id"] for r in read_csv(processed.selected_samples)}
    cluster_of = {m["track_id"]: m["cluster_id"] for m in members}
    for c in clusters:
        assert (processed.root / c["rep_crop"]).is_file()
        assert cluster_of[track_of[c["rep_crop"]]] == c["cluster_id"]
        assert bool(c["reason"]) == c["low_conf"]
        assert c["intra_variance"] >= 0
    assert [c.cluster_id for c in load_clustering(processed).clusters] == list(counts)


def test_suggestions_are_pairs_of_clusters(processed: EpisodePaths) -> None:
    rows = read_table(processed.merge_suggestions, schemas.MERGE_SUGGESTIONS).to_pylist()
    known = set(_column(processed.clusters, schemas.CLUSTERS, "cluster_id"))
    assert [r["rank"] for r in rows] == list(range(1, len(rows) + 1))
    assert all({r["cluster_a"], r["cluster_b"]} <= known and r["cluster_a"] != r["cluster_b"] for r in rows)
    assert all(0 < r["similarity"] <= 1 for r in rows)


def test_timeline_and_totals_agree_and_are_right(
    processed: EpisodePaths, short_season: list[DemoEpisode], machine: Machine
) -> None:
    with processed.timeline.open(newline="") as f:
        assert next(csv.reader(f)) == ["person_name", "start_ms", "end_ms", "source", "confidence"]
    with processed.totals_csv.open(newline="") as f:
        assert next(csv.reader(f)) == schemas.TOTALS.names
    intervals, rows = read_timeline(processed), read_totals(processed)
    facts = EpisodeFacts.load(processed)
    for i in intervals:
        assert facts.start_ms <= i.span.start_ms < i.span.end_ms <= facts.start_ms + facts.duration_ms
        assert i.source == "auto"
    for t in rows:
        mine = [i.span for i in intervals if i.person == t.person]
        assert (t.total_ms, t.appearances) == (sum(s.length_ms for s in mine), len(mine))
        assert (t.first_ms, t.last_ms) == (mine[0].start_ms, mine[-1].end_ms)
        assert t.percent == pytest.approx(100 * t.total_ms / facts.duration_ms, abs=0.01)
    from_csv = [(r["person_name"], int(r["total_ms"])) for r in read_csv(processed.totals_csv)]
    assert from_csv == [(t.person, t.total_ms) for t in rows]
    assert {t.person for t in rows} == {i.person for i in intervals}
    assert read_rules(processed) == machine.settings.rules
    result = score(Truth.load(short_season[0].truth), intervals)
    assert result.f1 > 0.9, result


def test_audit_log_is_a_whole_chain(processed: EpisodePaths) -> None:
    assert audit.verify(processed.audit).ok
    lines = audit.read(processed.audit)
    assert [line["action"] for line in lines] == ["episode.added"]
    assert lines[0]["details"]["sha256"] == load_source(processed).sha256


def test_facebank_of_the_episodes_faces(processed: EpisodePaths, machine: Machine, tmp_path: Path) -> None:
    tracked = load_tracked(processed)
    t = tracked.tracks[0]
    row = int(t.members[0])
    crop = (processed.root / read_csv(processed.selected_samples)[0]["crop_path"]).read_bytes()
    box, points = tracked.obs.boxes[row], tracked.obs.landmarks[row]
    face = Face(
        "s01e01", t.track_id, str(tracked.obs.det_id[row]), tracked.obs.embeddings[row], crop, box, points
    )
    Facebank(machine.embedder.id, {}).add("Zoë", [face]).save(tmp_path)
    people = read_table(tmp_path / "people.parquet", schemas.FACEBANK_PEOPLE)
    faces = read_table(tmp_path / "embeddings.parquet", schemas.FACEBANK_EMBEDDINGS)
    assert people.select(["name", "face_count"]).to_pylist() == [{"name": "Zoë", "face_count": 1}]
    assert faces["person_id"].to_pylist() == people["person_id"].to_pylist()
    bank = facebank.open_for(tmp_path, machine.embedder.id)
    assert np.array_equal(bank.people["Zoë"][0].embedding, tracked.obs.embeddings[row])


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("manifest", schemas.MANIFEST),
        ("embeddings", schemas.EMBEDDINGS),
        ("clusters", schemas.CLUSTERS),
        ("members", schemas.MEMBERS),
        ("merge_suggestions", schemas.MERGE_SUGGESTIONS),
        ("totals_parquet", schemas.TOTALS),
    ],
)
def test_parquet_files_have_exactly_their_schema(
    processed: EpisodePaths, name: str, schema: pa.Schema
) -> None:
    found = pq.read_schema(getattr(processed, name))
    assert found.remove_metadata() == schema.remove_metadata()
    assert (found.metadata[b"schema_version"], found.metadata[b"schema"]) == (
        b"1",
        schema.metadata[b"schema"],
    )
