"""The content is opened, the name trusted never; and whatever is opened, the service stays up."""

import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.clips import ClipSpec, make_clip, make_sound, moving_bars

from screenalyzer import errors
from services.uploads.check import CPU_S, MEMORY, CheckFailedError, Limits, check_video

MIB = 1 << 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "c.mp4"
    return make_clip(path, moving_bars(30), ClipSpec(b_frames=0)).read_bytes()


@pytest.mark.parametrize(
    ("suffix", "spec"),
    [
        ("mp4", ClipSpec()),
        ("mkv", ClipSpec(codec="libx265", pix_fmt="yuv420p10le")),
        ("webm", ClipSpec(codec="libvpx-vp9")),
        ("ts", ClipSpec(codec="mpeg2video")),
        ("mov", ClipSpec(codec="prores_ks", pix_fmt="yuv422p10le")),
    ],
)
def test_a_video_is_one_whatever_it_is_called(tmp_path: Path, suffix: str, spec: ClipSpec) -> None:
    made = make_clip(tmp_path / f"c.{suffix}", moving_bars(5, 1280, 720), spec)
    check_video(made.rename(tmp_path / "0123.part"))


def a_zip(_: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("s01e01.mp4", b"\0" * (200 * MIB))
    return file.getvalue()


def a_gzip(_: bytes) -> bytes:
    return gzip.compress(b"\0" * (200 * MIB))


def a_packed_video(clip: bytes) -> bytes:
    return gzip.compress(clip)


def a_text(_: bytes) -> bytes:
    return b"Dear studio,\nthis is not a film.\n" * 500


def a_playlist(_: bytes) -> bytes:
    return b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


def a_concat_list(_: bytes) -> bytes:
    return b"ffconcat version 1.0\nfile /etc/passwd\n"


def a_cut_one(clip: bytes) -> bytes:
    return clip[: len(clip) * 2 // 3]


def an_unknown_codec(clip: bytes) -> bytes:
    return clip.replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC")


def noise(_: bytes) -> bytes:
    return np.random.default_rng(7).integers(0, 256, MIB, dtype=np.uint8).tobytes()


def a_huge_picture(_: bytes) -> bytes:
    """A PNG of 0.8 MB that unfolds to 30000 x 9000 pixels."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(b"\0" * 90_001) for _ in range(9_000)) + packer.flush()
    head = struct.pack(">IIBBBBB", 30_000, 9_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    )


def a_packed_index(_: bytes) -> bytes:
    """An MP4 whose index is said to unfold to 4 GB (the QuickTime boxes cmov, dcom, cmvd)."""

    def box(kind: bytes, *inside: bytes) -> bytes:
        data = b"".join(inside)
        return struct.pack(">I4s", len(data) + 8, kind) + data

    packed = zlib.compress(b"\0" * (300 * MIB), 9)
    cmvd = box(b"cmvd", struct.pack(">I", 0xFFFFFF00), packed)
    return box(b"ftyp", b"qt  \0\0\0\0") + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), cmvd))


def swelling(clip: bytes, samples: int) -> bytes:
    """The clip with an index that says, in the same few bytes, that it has so many samples of one byte."""
    data = bytearray(clip)
    for kind, at, fields in ((b"stsz", 4, (1, samples)), (b"stsc", 12, (samples,)), (b"stts", 8, (samples,))):
        place = data.index(kind) + 4 + at
        data[place : place + 4 * len(fields)] = struct.pack(f">{len(fields)}I", *fields)
    return bytes(data)


def a_swelling_index(clip: bytes) -> bytes:
    return swelling(clip, 150_000_000)


BAD: list[tuple[Callable[[bytes], bytes], type[errors.VideoError]]] = [
    (a_zip, errors.NotAVideoError),
    (a_gzip, errors.NotAVideoError),
    (a_packed_video, errors.NotAVideoError),
    (a_text, errors.NotAVideoError),
    (a_playlist, errors.NotAVideoError),
    (a_concat_list, errors.NotAVideoError),
    (a_cut_one, errors.TruncatedVideoError),
    (an_unknown_codec, errors.UnsupportedCodecError),
    (noise, errors.NotAVideoError),
    (a_huge_picture, errors.NotAVideoError),
    (a_packed_index, errors.VideoError),
    (a_swelling_index, errors.EmptyVideoError),
]


# A process of its own, since the system keeps the most memory of all children of a process in one number.
CHECK = """
import resource, sys
from pathlib import Path
from screenalyzer.errors import VideoError
from services.uploads.check import check_video
try:
    check_video(Path(sys.argv[1]))
except VideoError as e:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(type(e).__name__, used.ru_utime + used.ru_stime, used.ru_maxrss << 10)
"""


@pytest.mark.parametrize(("make", "error"), BAD, ids=[m.__name__ for m, _ in BAD])
def test_what_is_no_video_is_refused_within_the_limits(
    tmp_path: Path, clip: bytes, make: Callable[[bytes], bytes], error: type[errors.VideoError]
) -> None:
    path = tmp_path / "s01e01.mp4"
    path.write_bytes(make(clip))
    told = subprocess.check_output([sys.executable, "-c", CHECK, path], text=True, timeout=90)
    kind, cpu_s, memory = told.split()
    assert issubclass(getattr(errors, kind), error)
    assert float(cpu_s) < CPU_S
    assert int(memory) < MEMORY


def test_sound_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(errors.NoVideoStreamError, match="sound"):
        check_video(make_sound(tmp_path / "a.m4a").rename(tmp_path / "a.mp4"))


def test_nothing_at_all(tmp_path: Path) -> None:
    (tmp_path / "e.mp4").touch()
    with pytest.raises(errors.EmptyVideoError):
        check_video(tmp_path / "e.mp4")
    with pytest.raises(errors.FileMissingError):
        check_video(tmp_path / "none.mp4")


def while_it_is_checked(path: Path, limits: Limits, blow: signal.Signals) -> str:
    """Strike the process of a check with a signal; returns why the file was refused."""
    with ThreadPoolExecutor(1) as pool:
        verdict = pool.submit(check_video, path, limits)
        me = psutil.Process()
        while not (found := [c for c in me.children() if str(path) in c.cmdline()]):
            assert not verdict.done()
        found[0].send_signal(blow)
        with pytest.raises(errors.NotAVideoError) as caught:
            verdict.result()
    return caught.value.what


def test_a_decoder_that_crashes_or_hangs_takes_nothing_down(tmp_path: Path, clip: bytes) -> None:
    path = tmp_path / "s01e01.mp4"
    path.write_bytes(swelling(clip, 8_000_000))  # it takes a while to open
    assert "breaks the decoder" in while_it_is_checked(path, Limits(), signal.SIGSEGV)
    began = time.monotonic()
    assert "more time" in while_it_is_checked(path, Limits(timeout_s=1), signal.SIGSTOP)
    assert time.monotonic() - began < 10


def test_a_check_ends_itself_when_nobody_waits_for_it(tmp_path: Path) -> None:
    program = f"""
from services.uploads import check
check._confine(check.Limits(timeout_s=1))
open({str(tmp_path / "pipe")!r}).read()  # nobody ever writes into it
"""
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == -signal.SIGALRM


def test_a_file_that_takes_much_computing_is_refused(tmp_path: Path, clip: bytes) -> None:
    path = tmp_path / "s01e01.mp4"
    path.write_bytes(swelling(clip, 25_000_000))
    with pytest.raises(errors.NotAVideoError, match="more time"):
        check_video(path, Limits(cpu_s=1, memory=2 << 30))


def test_a_small_index_that_unfolds_beyond_the_limit_is_refused(tmp_path: Path, clip: bytes) -> None:
    path = tmp_path / "s01e01.mp4"
    path.write_bytes(swelling(clip, 1_000_000))
    check_video(path)  # as many samples as an episode of four hours has
    with pytest.raises(errors.VideoError):
        check_video(path, Limits(memory=150 * MIB))


def test_a_check_that_does_not_run_says_nothing_about_the_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "c.mp4", moving_bars(5))
    with pytest.raises(CheckFailedError, match="to see why"):
        check_video(path, Limits(memory=8 * MIB))
