"""The main job as a user runs it: real files, real models, a real cluster."""

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from support.clips import ClipSpec, counted, make_clip, make_sound
from support.main_job import Environment, artifact_bytes, checkpoints, run, start

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode
from screenalyzer.evaluation import Truth, score
from screenalyzer.results import read_timeline

pytestmark = pytest.mark.ray


def test_three_episodes_at_once_come_out_right(quiet_root: Path, season: list[DemoEpisode]) -> None:
    for episode in season:
        found = read_timeline(EpisodePaths(quiet_root, "t", episode.video.stem))
        result = score(Truth.load(episode.truth), found)
        assert result.f1 >= 0.95, (episode.video.stem, result)


def test_killed_at_any_moment_ends_with_the_same_bytes(
    quiet_root: Path, season: list[DemoEpisode], environment: Environment, tmp_path: Path
) -> None:
    rng = random.Random(7)
    videos = [e.video for e in season]
    for reached in (0, 1, 4, 8, 12):
        process = start(videos, tmp_path, environment)
        while process.poll() is None and checkpoints(tmp_path) < reached:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 2.0))
        assert process.poll() is None, "the run was over before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = run(videos, tmp_path, environment)
    assert last.returncode == 0, last.stderr
    assert artifact_bytes(tmp_path) == artifact_bytes(quiet_root)


def test_a_finished_run_does_nothing_again(
    quiet_root: Path, season: list[DemoEpisode], environment: Environment
) -> None:
    outputs = sorted(
        p for p in (quiet_root / "outputs").rglob("*") if p.is_file() and p.parent.name != "stages"
    )
    before = {p: p.stat().st_mtime_ns for p in outputs}
    assert run([e.video for e in season], quiet_root, environment).returncode == 0
    assert {p: p.stat().st_mtime_ns for p in outputs} == before


def test_bad_files_fail_alone_with_one_line_each(
    season: list[DemoEpisode], environment: Environment, tmp_path: Path
) -> None:
    good = season[0].video
    whole = good.read_bytes()
    contents = {
        "garbage.mp4": random.Random(1).randbytes(100_000),
        "text.mp4": b"this is no video\n" * 100,
        "empty.mp4": b"",
        "truncated.mp4": whole[: len(whole) // 2],
    }
    bad = [tmp_path / name for name in (*contents, "missing.mp4", "sound.mp4")]
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    make_sound(tmp_path / "sound.mp4")
    done = run([*bad, good], tmp_path / "root", environment, "--json")
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(bad) == len(done.stderr.splitlines())
    for path in bad:
        assert sum(path.name in e for e in errors) == 1
    by_status = {o["episode"]: o["status"] for o in json.loads(done.stdout)}
    assert by_status == {**{p.stem: "failed" for p in bad}, good.stem: "done"}


def test_other_content_under_a_known_name(
    quiet_root: Path, season: list[DemoEpisode], environment: Environment, tmp_path: Path
) -> None:
    root, name = tmp_path / "root", season[0].video.name
    shutil.copytree(quiet_root, root)
    other = tmp_path / "in" / name
    other.parent.mkdir()
    make_clip(other, counted(50), ClipSpec())
    refused = run([other], root, environment)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert artifact_bytes(root) == artifact_bytes(quiet_root)
    replaced = run([other], root, environment, "--replace", "--json")
    assert replaced.returncode == 0, replaced.stderr
    assert json.loads(replaced.stdout)[0]["people"] == 0
