"""The stream from video to faces: decode, detect, embed, and a checkpoint a chunk.

`ReadSegment` is one Ray Data operator over rows of (episode, segment). It decodes a segment, sends batches
of frames to the models and publishes each chunk's frame log and faces under names that derive from the
chunk, with a marker last. So a chunk is done once, wherever and however often the operator runs, and
memory is bounded by the batches in flight, not by the video.
"""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.episode import EMBEDDER_KEY, load_source
from pipelines.face_client import FaceClient, Reading
from pipelines.stage import explain
from screenalyzer import artifacts, schemas, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.erasure import erased
from screenalyzer.errors import FileMissingError, InferenceError, ScreenalyzerError, VideoError
from screenalyzer.faces.crops import cut_crops
from screenalyzer.faces.quality import assess
from screenalyzer.settings import Settings
from screenalyzer.storage import Selection
from screenalyzer.types import Chunk, EmbedderId, Int64, Segment, UInt8, VideoInfo
from screenalyzer.video.clock import to_ms
from screenalyzer.video.plan import plan
from screenalyzer.video.read import ChunkLog, Sample, analysis_size, read_segment
from screenalyzer.video.watchdog import Watchdog

VERSION = 1
IN_FLIGHT = 2

_FRESH_S = 60.0  # what a decoder reads of an episode beside the chunks does not change while it is read

# How often a segment is begun without a new chunk before its video is thought to break the process.
TRIES = 3

log = logging.getLogger(__name__)

_NAMESPACE = uuid.UUID("6f0d3a52-8b0e-5f4e-9a53-2c8a9c6a7d11")


def chunk_fingerprint(info: VideoInfo, chunk: Chunk, settings: Settings, embedder: EmbedderId) -> str:
    """What a chunk's files are made from."""
    return artifacts.fingerprint(
        "inference", VERSION, info.sha256, chunk.index, chunk.start_pts, chunk.end_pts,
        settings.video, settings.shots, settings.detect, settings.ray.batch_frames, str(embedder),
    )  # fmt: skip


def chunks_done(
    paths: EpisodePaths, segment: Segment, settings: Settings, embedder: EmbedderId
) -> frozenset[int]:
    """Indices of the segment's chunks whose checkpoint is there."""
    info = load_source(paths)
    return frozenset(
        c.index
        for c in segment.chunks
        if artifacts.is_done(paths.chunk_marker(c.index), chunk_fingerprint(info, c, settings, embedder))
    )


@dataclass
class _Draft:
    """Rows of the chunk that is being read, and when each part was busy with it (seconds since the epoch)."""

    rows: list[pa.Table] = field(default_factory=list)
    samples: int = 0
    first_ms: int | None = None
    reported_ms: int = 0
    decode: list[tuple[float, float]] = field(default_factory=list)
    detect: list[tuple[float, float]] = field(default_factory=list)
    embed: list[tuple[float, float]] = field(default_factory=list)

    def costs(self) -> dict[str, float]:
        """Seconds of each part, and of the time when at least one was busy."""
        return {
            "decode_s": _length(self.decode),
            "detect_s": _length(self.detect),
            "embed_s": _length(self.embed),
            "busy_s": _length(_union([*self.decode, *self.detect, *self.embed])),
        }


@dataclass(frozen=True)
class _Batch:
    """Frames on their way to the models: pts and ts_ms int64[N], frames uint8[N, H, W, 3]."""

    pts: Int64
    ts_ms: Int64
    frames: UInt8


def _length(spans: Iterable[tuple[float, float]]) -> float:
    return sum(end - start for start, end in spans)


