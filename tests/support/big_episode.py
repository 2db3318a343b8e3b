"""A long episode as the main job leaves it, without a video of its length that anybody has to look through.

Everything is a file that the program reads: a video that can be stepped through, the sampled frames, the
faces with their pictures, tracks, and whatever the real stages make of these.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import cv2
import numpy as np
import pyarrow as pa
from support.clips import ClipSpec, make_clip, moving_bars

from pipelines.episode import EMBEDDER_KEY, Job, load_source, portable, save_tracks
from pipelines.harvest import harvest, harvest_fingerprint
from pipelines.stage import run_stage
from pipelines.stages import STAGES
from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.facebank import Face, Facebank
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId, Float32, Int64, Observations, Track
from screenalyzer.vectors import unit

EMBEDDER = EmbedderId("dlib", 128, "0" * 64)
_WIDTH, _HEIGHT, _STEP_MS, _SCENE_MS = 160, 96, 200, 4000
_A_SCENE, _LENGTH = 3, 15  # tracks in a scene, detections in a track
_SAMPLED = 3  # every so many detections of a track are kept as samples; all of the lead's
_LOOKS = 16  # different pictures of faces
_KEPT_FACES = 12  # in the facebank, of each who has a name


@dataclass(frozen=True)
class Size:
    """How much there is.

    Attributes:
        tracks: of all people; the lead is in every scene, with two others.
        people: who are on screen.
        named: of these, whom the facebank knows; not the lead.
    """

    tracks: int = 2000
    people: int = 500
    named: int = 30


def video_of(folder: Path, size: Size) -> Path:
    """A video as long as the episode: five small pictures a second."""
    pictures = itertools.cycle(list(moving_bars(24, _WIDTH, _HEIGHT)))
    count = _scenes(size) * _SCENE_MS // _STEP_MS
    spec = ClipSpec(fps=Fraction(1000, _STEP_MS), gop=20, options={"preset": "ultrafast", "crf": "48"})
    return make_clip(folder / "long.mp4", itertools.islice(pictures, count), spec)


def write_big_episode(paths: EpisodePaths, video: Path, size: Size, settings: Settings) -> None:
    """Write all that the main job writes, but for the checkpoints of the models.

    Args:
        paths: the episode, and the facebank of its show.
        video: from `video_of`.
        size: how much there is.
        settings: of the run that it seems to come from.
    """
    rng = np.random.default_rng(0)
    harvest(Job(video, paths), settings)
    owner = _owners(size, rng)
    looks = unit(rng.normal(size=EMBEDDER.dim) * 2.6 + rng.normal(size=(size.people, EMBEDDER.dim)))
    obs, track_of = _observations(owner, looks, rng)
    members = np.split(np.argsort(track_of, kind="stable"), np.cumsum(np.bincount(track_of))[:-1])
    tracks = [_track(k, m, obs) for k, m in enumerate(members)]
    _facebank(looks[1 : size.named + 1], rng).save(paths.facebank)
    _write_manifest(paths, size)
    _write_faces(paths, obs, [tracks[k].track_id for k in track_of])
    save_tracks(paths, tracks)
    _write_samples(paths, obs, tracks, owner)
    upstream = artifacts.fingerprint(harvest_fingerprint(load_source(paths), settings), str(EMBEDDER))
    for stage in STAGES[:2]:
        upstream = stage.fingerprint(paths, settings, upstream)
        artifacts.mark_done(paths.marker(stage.name), upstream, [paths.tracks, paths.embeddings])
    for stage in STAGES[2:]:
        upstream = run_stage(stage, paths, settings, upstream)


def _scenes(size: Size) -> int:
    return -(-size.tracks // _A_SCENE)


def _owners(size: Size, rng: np.random.Generator) -> Int64:
    """Who each track is: int64[tracks]; the lead first in each scene, the others in falling shares."""
    others = size.tracks - _scenes(size)
    rank = np.arange(1, size.people)
    drawn = rng.choice(rank, others - len(rank), p=1 / rank / (1 / rank).sum())
    cast = rng.permutation(np.concatenate([rank, drawn]))
    for k in range(1, others, 2):  # nobody is on screen twice at once
        if cast[k] == cast[k - 1]:
            other = int(np.flatnonzero((cast != cast[k]) & (np.roll(cast, 1) != cast[k]))[0])
            cast[k], cast[other] = cast[other], cast[k]
    owner = np.zeros(size.tracks, dtype=np.int64)
    owner[np.arange(size.tracks) % _A_SCENE > 0] = cast
    return owner


def _observations(owner: Int64, looks: Float32, rng: np.random.Generator) -> tuple[Observations, Int64]:
    """All faces by time, and the number of the track of each: int64[n]."""
    count = len(owner)
    track_of = np.repeat(np.arange(count), _LENGTH)
    place = track_of % _A_SCENE
    ts = (track_of // _A_SCENE) * _SCENE_MS + np.tile(np.arange(_LENGTH), count) * _STEP_MS
    ts += 400 * place  # they do not come and go at once
    own = unit(looks[owner] + rng.normal(scale=0.02, size=(count, EMBEDDER.dim)))[track_of]
    left = 4.0 + 50 * place + np.tile(np.arange(_LENGTH), count)
    boxes = np.stack([left, np.full(len(ts), 30.0), left + 36, np.full(len(ts), 72.0)], axis=1)
    corners = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    landmarks = boxes[:, None, :2] + corners * (36, 42)
    order = np.lexsort((track_of, ts))
    det_id = np.array([uuid5(NAMESPACE_OID, f"face {n}").hex for n in range(len(ts))])
    # Rows of one moment lie by their ids, as the detections of an episode do.
    order = order[np.lexsort((det_id[order], ts[order]))]
    obs = Observations(
        det_id=det_id[order],
        frame_index=ts[order] // _STEP_MS,
        ts_ms=ts[order],
        scene_id=(track_of[order] // _A_SCENE).astype(np.int32),
        boxes=boxes[order].astype(np.float32),
        conf=np.full(len(ts), 0.99, np.float32),
        landmarks=landmarks[order].astype(np.float32),
        quality=rng.uniform(0.3, 0.9, len(ts)).astype(np.float32),
        embeddings=unit(own[order] + rng.normal(scale=0.01, size=own.shape)).astype(np.float32),
    )
    return obs, track_of[order]


def _track(number: int, members: Int64, obs: Observations) -> Track:
    return Track(
        track_id=str(uuid5(NAMESPACE_OID, f"track {number}")),
        scene_id=number // _A_SCENE,
        start_ms=int(obs.ts_ms[members[0]]),
        end_ms=int(obs.ts_ms[members[-1]]) + _STEP_MS,
        members=members,
        stitch_score=1.0,
        mean_conf=0.99,
        partial=number % 11 == 0,
    )


def _write_manifest(paths: EpisodePaths, size: Size) -> None:
    info, scenes = load_source(paths), _scenes(size)
    ts = np.arange(0, scenes * _SCENE_MS, _STEP_MS)
    columns = {"frame_index": np.arange(len(ts)), "ts_ms": ts, "scene_id": ts // _SCENE_MS}
    artifacts.write_table(paths.manifest, pa.table(columns), schemas.MANIFEST)
    shots = [{"scene_id": k, "start_ms": k * _SCENE_MS, "end_ms": (k + 1) * _SCENE_MS} for k in range(scenes)]
    source = {
        "path": portable(paths, info.path),
        "sha256": info.sha256,
        "size_bytes": info.size_bytes,
    }
    artifacts.write_json(
        paths.manifest_json,
        {
            "show": paths.show, "episode": paths.episode, "source": source, "container": info.container,
            "codec": info.codec, "width": info.width, "height": info.height, "fps": 1000 / _STEP_MS,
            "frame_count": len(ts), "start_ms": 0, "duration_ms": scenes * _SCENE_MS, "shots": shots,
            "missing": [],
        },
    )  # fmt: skip


def _write_faces(paths: EpisodePaths, obs: Observations, track_ids: list[str]) -> None:
    """The detections and their embeddings."""
    shared = {
        "det_id": obs.det_id.tolist(), "ts_ms": obs.ts_ms, "bbox": obs.boxes.tolist(), "conf": obs.conf,
        "quality": obs.quality,
    }  # fmt: skip
    found = {
        **shared, "frame_index": obs.frame_index, "scene_id": obs.scene_id,
        "landmarks": obs.landmarks.reshape(len(obs), 10).tolist(),
    }  # fmt: skip
    part = paths.detections / "part-00000.parquet"
    artifacts.write_table(part, pa.table(found).select(schemas.DETECTIONS.names), schemas.DETECTIONS)
    vectors = {**shared, "track_id": track_ids, "embedding": list(obs.embeddings)}
    artifacts.write_table(
        paths.embeddings, pa.table(vectors).select(schemas.EMBEDDINGS.names), schemas.EMBEDDINGS,
        {EMBEDDER_KEY: EMBEDDER.to_json()},
    )  # fmt: skip


def _write_samples(paths: EpisodePaths, obs: Observations, tracks: list[Track], owner: Int64) -> None:
    """The list of kept pictures, and these: a few, each under many names."""
    paths.crops.mkdir(parents=True)
    pictures = [paths.crops.parent / f"look-{n:02d}.jpg" for n in range(_LOOKS)]
    for picture, data in zip(pictures, _faces(), strict=True):
        artifacts.write_bytes(picture, data)
    rows = []
    for track, who in zip(tracks, owner, strict=True):
        for row in track.members[:: _SAMPLED if who else 1]:
            crop = paths.crops / f"{obs.det_id[row]}.jpg"
            crop.hardlink_to(pictures[int(who) % _LOOKS])
            quality = round(float(obs.quality[row]), 4)
            rows.append((track.track_id, int(obs.ts_ms[row]), paths.relative(crop), quality, "spread"))
    for picture in pictures:
        picture.unlink()
    artifacts.write_csv(paths.selected_samples, ("track_id", "ts_ms", "crop_path", "quality", "reason"), rows)


def _faces() -> Iterator[bytes]:
    """Pictures of 160 x 160 with a face's colours, as JPEG."""
    rng = np.random.default_rng(1)
    for _ in range(_LOOKS):
        low = rng.integers(40, 215, (4, 4, 3), dtype=np.uint8)
        yield cv2.imencode(".jpg", cv2.resize(low, (160, 160), interpolation=cv2.INTER_CUBIC))[1].tobytes()


def _facebank(looks: Float32, rng: np.random.Generator) -> Facebank:
    """What the show has kept of some people from an episode before."""
    crop = next(_faces())
    box = np.array([40, 40, 120, 120], np.float32)
    landmarks = np.array([(60, 70), (100, 70), (80, 90), (65, 105), (95, 105)], np.float32)
    people = {}
    for number, look in enumerate(looks, start=1):
        vectors = unit(look + rng.normal(scale=0.02, size=(_KEPT_FACES, EMBEDDER.dim))).astype(np.float32)
        people[f"Player {number:02d}"] = tuple(
            Face("before", f"kept-{number}", f"kept-{number}-{k}", v, crop, box, landmarks)
            for k, v in enumerate(vectors)
        )
    return Facebank(EMBEDDER, people)
