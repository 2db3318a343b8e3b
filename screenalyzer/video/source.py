"""Open a video file, or say in one sentence why it cannot be."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from screenalyzer.errors import (
    EmptyVideoError,
    FileMissingError,
    NotAVideoError,
    NoVideoStreamError,
    TruncatedVideoError,
    UnsupportedCodecError,
)

_ADVICE = "Give a video such as MP4, MOV, MKV, WebM or TS"
COPY_AGAIN = "The copy or upload broke off: copy or upload it again"
_NO_INDEX = "the file is cut short: its index (moov) is missing"
_MOST_FAILURES = 100  # reads in a row that fail before the rest of a file is given up
_MP4_BOXES = (b"ftyp", b"mdat", b"moov", b"wide", b"free", b"skip")
# FFmpeg draws text and pictures as video; nobody's episode is one.
_NOT_MEDIA = frozenset(
    [
        "tty", "ansi", "bin", "xbin", "idf", "adf", "srt", "webvtt", "ass", "subviewer", "sami",
        "microdvd", "ffmetadata", "concat", "image2", "image2pipe", "png_pipe", "jpeg_pipe", "gif",
        "webp_pipe", "bmp_pipe", "tiff_pipe", "svg_pipe", "jpegls_pipe", "j2k_pipe", "mpjpeg",
        "lrc", "hls",
    ]
)  # fmt: skip


def open_video(path: Path) -> InputContainer:
    """Open a container.

    Raises:
        FileMissingError: there is no such file, or it is a folder.
        EmptyVideoError: it has no bytes.
        TruncatedVideoError: an MP4 or MOV whose index is missing.
        NotAVideoError: nothing that can be opened as media.
    """
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "there is no such file"
        raise FileMissingError(path, what, "Check the path")
    if path.stat().st_size == 0:
        raise EmptyVideoError(path, "the file is empty (0 bytes)", "Copy or upload it again")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as e:
        if _index_missing(path):
            raise TruncatedVideoError(path, _NO_INDEX, COPY_AGAIN) from e
        raise NotAVideoError(path, "this is not a video file, or its header is damaged", _ADVICE) from e
    if container.format.name in _NOT_MEDIA:
        container.close()
        raise NotAVideoError(path, "this is a text or picture file, not a video", _ADVICE)
    return container


def pick_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream to analyse: default first, then the largest; never a cover picture.

    Raises:
        NoVideoStreamError: sound or pictures alone.
        UnsupportedCodecError: this build has no decoder for it.
    """
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        cover = " but a cover picture" if container.streams.video else ""
        sound = "sound" if container.streams.audio else "data"
        raise NoVideoStreamError(path, f"it holds {sound} and no moving pictures{cover}", _ADVICE)
    usable = [s for s in moving if _decodable(s)]
    if not usable:
        raise UnsupportedCodecError(path, "this program cannot decode its video codec", "Convert it to H.264")
    default = Disposition.default
    return max(usable, key=lambda s: (bool(s.disposition & default), s.width * s.height, -s.index))


def _decodable(stream: Stream) -> bool:
    context: object = stream.codec_context  # typed as always there; None where there is no decoder
    return context is not None


def video_stream(container: InputContainer, index: int, threads: int) -> VideoStream:
    """The stream that the probe chose, set to decode with a bounded number of threads."""
    stream = next(s for s in container.streams.video if s.index == index)
    stream.thread_count = threads
    if threads > 1:
        stream.thread_type = "AUTO"
    return stream


def _index_missing(path: Path) -> bool:
    """Whether a file begins like an MP4 or MOV and holds no whole `moov` box: it was cut before its end."""
    size = path.stat().st_size
    seen: set[bytes] = set()
    with path.open("rb") as f:
        at = 0
        while at + 8 <= size:
            f.seek(at)
            head = f.read(16)
            length, kind = struct.unpack(">I4s", head[:8])
            if not seen and kind not in _MP4_BOXES:
                return False
            seen.add(kind)
            if length == 1 and len(head) == 16:
                length = struct.unpack(">Q", head[8:])[0]
            if kind == b"moov":
                return bool(at + length > size)
            if length < 8:
                break
            at += length
    return b"ftyp" in seen or b"mdat" in seen


def read_packets(container: InputContainer, streams: Sequence[Stream]) -> "Iterator[Packet[Stream]]":
    """Packets of some streams in file order, reading on after damage; end-of-stream marks are left out."""
    failures = 0
    while failures < _MOST_FAILURES:
        try:
            for packet in container.demux(*streams):
                failures = 0
                if packet.size or packet.dts is not None:
                    yield packet
        except av.FFmpegError:
            failures += 1
        else:
            return
