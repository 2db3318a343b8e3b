"""Frames into an H.264 file that appears whole or not at all."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import av

from screenalyzer.demo.planes import Frame
from screenalyzer.demo.script import FPS

_KEYFRAME_EVERY: Final = 2 * FPS
# superfast takes half the time of veryfast here, for twice the bytes, which are few.
_CODER: Final = {"preset": "superfast", "crf": "24", "g": str(_KEYFRAME_EVERY)}
_BT601 = 6  # as the frames are drawn; see planes.py
_TMP: Final = ".tmp"


def temporary(path: Path) -> Path:
    """Name under which this process writes a file before it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}{_TMP}")


def sweep(folder: Path) -> None:
    """Remove what writers left behind that are no longer alive."""
    for leftover in folder.glob(f".*.mp4.*{_TMP}"):
        owner = leftover.name.removesuffix(_TMP).rpartition(".")[2]
        if owner.isdigit() and not _alive(int(owner)):
            with suppress(FileNotFoundError):
                leftover.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_video(path: Path, frames: Iterable[Frame], width: int, height: int) -> None:
    """Encode frames to an MP4 with its index at the front: temporary name, flush to disk, rename.

    One encoder thread, so that the bytes do not depend on the machine's cores; episodes run side by side.
    """
    part = temporary(path)
    try:
        _encode(part, frames, width, height)
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _encode(path: Path, frames: Iterable[Frame], width: int, height: int) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as out:
        stream = out.add_stream("libx264", rate=FPS, options=dict(_CODER))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        coder = stream.codec_context
        coder.thread_count = 1
        coder.color_primaries = coder.color_trc = coder.colorspace = _BT601
        for number, frame in enumerate(frames):
            image = av.VideoFrame.from_ndarray(frame.data, format="yuv420p")
            image.pts = number
            out.mux(stream.encode(image))
        out.mux(stream.encode(None))
