"""The stages after the models, over real faces, no face, and a damaged video."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.clips import ClipSpec, make_clip, moving_bars
from support.processed import Machine

from pipelines.episode import chosen_crops, chunk_faces, load_clustering, load_detections, load_tracked
from pipelines.stage import STAGE_NAMES
from pipelines.stages import STAGES
from screenalyzer import facebank, schemas
from screenalyzer.artifacts import EpisodePaths, read_csv, read_json, read_table
from screenalyzer.errors import EmbedderMismatchError, UndecodableVideoError
from screenalyzer.exports import export
from screenalyzer.facebank import Face
from screenalyzer.plot import plot_timeline
from screenalyzer.results import EpisodeFacts, read_rules, read_timeline, read_totals
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId


@pytest.fixture
def copied(processed: EpisodePaths, tmp_path: Path) -> EpisodePaths:
    """The processed episode, to be changed."""
    shutil.copytree(processed.root, tmp_path / "root")
    return EpisodePaths(tmp_path / "root", processed.show, processed.episode)


def _changed(settings: Settings, group: str, **values: object) -> Settings:
    return settings.model_copy(update={group: getattr(settings, group).model_copy(update=values)})


def _face(paths: EpisodePaths, track: int) -> Face:
    tracked = load_tracked(paths)
    row = int(tracked.tracks[track].members[0])
    box, points = np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
    return Face("elsewhere", "t", "d", tracked.obs.embeddings[row], b"", box, points)


def test_the_names_that_screens_know_are_those_of_the_stages() -> None:
    assert tuple(s.name for s in STAGES) == STAGE_NAMES


def test_other_rules_run_analytics_alone(copied: EpisodePaths, machine: Machine) -> None:
    before = {t.person: t.total_ms for t in read_totals(copied)}
    cfg = _changed(machine.settings, "rules", min_interval_ms=4_000)
    assert machine.stages(copied, cfg) == ["analytics"]
    assert read_rules(copied).min_interval_ms == 4_000
    after = {t.person: t.total_ms for t in read_totals(copied)}
    assert after == {p: ms for p, ms in before.items() if ms >= 4_000}
    assert after != before


@pytest.mark.parametrize(
    ("group", "values", "ran"),
    [
        ("track", {"samples_per_track": 2}, ["tracking", "cluster", "assist", "analytics"]),
        ("cluster", {"max_suggestions": 0}, ["cluster", "assist", "analytics"]),
    ],
)
def test_other_settings_run_what_comes_after_them(
    copied: EpisodePaths, machine: Machine, group: str, values: dict[str, object], ran: list[str]
) -> None:
    assert machine.stages(copied, _changed(machine.settings, group, **values)) == ran
    crops = {p.relative_to(copied.root).as_posix() for p in copied.crops.iterdir()}
    assert crops == {r["crop_path"] for r in read_csv(copied.selected_samples)}
    assert {c["rep_crop"] for c in read_table(copied.clusters, schemas.CLUSTERS).to_pylist()} <= crops


def test_a_named_face_names_its_cluster_and_runs_from_there(copied: EpisodePaths, machine: Machine) -> None:
    last = len(load_tracked(copied).tracks) - 1
    bank = facebank.open_for(copied.facebank, machine.embedder.id).add("Zoë", [_face(copied, last)])
    bank.save(copied.facebank)
    assert machine.stages(copied) == ["cluster", "assist", "analytics"]
    named = [c for c in load_clustering(copied).clusters if c.name == "Zoë"]
    assert len(named) == 1
    assert named[0].named_by == "facebank"
    assert load_tracked(copied).tracks[last].track_id in {m.track_id for m in named[0].members}
    assert "Zoë" in {t.person for t in read_totals(copied)}
    assert machine.stages(copied) == []


def test_a_facebank_of_another_embedder_is_refused_and_leaves_no_marker(
    copied: EpisodePaths, machine: Machine
) -> None:
    other = EmbedderId("facenet", 128, "0" * 64)
    facebank.open_for(copied.facebank, other).add("Zoë", [_face(copied, 0)]).save(copied.facebank)
    with pytest.raises(EmbedderMismatchError):
        machine.stages(copied)
    assert not copied.marker("cluster").exists()
    shutil.rmtree(copied.facebank)
    assert machine.stages(copied) == ["cluster", "assist", "analytics"]


@pytest.mark.parametrize("output", ["embeddings", "selected_samples", "crop"])
def test_a_truncated_output_is_made_again_with_the_same_bytes(
    copied: EpisodePaths, machine: Machine, output: str
) -> None:
    path = min(copied.crops.iterdir()) if output == "crop" else getattr(copied, output)
    before = path.read_bytes()
    path.write_bytes(before[: len(before) // 2])
    assert machine.stages(copied) == ["tracking", "cluster", "assist", "analytics"]
    assert path.read_bytes() == before


def test_a_crop_that_is_kept_is_the_one_that_was_read(processed: EpisodePaths) -> None:
    """Read here in one piece."""
    read = chunk_faces(processed, ["det_id", "ts_ms", "crop"])
    by_id = dict(zip(read["det_id"].to_pylist(), read["crop"].to_pylist(), strict=True))
    kept = {p.stem: p.read_bytes() for p in processed.crops.iterdir()}
    assert kept
    assert kept == {i: by_id[i] for i in kept}
    assert len(kept) < len(by_id)
    assert dict(chosen_crops(processed, kept)) == kept
    assert list(chosen_crops(processed, [])) == []


def test_a_video_without_a_face_gives_empty_artifacts(machine: Machine, tmp_path: Path) -> None:
    paths = EpisodePaths(tmp_path / "root", "t", "bars")
    machine.process(make_clip(tmp_path / "bars.mp4", moving_bars(75)), paths)
    for path, schema in (
        (paths.embeddings, schemas.EMBEDDINGS),
        (paths.clusters, schemas.CLUSTERS),
        (paths.members, schemas.MEMBERS),
        (paths.merge_suggestions, schemas.MERGE_SUGGESTIONS),
        (paths.totals_parquet, schemas.TOTALS),
    ):
        table = read_table(path, schema)
        assert len(table) == 0
        assert table.schema.remove_metadata() == schema.remove_metadata()
    assert len(load_detections(paths)) == 0
    assert load_tracked(paths).tracks == ()
    assert load_clustering(paths).clusters == ()
    assert read_json(paths.tracks)["tracks"] == []
    assert read_csv(paths.selected_samples) == []
    assert (read_totals(paths), read_timeline(paths)) == ([], [])
    assert len(read_table(paths.manifest, schemas.MANIFEST)) >= 15
    assert EpisodeFacts.load(paths).duration_ms == 3_000
    assert all(f.stat().st_size for kind in ("csv", "xlsx") for f in export(paths, kind))
    assert plot_timeline(paths, tmp_path / "empty.png").stat().st_size


def test_a_single_frame_is_an_episode(machine: Machine, tmp_path: Path) -> None:
    paths = EpisodePaths(tmp_path / "root", "t", "one")
    machine.process(make_clip(tmp_path / "one.mp4", moving_bars(1)), paths)
    assert read_json(paths.manifest_json)["frame_count"] == 1
    assert EpisodeFacts.load(paths).duration_ms == 40
    assert len(read_table(paths.manifest, schemas.MANIFEST)) == 1


def test_damage_in_the_middle_is_reported_and_the_rest_is_kept(machine: Machine, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "v.ts", moving_bars(150), ClipSpec(gop=25, b_frames=0))
    data = bytearray(video.read_bytes())
    third = len(data) // 3
    data[third : third + len(data) // 4] = bytes(len(data) // 4)
    video.write_bytes(data)
    paths = EpisodePaths(tmp_path / "root", "t", "v")
    machine.process(video, paths)
    facts = EpisodeFacts.load(paths)
    assert facts.duration_ms == 6_000
    assert facts.missing
    assert all(m["reason"] for m in read_json(paths.manifest_json)["missing"])
    lost = sum(m.length_ms for m in facts.missing)
    assert 1_000 <= lost <= 3_500
    ends = facts.start_ms + 6_000
    assert all(facts.start_ms < m.start_ms < m.end_ms < ends for m in facts.missing)
    middle = facts.start_ms + 2_700
    assert any(m.start_ms <= middle < m.end_ms for m in facts.missing)
    sampled = read_table(paths.manifest, schemas.MANIFEST)["ts_ms"].to_numpy()
    assert sampled.min() < facts.start_ms + 200
    assert sampled.max() > ends - 400


def test_a_video_of_which_nothing_decodes_is_named(machine: Machine, tmp_path: Path) -> None:
    video = make_clip(tmp_path / "v.mp4", moving_bars(50))
    data = video.read_bytes()
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    video.write_bytes(data[:start] + b"\xff" * size + data[start + size :])
    with pytest.raises(UndecodableVideoError, match=r"v\.mp4"):
        machine.process(video, EpisodePaths(tmp_path / "root", "t", "v"))