def _union(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _for_the_first_time(_: str) -> int:
    return 1


class ReadSegment:
    """The operator."""

    def __init__(
        self,
        root: Path,
        settings: Settings,
        embedder: EmbedderId,
        client: Callable[[], FaceClient],
        report: Callable[[str, int], None],
        begin: Callable[[str], int] = _for_the_first_time,
    ) -> None:
        """Take what every row needs.

        Args:
            root: the data root.
            settings: of the run.
            embedder: id of the embedder that the client reaches.
            client: makes a client, on the worker.
            report: told the episode's key and the milliseconds of video read since the last call.
            begin: told a piece of work before it is begun; says how often it has been in this run.
        """
        self._root, self._settings, self._embedder = root, settings, embedder
        self._client, self._report, self._begin = client, report, begin

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Read segments; yields one row a chunk, or one row with an error for the segment."""
        for show, episode, number in zip(batch["show"], batch["episode"], batch["segment"], strict=True):
            paths = EpisodePaths(self._root, str(show), str(episode))
            try:
                for row in self._read(paths, int(number)):
                    yield _columns(row)
            except ScreenalyzerError as e:
                yield _columns({"key": paths.key, "error": str(e)})
            except OSError as e:
                yield _columns({"key": paths.key, "error": f"{paths.key}: {explain(e)}"})
            except Exception as e:
                log.exception("reading %s, segment %d", paths.key, number)
                yield _columns(
                    {"key": paths.key, "error": f"{paths.key}: reading failed unexpectedly: {e!r}"}
                )

    def _read(self, paths: EpisodePaths, number: int) -> Iterator[dict[str, Any]]:
        artifacts.pull(paths, within_s=_FRESH_S)
        info = load_source(paths)
        cfg = self._settings
        segment = plan(info, cfg.video)[number]
        storage.pull(Selection(paths.chunks, only=_chunk_names(paths, segment)))
        done = chunks_done(paths, segment, cfg, self._embedder)
        for index in sorted(done):  # perhaps by an operator that died before anybody heard of it
            yield {"key": paths.key, "chunk": index}
        _check_unchanged(info)
        self._check_survived(paths, info, segment, done)
        reader = _SegmentReader(paths, info, cfg, self._client(), self._report)
        stream = read_segment(
            Path(info.path), info, segment, cfg.video, cfg.shots, done, each_packet=reader.watchdog.feed
        )
        for chunk_log, draft in reader.run(stream):
            self._publish(paths, info, chunk_log, draft)
            yield {
                "key": paths.key, "chunk": chunk_log.chunk.index, "frames": len(chunk_log.frames),
                "samples": draft.samples, "faces": sum(len(t) for t in draft.rows),
                **draft.costs(),
            }  # fmt: skip

    def _check_survived(
        self, paths: EpisodePaths, info: VideoInfo, segment: Segment, done: frozenset[int]
    ) -> None:
        """Whoever began this before may have died of it; one death is no proof, since nodes die too."""
        left = [c for c in segment.chunks if c.index not in done]
        if left and self._begin(f"{paths.key} {left[0].index}") > TRIES:
            seconds = (left[0].start_pts - info.start_pts) * info.time_base
            raise InferenceError(
                f"{paths.key}: the process that reads it died {TRIES} times in a row "
                f"after {float(seconds):.0f} s of video. Look at the free memory; "
                "if that is not it, convert the video and upload it again."
            )

    def _publish(self, paths: EpisodePaths, info: VideoInfo, chunk_log: ChunkLog, draft: _Draft) -> None:
        chunk = chunk_log.chunk
        # A marker of other settings must not vouch for half of these files, should this be the last moment.
        storage.remove(paths.chunk_marker(chunk.index))
        frames, faces = paths.chunk_frames(chunk.index), paths.chunk_faces(chunk.index)
        damage = [{"start_ms": d.start_ms, "end_ms": d.end_ms, "reason": d.reason} for d in chunk_log.damage]
        artifacts.write_table(frames, chunk_log.frames, schemas.CHUNK_FRAMES)
        table = pa.concat_tables(draft.rows) if draft.rows else schemas.CHUNK_FACES.empty_table()
        table = erased.without(erased.load(paths, info.sha256), table)
        artifacts.write_table(faces, table, schemas.CHUNK_FACES, {EMBEDDER_KEY: self._embedder.to_json()})
        damage_file = paths.chunk_damage(chunk.index)
        artifacts.write_json(damage_file, damage)
        made_from = chunk_fingerprint(info, chunk, self._settings, self._embedder)
        artifacts.mark_done(paths.chunk_marker(chunk.index), made_from, [frames, faces, damage_file])


class _SegmentReader:
    """Batches the samples of a decoder's stream, asks the models, and hands out whole chunks."""

    def __init__(
        self, paths: EpisodePaths, info: VideoInfo, settings: Settings, client: FaceClient,
        report: Callable[[str, int], None],
    ) -> None:  # fmt: skip
        self._key, self._info, self._client, self._report = paths.key, info, client, report
        self._batch = settings.ray.batch_frames
        self._scale = info.height / analysis_size(info, settings.video)[1]
        self._waiting: deque[_Batch] = deque()
        self._draft = _Draft()
        self.watchdog = Watchdog()

    def run(self, stream: Iterator[Sample | ChunkLog]) -> Iterator[tuple[ChunkLog, _Draft]]:
        batch: list[Sample] = []
        while True:
            start = time.time()
            with self.watchdog:
                item = next(stream, None)
            self._draft.decode.append((start, time.time()))
            if isinstance(item, Sample):
                batch.append(item)
                if len(batch) == self._batch:
                    self._send(batch)
                    batch = []
                continue
            if batch:
                self._send(batch)
                batch = []
            self._receive(at_most=0)
            if item is None:
                return
            self._tell(self._ms(item.chunk.end_pts) - self._ms(item.chunk.start_pts))
            yield item, self._draft
            self._draft = _Draft()

    def _send(self, samples: list[Sample]) -> None:
        batch = _Batch(
            np.array([s.pts for s in samples]),
            np.array([s.ts_ms for s in samples]),
            np.stack([s.rgb for s in samples]),
        )
        self._draft.samples += len(samples)
        self._waiting.append(batch)
        self._client.submit(batch.frames)
        self._receive(at_most=IN_FLIGHT - 1)

    def _receive(self, at_most: int) -> None:
        for reading in self._client.collect(at_most):
            batch = self._waiting.popleft()
            self._draft.detect.append(reading.detect_busy)
            self._draft.embed.append(reading.embed_busy)
            if len(reading.faces):
                self._draft.rows.append(self._rows(batch, reading))
            if self._draft.first_ms is None:
                self._draft.first_ms = int(batch.ts_ms[0])
            self._tell(int(batch.ts_ms[-1]) - self._draft.first_ms)

    def _tell(self, read_ms: int) -> None:
        """Report how much of the chunk has been read, in all; what was reported before is left out."""
        if read_ms > self._draft.reported_ms:
            self._report(self._key, read_ms - self._draft.reported_ms)
            self._draft.reported_ms = read_ms

    def _ms(self, pts: int) -> int:
        return to_ms(pts, self._info.time_base)

    def _rows(self, batch: _Batch, reading: Reading) -> pa.Table:
        faces = reading.faces
        quality = assess(batch.frames, faces)
        pts = batch.pts[faces.frame]
        return pa.table(
            {
                "det_id": [
                    _det_id(self._info.sha256, int(p), b) for p, b in zip(pts, faces.boxes, strict=True)
                ],
                "pts": pts,
                "ts_ms": batch.ts_ms[faces.frame],
                "bbox": _lists(faces.boxes * self._scale, 4),
                "conf": faces.conf,
                "landmarks": _lists(faces.landmarks.reshape(len(faces), 10) * self._scale, 10),
                "sharpness": quality.sharpness,
                "size": quality.size,
                "pose": quality.pose,
                "exposure": quality.exposure,
                "visibility": quality.visibility,
                "quality": quality.quality,
                "embedding": pa.array(list(reading.embeddings), pa.list_(pa.float32())),
                "crop": cut_crops(batch.frames, faces),
            }
        ).cast(schemas.CHUNK_FACES.remove_metadata())


def _chunk_names(paths: EpisodePaths, segment: Segment) -> tuple[str, ...]:
    """Names of the files of a segment's chunks."""
    files = [
        f(c.index)
        for c in segment.chunks
        for f in (paths.chunk_frames, paths.chunk_faces, paths.chunk_damage, paths.chunk_marker)
    ]
    return tuple(f.name for f in files)


def _check_unchanged(info: VideoInfo) -> None:
    path = Path(info.path)
    if not storage.need(path):
        raise FileMissingError(path, "it was taken away while it was being processed", "Put it back.")
    if path.stat().st_size != info.size_bytes:
        raise VideoError(path, "it changed while it was being processed", "Process it when it is complete.")


def _det_id(sha256: str, pts: int, box: np.ndarray) -> str:
    """Derived from the video, the frame and where the face lies, to the quarter pixel."""
    where = ",".join(str(round(float(v) * 4)) for v in box)
    return uuid.uuid5(_NAMESPACE, f"{sha256}:{pts}:{where}").hex


def _lists(values: np.ndarray, width: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), width)


COSTS = ("frames", "samples", "faces", "decode_s", "detect_s", "embed_s", "busy_s")
_ROW = {"key": "", "error": "", "chunk": -1, **dict.fromkeys(COSTS, 0.0)}


def _columns(row: dict[str, Any]) -> dict[str, Any]:
    return {k: np.array([row.get(k, default)], dtype=type(default)) for k, default in _ROW.items()}
