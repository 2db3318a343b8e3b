import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support.clips import ClipSpec, counted, make_clip, make_sound

from screenalyzer import errors
from screenalyzer.artifacts import sha256_file
from screenalyzer.video.probe import probe

FASTSTART = {"movflags": "+faststart"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    return make_clip(folder / "good.mp4", counted(100), ClipSpec(container_options=FASTSTART, audio=True))


def test_facts_of_a_plain_clip(good: Path) -> None:
    info = probe(good)
    assert (info.container, info.codec) == ("mp4", "h264")
    assert (info.width, info.height, info.rotation, info.interlaced) == (160, 96, 0, False)
    assert info.frame_count == 100
    assert info.fps == pytest.approx(25)
    assert info.constant_rate
    assert (info.end_pts - info.start_pts) * info.time_base == 4
    assert [k * info.time_base for k in info.keyframe_pts] == [0, 1, 2, 3]
    assert (info.size_bytes, info.sha256) == (good.stat().st_size, sha256_file(good))


@pytest.mark.parametrize(
    ("turn", "size"), [(0, (160, 96)), (90, (96, 160)), (180, (160, 96)), (270, (96, 160))]
)
def test_size_is_as_displayed_when_rotated(tmp_path: Path, turn: int, size: tuple[int, int]) -> None:
    info = probe(make_clip(tmp_path / "r.mp4", counted(3), ClipSpec(rotation=turn)))
    assert (info.rotation, (info.width, info.height)) == (turn, size)


def test_pixel_aspect_widens_and_turns_with_the_picture(tmp_path: Path) -> None:
    wide = ClipSpec(sar=Fraction(4, 3))
    info = probe(make_clip(tmp_path / "a.mp4", counted(3, 120, 96), wide))
    assert (info.width, info.height) == (160, 96)
    turned = ClipSpec(sar=Fraction(4, 3), rotation=90)
    info = probe(make_clip(tmp_path / "b.mp4", counted(3, 120, 96), turned))
    assert (info.width, info.height) == (96, 160)


def test_variable_rate_is_seen(tmp_path: Path) -> None:
    times = np.cumsum(np.tile([20, 60, 35, 90, 40], 8)).tolist()
    info = probe(make_clip(tmp_path / "v.mkv", counted(40), ClipSpec(times=times)))
    assert not info.constant_rate
    assert info.start_pts * info.time_base == Fraction(times[0], 1000)


def test_best_stream_wins_over_a_cover_picture(tmp_path: Path) -> None:
    clip = probe(make_clip(tmp_path / "two.mkv", counted(10), ClipSpec(audio=True)))
    assert clip.codec == "h264"


def refused(path: Path, error: type[errors.VideoError]) -> str:
    with pytest.raises(error) as caught:
        probe(path)
    assert caught.value.__class__ is error
    assert str(caught.value).startswith(f"{path.name}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.advice
    return caught.value.what


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "none.mp4", errors.FileMissingError)
    refused(tmp_path, errors.FileMissingError)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "e.mp4"
    path.touch()
    assert "0 bytes" in refused(path, errors.EmptyVideoError)


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv", "t.ts", "t.txt"])
def test_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("Dear studio,\nthis is not a film.\n" * 200)
    refused(path, errors.NotAVideoError)


@pytest.mark.parametrize("seed", range(3))
def test_garbage(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "g.mp4"
    path.write_bytes(np.random.default_rng(seed).integers(0, 256, 100_000, dtype=np.uint8).tobytes())
    refused(path, errors.NotAVideoError)


def test_audio_only(tmp_path: Path) -> None:
    assert "sound" in refused(make_sound(tmp_path / "a.m4a"), errors.NoVideoStreamError)
    assert "sound" in refused(make_sound(tmp_path / "a.mp4"), errors.NoVideoStreamError)


def test_audio_with_cover_picture(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "c.mp4", cover=True)
    assert "cover picture" in refused(path, errors.NoVideoStreamError)


def test_mp4_without_its_index(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "w.mp4", counted(50)).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    assert "moov" in refused(cut, errors.TruncatedVideoError)


def test_faststart_mp4_cut_in_the_middle_says_where(tmp_path: Path, good: Path) -> None:
    cut = tmp_path / "cut.mp4"
    whole = good.read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    what = refused(cut, errors.TruncatedVideoError)
    assert "of 4.0 s" in what
    ends = float(what.split("ends at ")[1].split(" s")[0])
    assert 1.0 < ends < 3.9


def test_matroska_shorter_than_its_header_says(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "w.mkv", counted(250), ClipSpec()).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "of 10.0 s" in refused(cut, errors.TruncatedVideoError)


def test_transport_stream_cut_short_is_taken_as_it_is(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "w.ts", counted(100)).read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[: len(whole) // 2])
    assert 20 < probe(cut).frame_count < 90


def test_unknown_codec(tmp_path: Path, good: Path) -> None:
    path = tmp_path / "u.mp4"
    path.write_bytes(good.read_bytes().replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    refused(path, errors.UnsupportedCodecError)


def test_nothing_decodes(tmp_path: Path, good: Path) -> None:
    data = bytearray(good.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = b"\xff" * (len(data) - start)
    path = tmp_path / "n.mp4"
    path.write_bytes(bytes(data))
    refused(path, errors.UndecodableVideoError)


def test_video_stream_without_frames(tmp_path: Path, good: Path) -> None:
    """A header alone: the index is there and none of the data."""
    data = good.read_bytes()
    header = data[: data.index(b"mdat") - 4] + struct.pack(">I4s", 8, b"mdat")
    path = tmp_path / "h.mp4"
    path.write_bytes(header)
    refused(path, errors.TruncatedVideoError)
