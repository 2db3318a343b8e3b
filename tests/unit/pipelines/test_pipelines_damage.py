"""A damaged checkpoint is noticed, done again, and ends with the same bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.faults import cut_in_half, empty, flip_a_bit
from support.main_job import artifact_bytes
from support.processed import Machine

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode

Damage = Callable[[Path], None]


@pytest.fixture
def copied(processed: EpisodePaths, tmp_path: Path) -> EpisodePaths:
    """The finished episode in a data root of its own."""
    for folder in ("harvest", "outputs"):
        shutil.copytree(processed.root / folder, tmp_path / folder)
    return EpisodePaths(tmp_path, processed.show, processed.episode)


def _every_kind(paths: EpisodePaths) -> list[Path]:
    """One artifact of each kind: checkpoints, what is made from them, and the markers of all stages."""
    crop = next(iter(sorted(paths.crops.glob("*.jpg"))))
    part = next(iter(sorted(paths.detections.glob("part-*.parquet"))))
    chunk = [paths.chunk_frames(0), paths.chunk_faces(1), paths.chunk_marker(2)]
    made = [
        paths.source_json, paths.manifest, paths.manifest_json, part, paths.tracks, paths.embeddings, crop,
        paths.selected_samples, paths.clusters, paths.members, paths.merge_suggestions, paths.timeline,
        paths.totals_csv, paths.totals_parquet,
    ]  # fmt: skip
    return [*chunk, *made, *sorted((paths.outputs / "stages").glob("*.json"))]


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half])
def test_whatever_is_damaged_is_made_again_with_the_same_bytes(
    damage: Damage, processed: EpisodePaths, copied: EpisodePaths, machine: Machine,
    short_season: list[DemoEpisode],
) -> None:  # fmt: skip
    quiet = artifact_bytes(processed.root)
    victims = _every_kind(copied)
    assert len(victims) > 20
    for victim in victims:
        damage(victim)
        machine.process(short_season[0].video, copied)
        left = artifact_bytes(copied.root)
        assert {k for k in quiet if left.get(k) != quiet[k]} == set(), f"after {victim.name} was damaged"
        assert set(left) == set(quiet)


def test_only_the_damaged_chunk_is_read_again(
    processed: EpisodePaths, copied: EpisodePaths, machine: Machine, short_season: list[DemoEpisode]
) -> None:
    flip_a_bit(copied.chunk_faces(1))
    rows = list(machine.read(copied))
    done_again = [r["chunk"] for r in rows if r["decode_s"] > 0]
    assert done_again == [1]
    assert artifact_bytes(copied.root) == artifact_bytes(processed.root)
    assert machine.process(short_season[0].video, copied) == []


def test_everything_emptied_at_once(
    processed: EpisodePaths, copied: EpisodePaths, machine: Machine, short_season: list[DemoEpisode]
) -> None:
    for victim in sorted(p for p in copied.root.rglob("*") if p.is_file() and p != copied.audit):
        empty(victim)
    machine.process(short_season[0].video, copied)
    assert artifact_bytes(copied.root) == artifact_bytes(processed.root)
