"""The season on disk: small and short, but built by the same code."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from screenalyzer.demo import DemoEpisode, DemoFormat, build_season
from screenalyzer.demo.encode import sweep
from screenalyzer.errors import SettingsError

SMALL = DemoFormat(width=256, height=144, seconds=12)


@pytest.fixture(scope="module")
def season(tmp_path_factory) -> list[DemoEpisode]:
    return build_season(tmp_path_factory.mktemp("demo"), form=SMALL)


def test_episodes_are_h264_of_the_size_and_length_that_the_truth_says(season):
    assert [e.video.name for e in season] == [f"demo-s01e0{i}.mp4" for i in (1, 2, 3)]
    for episode in season:
        answers = json.loads(episode.truth.read_text())
        with av.open(str(episode.video)) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
            assert (stream.width, stream.height, stream.average_rate) == (256, 144, 25)
            times = [round(f.pts * f.time_base * 1000) for f in video.decode(stream)]
        assert times == list(range(0, answers["duration_ms"], 40))
        assert answers["duration_ms"] == 12_000


def test_the_index_is_at_the_front_and_keyframes_are_close(season):
    head = season[0].video.read_bytes()[:4096]
    assert head.find(b"moov") < head.find(b"mdat") or b"mdat" not in head
    assert b"moov" in head
    with av.open(str(season[0].video)) as video:
        keys = [
            float(p.pts * p.time_base) for p in video.demux(video=0) if p.is_keyframe and p.pts is not None
        ]
    assert np.diff([*keys, 12.0]).max() <= 2.0


def test_the_picture_cuts_exactly_where_the_truth_does(season):
    """Where the truth changes between shots, the picture may jump; nowhere else does it."""
    answers = json.loads(season[0].truth.read_text())
    with av.open(str(season[0].video)) as video:
        grey = np.stack([f.to_ndarray(format="gray") for f in video.decode(video=0)]).astype(np.int16)
    change = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
    cuts = {e["start_ms"] // 40 for e in answers["shots"][1:]}
    jumps = {int(i) + 1 for i in np.flatnonzero(change > 15)}
    assert jumps
    assert jumps <= cuts


def test_a_second_build_gives_the_same_bytes(season, tmp_path):
    again = build_season(tmp_path, form=SMALL)
    for a, b in zip(season, again, strict=True):
        assert a.truth.read_bytes() == b.truth.read_bytes()
        assert a.video.read_bytes() == b.video.read_bytes()


def test_what_is_built_is_kept_and_what_is_missing_is_built(season):
    folder = season[0].video.parent
    before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}
    start = time.perf_counter()
    assert build_season(folder, form=SMALL) == season
    assert time.perf_counter() - start < 1.0
    assert {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()} == before
    season[1].truth.unlink()
    seen: list[tuple[str, float]] = []
    build_season(folder, lambda name, part: seen.append((name, part)), form=SMALL)
    assert {name for name, _ in seen} == {"demo-s01e02"}
    assert seen[0][1] == 0.0
    assert seen[-1][1] == 1.0
    assert season[1].truth.exists()


def test_another_format_is_another_season(season, tmp_path):
    short = DemoFormat(width=160, height=90, seconds=8)
    build_season(tmp_path, form=short)
    first = (tmp_path / "demo-s01e01.mp4").read_bytes()
    build_season(tmp_path, form=DemoFormat(width=160, height=90, seconds=9))
    assert (tmp_path / "demo-s01e01.mp4").read_bytes() != first
    assert json.loads((tmp_path / "demo-s01e01.truth.json").read_text())["duration_ms"] == 9_000


def test_a_killed_build_leaves_nothing_half_and_the_next_one_completes(season, tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from screenalyzer.demo import DemoFormat, build_season\n"
        "tell = lambda name, part: os.write(1, b'%f\\n' % part)\n"  # one write, as threads share the pipe
        "build_season(Path(sys.argv[1]), tell, form=DemoFormat(256, 144, 12))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as build:
        assert build.stdout is not None
        for line in build.stdout:
            if float(line) > 0.3:
                break
        build.send_signal(signal.SIGKILL)
    left = [p.name for p in tmp_path.iterdir()]
    assert any(name.startswith(".") and name.endswith(".tmp") for name in left)
    whole = {e.video.name: e.video.read_bytes() for e in season}
    assert all((tmp_path / name).read_bytes() == whole[name] for name in left if name.endswith(".mp4"))
    built = build_season(tmp_path, form=SMALL)
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".tmp")]
    assert {e.video.name: e.video.read_bytes() for e in built} == whole


def test_a_living_writer_keeps_its_file(tmp_path):
    mine, old = (tmp_path / f".demo-s01e01.mp4.{pid}.tmp" for pid in (_own_pid(), 2**22 + 1))
    for path in (mine, old):
        path.write_bytes(b"x")
    sweep(tmp_path)
    assert mine.exists()
    assert not old.exists()


def _own_pid() -> int:
    return int(Path("/proc/self").resolve().name)


def test_the_hard_cast_is_one_episode_of_doubles(tmp_path):
    episodes = build_season(tmp_path, cast_name="hard", form=DemoFormat(160, 90, 12))
    assert [e.video.name for e in episodes] == ["demo-harde01.mp4"]
    assert set(json.loads(episodes[0].truth.read_text())["cast"]) <= {"P004", "P006", "P010"}


@pytest.mark.parametrize("form", [(1279, 720, 96), (1280, 721, 96), (80, 44, 96), (1280, 720, 2)])
def test_a_format_that_cannot_be_is_refused(form):
    with pytest.raises(SettingsError, match="demo"):
        DemoFormat(*form)


def test_an_unknown_cast_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="hard"):
        build_season(tmp_path, cast_name="nobody")
