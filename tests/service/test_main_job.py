"""A bad name is one episode's trouble, and none of the others'."""

from pathlib import Path

import pytest

from screenalyzer.errors import EpisodeNameError
from services.main_job import plan_jobs


def test_every_video_becomes_an_episode_named_after_it(tmp_path: Path) -> None:
    jobs = plan_jobs([Path("in/S01 E01.mp4"), Path("in/two.mkv")], "My Show", tmp_path, replace=True)
    assert [j.key for j in jobs] == ["My-Show/S01-E01", "My-Show/two"]
    assert all(j.replace and not j.refused and j.video.is_absolute() for j in jobs)


def test_bad_names_are_refused_one_by_one(tmp_path: Path) -> None:
    videos = [Path("___.mp4"), Path("a/ep1.mp4"), Path("b/ep1.mkv"), Path("ep2.mp4")]
    jobs = plan_jobs(videos, "t", tmp_path, replace=False)
    assert [bool(j.refused) for j in jobs] == [True, True, True, False]
    for job in jobs[:3]:
        assert job.refused is not None
        assert job.video.name in job.refused
        assert "Rename" in job.refused


def test_a_show_that_cannot_be_named_ends_the_call(tmp_path: Path) -> None:
    with pytest.raises(EpisodeNameError, match="show"):
        plan_jobs([Path("ep1.mp4")], "///", tmp_path, replace=False)
