"""The main job as a user runs it: real files, real models, a real cluster."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.clips import make_clip

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.evaluation import Truth, score
from screenalyzer.results import read_timeline

pytestmark = pytest.mark.ray


def _command(videos: list[Path], root: Path, *more: str) -> list[str]:
    files = [str(v) for v in videos]
    return [sys.executable, "-m", "services.cli.main", "process", *files, "--show", "t", "--data-root", str(root), *more]


def _run(videos: list[Path], root: Path, environment: dict[str, str], *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(videos, root, *more), env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def _bytes(root: Path) -> dict[str, bytes]:
    """Every artifact by its path; the audit log tells the time and is left out."""
    files = (p for p in root.rglob("*") if p.is_file() and "diagnostics" not in p.parts)
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


@pytest.fixture(scope="module")
def quiet_run(clip: Path, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root of an undisturbed run."""
    root = tmp_path_factory.mktemp("quiet")
    done = _run([clip], root, environment)
    assert done.returncode == 0, done.stderr
    return root


def test_result_is_right(quiet_run: Path, clip: Path) -> None:
    result = score(Truth.load(clip.with_suffix(".truth.json")), read_timeline(EpisodePaths(quiet_run, "t", clip.stem)))
    assert result.f1 >= 0.9, result


def test_killed_at_any_moment_ends_with_the_same_bytes(
    quiet_run: Path, clip: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    rng = random.Random(7)
    kills = 0
    for _ in range(5):
        process = subprocess.Popen(
            _command([clip], tmp_path), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(rng.uniform(3.0, 12.0))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2, "the run was over before it could be killed"
    last = _run([clip], tmp_path, environment)
    assert last.returncode == 0, last.stderr
    assert _bytes(tmp_path) == _bytes(quiet_run)


def test_a_finished_run_does_nothing_again(quiet_run: Path, clip: Path, environment: dict[str, str]) -> None:
    chunks = sorted((quiet_run / "outputs").rglob("faces-*.parquet"))
    before = {p: p.stat().st_mtime_ns for p in chunks}
    assert _run([clip], quiet_run, environment).returncode == 0
    assert {p: p.stat().st_mtime_ns for p in chunks} == before


def test_bad_files_fail_alone(clip: Path, environment: dict[str, str], tmp_path: Path) -> None:
    garbage, text, empty = tmp_path / "garbage.mp4", tmp_path / "text.mp4", tmp_path / "empty.mp4"
    garbage.write_bytes(random.Random(1).randbytes(100_000))
    text.write_text("this is no video\n" * 100)
    empty.touch()
    truncated = tmp_path / "truncated.mp4"
    whole = clip.read_bytes()
    truncated.write_bytes(whole[: len(whole) // 2])
    missing = tmp_path / "missing.mp4"
    bad = [garbage, text, empty, truncated, missing]
    done = _run([*bad, clip], tmp_path / "root", environment, "--json")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(bad)
    for path in bad:
        assert sum(path.name in e for e in errors) == 1
    by_status = {o["episode"]: o["status"] for o in json.loads(done.stdout)}
    assert by_status == {**{p.stem: "failed" for p in bad}, clip.stem: "done"}


def test_other_content_under_a_known_name(
    quiet_run: Path, clip: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    shutil.copytree(quiet_run, root)
    other = tmp_path / "in" / clip.name
    other.parent.mkdir()
    make_clip(other, seconds=2)
    refused = _run([other], root, environment)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert _bytes(root) == _bytes(quiet_run)
    replaced = _run([other], root, environment, "--replace", "--json")
    assert replaced.returncode == 0, replaced.stderr
    assert json.loads(replaced.stdout)[0]["people"] == 0
