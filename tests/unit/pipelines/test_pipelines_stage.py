from pathlib import Path

import pytest

from pipelines.stage import STAGE_NAMES, Stage, run_stage
from screenalyzer.artifacts import EpisodePaths, is_done, write_bytes
from screenalyzer.errors import ArtifactError
from screenalyzer.settings import Settings


class Work:
    """A stage that writes one file and counts how often it did."""

    def __init__(self) -> None:
        self.runs = 0
        self.fails = False

    def __call__(self, paths: EpisodePaths, settings: Settings) -> list[Path]:
        self.runs += 1
        write_bytes(paths.timeline, f"{settings.rules.fuse_gap_ms}".encode())
        if self.fails:
            raise ArtifactError("on purpose")
        return [paths.timeline]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def stage(work: Work) -> Stage:
    return Stage("work", 1, work, lambda _, s: s.rules)


@pytest.fixture
def paths(tmp_path: Path) -> EpisodePaths:
    return EpisodePaths(tmp_path, "show", "ep")


def _with(**groups: dict[str, object]) -> Settings:
    return Settings.model_validate(groups)


def test_runs_once_for_the_same_settings(stage: Stage, work: Work, paths: EpisodePaths) -> None:
    first = run_stage(stage, paths, Settings(), "up")
    assert run_stage(stage, paths, Settings(), "up") == first
    assert work.runs == 1


def test_runs_again_for_what_it_depends_on_and_nothing_else(
    stage: Stage, work: Work, paths: EpisodePaths
) -> None:
    first = run_stage(stage, paths, Settings(), "up")
    assert run_stage(stage, paths, _with(video={"sample_fps": 2}), "up") == first
    assert work.runs == 1
    second = run_stage(stage, paths, _with(rules={"fuse_gap_ms": 5}), "up")
    assert second != first
    assert paths.timeline.read_text() == "5"
    run_stage(stage, paths, _with(rules={"fuse_gap_ms": 5}), "another")
    run_stage(Stage("work", 2, work, stage.depends_on), paths, _with(rules={"fuse_gap_ms": 5}), "another")
    assert work.runs == 4


def test_runs_again_where_an_output_or_the_marker_is_gone(
    stage: Stage, work: Work, paths: EpisodePaths
) -> None:
    run_stage(stage, paths, Settings(), "up")
    paths.timeline.unlink()
    run_stage(stage, paths, Settings(), "up")
    paths.marker("work").write_bytes(b"{")
    run_stage(stage, paths, Settings(), "up")
    assert work.runs == 3
    paths.timeline.write_bytes(paths.timeline.read_bytes()[:-1])
    run_stage(stage, paths, Settings(), "up")
    assert work.runs == 4
    assert paths.timeline.read_text() == "2000"


def test_a_stage_that_fails_is_not_done_and_no_longer_was(
    stage: Stage, work: Work, paths: EpisodePaths
) -> None:
    made_from = run_stage(stage, paths, Settings(), "up")
    work.fails = True
    with pytest.raises(ArtifactError):
        run_stage(stage, paths, _with(rules={"fuse_gap_ms": 5}), "up")
    assert not paths.marker("work").exists()
    assert not is_done(paths.marker("work"), made_from)
    work.fails = False
    assert run_stage(stage, paths, Settings(), "up") == made_from
    assert paths.timeline.read_text() == "2000"


def test_what_comes_after_a_stage_that_runs_is_not_done_while_it_runs(paths: EpisodePaths) -> None:
    seen = []

    def look(paths: EpisodePaths, _settings: Settings) -> list[Path]:
        seen.append([n for n in STAGE_NAMES if paths.marker(n).exists()])
        return []

    cluster = Stage("cluster", 1, look, lambda _, s: s.cluster)
    for name in STAGE_NAMES:
        write_bytes(paths.marker(name), b"{}")
    run_stage(cluster, paths, Settings(), "up")
    assert seen == [["inference", "tracking"]]
    write_bytes(paths.marker("analytics"), b"{}")
    run_stage(cluster, paths, Settings(), "up")
    assert paths.marker("analytics").exists()
    assert len(seen) == 1


def test_what_killed_stages_left_half_written_is_swept(stage: Stage, paths: EpisodePaths) -> None:
    """But not what others are writing meanwhile, without the episode's lock."""
    left = [paths.crops / ".a.jpg.1-a.tmp", paths.chunks / ".faces-00003.parquet.1-a.tmp"]
    being_written = [paths.exports / ".s01e01.csv.2-b.tmp", paths.audit.parent / ".audit.jsonl.2-b.tmp"]
    for path in (*left, *being_written):
        write_bytes(path, b"half")
    run_stage(stage, paths, Settings(), "up")
    assert not any(p.exists() for p in left)
    assert all(p.exists() for p in being_written)
