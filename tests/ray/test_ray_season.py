"""The promises: real footage with exact truth, scored by a program that is not ours, and reviewed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.main_job import Environment, run

pytestmark = [pytest.mark.ray, pytest.mark.eval]

BENCH = Path(__file__).parents[2] / "bench" / "reviewer.py"


@pytest.fixture(scope="module")
def usual(environment: Environment) -> Environment:
    """The environment with chunks of the usual length."""
    return {**environment, "SCREENALYZER_VIDEO__CHUNK_S": "30"}


@pytest.fixture(scope="module")
def root(eval_dir: Path, usual: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root of the processed season, as show `t`."""
    videos = sorted((eval_dir / "season").glob("ep*.mp4"))
    assert len(videos) == 3
    folder = tmp_path_factory.mktemp("season")
    done = run(videos, folder, usual)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_season_is_right(eval_dir: Path, root: Path) -> None:
    for truth in sorted((eval_dir / "season").glob("*.truth.json")):
        episode = truth.name.split(".")[0]
        timeline = root / "outputs" / "t" / episode / "timeline.csv"
        words = [sys.executable, str(eval_dir / "score.py"), str(truth), str(timeline)]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        assert found["f1"] >= 0.95, (episode, found)
        assert found["error_pct"] <= 6, (episode, found)
        assert found["people_found"] <= found["people_true"] + 2, (episode, found)


def test_a_reviewer_is_done_in_half_the_time_of_the_episode_and_sooner_with_each(
    eval_dir: Path, root: Path, usual: Environment
) -> None:
    rows = _review("--season", str(eval_dir / "season"), "--root", str(root), "--show", "t", env=usual)
    assert rows[1]["minutes"] < 0.8 * rows[0]["minutes"]
    assert min(row["named_by_facebank"] for row in rows[1:]) >= 5


@pytest.mark.long
def test_a_reviewer_of_the_demo_season_too(usual: Environment, tmp_path: Path) -> None:
    _review("--root", str(tmp_path), env=usual)


def _review(*words: str, env: Environment) -> list[dict[str, Any]]:
    """The bench's rows of three episodes, held to what is promised of every season."""
    command = [sys.executable, str(BENCH), *words, "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["episodes"]
    for row in rows:
        assert row["minutes_per_30"] <= 15, row
        assert min(row["after"]["precision"], row["after"]["recall"]) >= 0.99, row
    assert rows[0]["minutes"] > rows[1]["minutes"] > rows[2]["minutes"]
    return rows
