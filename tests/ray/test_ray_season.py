"""The promise: real footage with exact truth, scored by a program that is not ours."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.main_job import Environment, run

pytestmark = [pytest.mark.ray, pytest.mark.eval]


def test_the_season_is_right(eval_dir: Path, environment: Environment, tmp_path: Path) -> None:
    videos = sorted((eval_dir / "season").glob("ep*.mp4"))
    assert len(videos) == 3
    done = run(videos, tmp_path, {**environment, "SCREENALYZER_VIDEO__CHUNK_S": "30"})
    assert done.returncode == 0, done.stderr
    for video in videos:
        timeline = tmp_path / "outputs" / "t" / video.stem / "timeline.csv"
        truth = video.with_name(f"{video.stem}.truth.json")
        words = [sys.executable, str(eval_dir / "score.py"), str(truth), str(timeline)]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        assert found["f1"] >= 0.95, (video.stem, found)
        assert found["error_pct"] <= 6, (video.stem, found)
        assert found["people_found"] <= found["people_true"] + 2, (video.stem, found)
