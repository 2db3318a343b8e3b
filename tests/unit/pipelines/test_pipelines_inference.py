"""The reader of segments with the real decoder and the real models, in this process."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.clips import make_clip, moving_bars
from support.processed import Machine

from pipelines.episode import Job, embedder_of, load_source
from pipelines.harvest import harvest
from pipelines.inference import chunk_fingerprint, chunks_done
from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths, read_table
from screenalyzer.demo import DemoEpisode
from screenalyzer.settings import Settings
from screenalyzer.types import Chunk
from screenalyzer.video.plan import plan


def _chunks(paths: EpisodePaths, settings: Settings) -> list[Chunk]:
    return [c for s in plan(load_source(paths), settings.video) for c in s.chunks]


def _bytes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def copied(processed: EpisodePaths, tmp_path: Path) -> EpisodePaths:
    """The processed episode, to be spoilt."""
    shutil.copytree(processed.root, tmp_path / "root")
    return EpisodePaths(tmp_path / "root", processed.show, processed.episode)


@pytest.fixture
def bars(machine: Machine, tmp_path: Path) -> EpisodePaths:
    """Three seconds without a face, harvested, in three chunks."""
    paths = EpisodePaths(tmp_path / "bars", "t", "bars")
    harvest(Job(make_clip(tmp_path / "bars.mp4", moving_bars(75)), paths), machine.settings)
    return paths


def test_every_chunk_has_files_that_follow_their_schemas(processed: EpisodePaths, machine: Machine) -> None:
    info, chunks = load_source(processed), _chunks(processed, machine.settings)
    assert len(chunks) > 5
    pts: list[int] = []
    for c in chunks:
        frames = read_table(processed.chunk_frames(c.index), schemas.CHUNK_FRAMES)
        faces = read_table(processed.chunk_faces(c.index), schemas.CHUNK_FACES)
        for path, schema in (
            (processed.chunk_frames(c.index), schemas.CHUNK_FRAMES),
            (processed.chunk_faces(c.index), schemas.CHUNK_FACES),
        ):
            assert pq.read_schema(path).remove_metadata() == schema.remove_metadata()
        mine = frames["pts"].to_pylist()
        assert all(c.start_pts <= p < c.end_pts for p in mine)
        sampled = {r["pts"] for r in frames.select(["pts", "sampled"]).to_pylist() if r["sampled"]}
        assert set(faces["pts"].to_pylist()) <= sampled
        assert embedder_of(faces) == machine.embedder.id
        assert all(crop.startswith(b"\xff\xd8") for crop in faces["crop"].to_pylist())
        pts += mine
        assert artifacts.is_done(
            processed.chunk_marker(c.index), chunk_fingerprint(info, c, machine.settings, machine.embedder.id)
        )
    assert pts == sorted(set(pts))
    assert len(pts) == 300


def test_rows_and_reports_add_up(bars: EpisodePaths, machine: Machine) -> None:
    rows = list(machine.read(bars))
    assert [r["chunk"] for r in rows] == [0, 1, 2]
    assert [r["error"] for r in rows] == [""] * 3
    assert sum(r["frames"] for r in rows) == 75
    manifest = [
        read_table(bars.chunk_frames(i), schemas.CHUNK_FRAMES)["sampled"].to_pylist() for i in range(3)
    ]
    assert [r["samples"] for r in rows] == [sum(m) for m in manifest]
    assert machine.reported[bars.key] == 3000
    for r in rows:
        assert max(r["decode_s"], r["detect_s"], r["embed_s"]) <= r["busy_s"] + 1e-6
        assert r["busy_s"] <= r["decode_s"] + r["detect_s"] + r["embed_s"] + 1e-6


def test_a_finished_episode_is_not_read_again(copied: EpisodePaths, machine: Machine) -> None:
    before, sent = _bytes(copied.root), machine.batches
    assert list(machine.read(copied)) == []
    assert machine.stages(copied) == []
    assert (machine.batches, _bytes(copied.root)) == (sent, before)


def test_a_segment_whose_reader_died_unheard_is_reported_without_being_read_again(
    copied: EpisodePaths, machine: Machine
) -> None:
    sent = machine.batches
    rows = list(machine.read(copied, again=True))
    assert [r["chunk"] for r in rows] == [c.index for c in _chunks(copied, machine.settings)]
    assert not any(r["samples"] or r["error"] for r in rows)
    assert machine.batches == sent


def test_a_video_that_changed_since_the_harvest_is_refused(
    copied: EpisodePaths, machine: Machine, tmp_path: Path
) -> None:
    raw = artifacts.read_json(copied.source_json)
    video = tmp_path / Path(raw["path"]).name
    video.write_bytes(Path(raw["path"]).read_bytes() + b"more")
    artifacts.write_json(copied.source_json, {**raw, "path": str(video)})
    copied.chunk_faces(0).unlink()
    assert ["it changed while" in r["error"] for r in machine.read(copied)] == [True]
    video.unlink()
    assert ["taken away" in r["error"] for r in machine.read(copied)] == [True]


def test_only_the_chunk_that_is_not_done_is_read_and_gives_the_same_bytes(
    copied: EpisodePaths, processed: EpisodePaths, machine: Machine
) -> None:
    lost = _chunks(copied, machine.settings)[3]
    copied.chunk_faces(lost.index).unlink()
    assert [r["chunk"] for r in machine.read(copied) if r["samples"]] == [lost.index]
    assert _bytes(copied.chunks) == _bytes(processed.chunks)


def test_a_chunk_that_was_interrupted_is_done_again(
    copied: EpisodePaths, processed: EpisodePaths, machine: Machine
) -> None:
    """A half file under a temporary name, a half chunk without marker, and everything after it missing."""
    chunks = _chunks(copied, machine.settings)
    for c in chunks[-3:]:
        copied.chunk_marker(c.index).unlink()
        copied.chunk_faces(c.index).unlink()
    copied.chunk_frames(chunks[-1].index).unlink()
    (copied.chunks / ".faces-00009.parquet.99999.tmp").write_bytes(b"PAR1")
    harvest(Job(Path(load_source(copied).path), copied), machine.settings)
    rows = machine.read(copied)
    first = next(rows)
    rows.close()  # the process ends while the next chunk is being read
    again = [r["chunk"] for r in machine.read(copied)]
    assert [first["chunk"], *again] == [c.index for c in chunks[-3:]]
    assert _bytes(copied.chunks) == _bytes(processed.chunks)


def test_a_chunk_half_overwritten_with_other_settings_is_not_taken_for_the_old_one(
    bars: EpisodePaths, machine: Machine
) -> None:
    assert all(not r["error"] for r in machine.read(bars))
    first, before = _chunks(bars, machine.settings)[0], _bytes(bars.chunks)
    damage = bars.chunks / f"damage-{first.index:05d}.json"
    damage.unlink()
    damage.mkdir()  # so that publishing ends after the first two files
    other = machine.settings.model_copy(
        update={"video": machine.settings.video.model_copy(update={"sample_fps": 1.0})}
    )
    assert any("Look at the path, the rights" in r["error"] for r in machine.read(bars, other))
    assert bars.chunk_frames(first.index).read_bytes() != before[bars.chunk_frames(first.index).name]
    damage.rmdir()
    damage.write_bytes(before[damage.name])
    segment = plan(load_source(bars), machine.settings.video)[0]
    assert first.index not in chunks_done(bars, segment, machine.settings, machine.embedder.id)
    assert first.index in [r["chunk"] for r in machine.read(bars)]
    assert _bytes(bars.chunks) == before


def test_the_same_video_elsewhere_gives_the_same_bytes(
    processed: EpisodePaths, short_season: list[DemoEpisode], machine: Machine, tmp_path: Path
) -> None:
    moved = Path(shutil.copy(short_season[0].video, tmp_path / "another name.mp4"))
    paths = EpisodePaths(tmp_path / "root", processed.show, processed.episode)
    machine.process(moved, paths)
    mine, theirs = _bytes(paths.root), _bytes(processed.root)
    named_by_path = {
        n for n in theirs if n.endswith(("source.json", "manifest.json", "audit.jsonl", "inference.json"))
    } | {f"outputs/{paths.key}/stages/harvest.json"}  # fmt: skip
    assert mine.keys() == theirs.keys()
    assert {n for n in mine if mine[n] != theirs[n]} <= named_by_path


def test_an_error_is_a_row_and_ends_its_segment_only(bars: EpisodePaths, machine: Machine) -> None:
    Path(load_source(bars).path).unlink()
    rows = list(machine.read(bars))
    assert rows
    assert all("bars" in r["error"] and r["chunk"] == -1 for r in rows)
    assert not list(bars.chunks.glob("done-*"))


def test_det_ids_depend_on_content_frame_and_place(processed: EpisodePaths, machine: Machine) -> None:
    ids = [
        i
        for c in _chunks(processed, machine.settings)
        for i in read_table(processed.chunk_faces(c.index), schemas.CHUNK_FACES)["det_id"].to_pylist()
    ]
    assert len(ids) == len(np.unique(ids))
    assert all(len(i) == 32 for i in ids)
