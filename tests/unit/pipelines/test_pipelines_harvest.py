import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.clips import make_clip, moving_bars

from pipelines.episode import Job, load_source
from pipelines.harvest import harvest
from pipelines.stage import STAGE_NAMES
from screenalyzer import artifacts, audit
from screenalyzer.artifacts import EpisodePaths, write_bytes, write_json
from screenalyzer.errors import EpisodeConflictError, FileMissingError
from screenalyzer.settings import Settings

CFG = Settings()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return (
        make_clip(folder / "one.mp4", moving_bars(10)),
        make_clip(folder / "two.mp4", moving_bars(12, seed=2)),
    )


@pytest.fixture
def paths(tmp_path: Path) -> EpisodePaths:
    return EpisodePaths(tmp_path / "root", "show", "ep")


def _actions(paths: EpisodePaths) -> list[str]:
    return [line["action"] for line in audit.read(paths.audit)]


def test_claims_the_name_and_keeps_what_the_probe_found(
    clips: tuple[Path, Path], paths: EpisodePaths
) -> None:
    info = harvest(Job(clips[0], paths), CFG)
    assert load_source(paths) == info
    assert info.sha256 == artifacts.sha256_file(clips[0])
    line = audit.read(paths.audit)[0]
    assert (line["action"], line["actor"]) == ("episode.added", getpass.getuser())
    assert line["details"] == {"sha256": info.sha256, "file": "one.mp4"}


def test_same_content_from_another_place_is_the_same_episode(
    clips: tuple[Path, Path], paths: EpisodePaths, tmp_path: Path
) -> None:
    harvest(Job(clips[0], paths), CFG)
    moved = Path(shutil.copy(clips[0], tmp_path / "moved.mkv"))
    assert harvest(Job(moved, paths), CFG).path == str(moved)
    assert load_source(paths).path == str(moved)
    assert _actions(paths) == ["episode.added"]


def test_other_content_is_refused_and_changes_nothing(clips: tuple[Path, Path], paths: EpisodePaths) -> None:
    harvest(Job(clips[0], paths), CFG)
    before = {p: p.read_bytes() for p in paths.root.rglob("*") if p.is_file()}
    with pytest.raises(EpisodeConflictError, match=r"two\.mp4.*show/ep.*--replace"):
        harvest(Job(clips[1], paths), CFG)
    assert {p: p.read_bytes() for p in paths.root.rglob("*") if p.is_file()} == before


def test_replace_discards_everything_but_the_log(clips: tuple[Path, Path], paths: EpisodePaths) -> None:
    old = harvest(Job(clips[0], paths), CFG)
    for path in (paths.embeddings, paths.crops / "a.jpg", paths.detections / "part-00000.parquet"):
        write_bytes(path, b"old")
    new = harvest(Job(clips[1], paths, replace=True), CFG)
    left = {p.relative_to(paths.root).as_posix() for p in paths.root.rglob("*") if p.is_file()}
    assert left == {
        "harvest/show/ep/source.json", "outputs/show/ep/stages/harvest.json",
        "outputs/show/ep/diagnostics/audit.jsonl",
    }  # fmt: skip
    assert _actions(paths) == ["episode.added", "episode.replaced"]
    assert audit.read(paths.audit)[1]["details"] == {
        "sha256": new.sha256, "before": old.sha256, "file": "two.mp4",
    }  # fmt: skip


def test_an_episode_of_a_version_with_other_fields_still_owns_its_name(
    clips: tuple[Path, Path], paths: EpisodePaths
) -> None:
    info = harvest(Job(clips[0], paths), CFG)
    write_json(paths.source_json, {"sha256": info.sha256, "a_field_of_old": 1})
    with pytest.raises(EpisodeConflictError):
        harvest(Job(clips[1], paths), CFG)
    assert harvest(Job(clips[0], paths), CFG) == info == load_source(paths)


def test_results_of_other_video_settings_no_longer_stand(
    clips: tuple[Path, Path], paths: EpisodePaths
) -> None:
    harvest(Job(clips[0], paths), CFG)
    markers = [paths.marker(n) for n in STAGE_NAMES]
    for marker in markers:
        write_bytes(marker, b"{}")
    harvest(Job(clips[0], paths), CFG)
    assert all(m.exists() for m in markers)
    harvest(Job(clips[0], paths), Settings.model_validate({"video": {"sample_fps": 2}}))
    assert not any(m.exists() for m in markers)
    assert paths.marker("harvest").exists()


def test_a_missing_file_leaves_no_trace(paths: EpisodePaths, tmp_path: Path) -> None:
    with pytest.raises(FileMissingError):
        harvest(Job(tmp_path / "none.mp4", paths), CFG)
    assert not paths.root.exists()


def test_leftovers_of_a_killed_run_are_swept(clips: tuple[Path, Path], paths: EpisodePaths) -> None:
    leftovers = [paths.chunks / ".faces-00000.parquet.77.tmp", paths.crops / ".x.jpg.78.tmp"]
    for path in leftovers:
        write_bytes(path, b"half")
    harvest(Job(clips[0], paths), CFG)
    assert not any(p.exists() for p in leftovers)


def test_a_file_name_that_is_not_utf8(clips: tuple[Path, Path], paths: EpisodePaths, tmp_path: Path) -> None:
    video = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(clips[0], video)
    harvest(Job(video, paths), CFG)
    assert Path(load_source(paths).path) == video
    assert audit.read(paths.audit)[0]["details"]["file"] == r"caf\udce9.mp4"


def test_a_user_without_a_name_is_logged_by_number(clips: tuple[Path, Path], tmp_path: Path) -> None:
    """As in a container that runs as `--user 12345`."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from pipelines.episode import Job; from pipelines.harvest import harvest\n"
        "from screenalyzer.artifacts import EpisodePaths; from screenalyzer.settings import Settings\n"
        "cfg = Settings(); os.setuid(12345)\n"
        "harvest(Job(Path(sys.argv[1]), EpisodePaths(Path(sys.argv[2]), 's', 'e')), cfg)\n"
    )
    if os.getuid() != 0:
        pytest.skip("only root can become a user without a name")
    video = Path(shutil.copy(clips[0], tmp_path / "v.mp4"))
    root = Path("/tmp") / f"screenalyzer-test-{os.getpid()}"  # other users cannot enter tmp_path
    root.mkdir(mode=0o777)
    try:
        root.chmod(0o777)
        shutil.copy(video, root / "v.mp4")
        environment = {
            k: v for k, v in os.environ.items() if k not in ("LOGNAME", "USER", "LNAME", "USERNAME")
        }
        command = [sys.executable, "-c", code, str(root / "v.mp4"), str(root)]
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        assert audit.read(EpisodePaths(root, "s", "e").audit)[0]["actor"] == "uid 12345"
    finally:
        shutil.rmtree(root)
