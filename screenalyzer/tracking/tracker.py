"""From the detections of an episode to tracks: association, then stitching within each shot."""

from itertools import pairwise
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from scipy.special import expit, logit

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.distances import cosine_to
from screenalyzer.settings import TrackSettings
from screenalyzer.tracking.associate import (
    Context,
    appearance_evidence,
    assign,
    doubles,
    mean_embedding,
    tracklets,
)
from screenalyzer.tracking.geometry import motion_evidence
from screenalyzer.tracking.spans import sample_index, stood_for, times_stood_for
from screenalyzer.types import Bool, Float64, Int64, Observations, SampleGrid, Track

_NAMESPACE = uuid5(NAMESPACE_URL, "screenalyzer:track")


def track(
    obs: Observations,
    grid: SampleGrid,
    frame_size: tuple[int, int],
    partial: Bool,
    cfg: TrackSettings,
    metric: Calibration,
) -> list[Track]:
    """Follow every face through its shot.

    A track never leaves its shot and never holds two detections of one frame. Doubles of a face belong to
    no track.

    Args:
        obs: detections, sorted by (ts_ms, det_id).
        grid: the sampled frames; every detection lies on one.
        frame_size: width and height of the frames that the boxes are measured in.
        partial: bool[n], faces cut by the frame's edge or mostly hidden.
        cfg: settings.
        metric: what a distance of this embedder means.

    Returns:
        Tracks by start and id; the same input gives the same ids.

    Raises:
        ValueError: columns of different lengths, not sorted, or off the grid.
    """
    _check(obs, partial)
    if len(obs) == 0:
        return []
    sample = sample_index(obs.ts_ms, grid)
    context = Context(sample, frame_size, metric)
    single = ~doubles(obs, sample, metric)
    found: list[Track] = []
    for scene_id in np.unique(obs.scene_id):
        rows = np.flatnonzero(single & (obs.scene_id == scene_id)).astype(np.int64)
        for members, score in _stitch(obs, tracklets(obs, rows, context), grid, context, cfg):
            found.append(_as_track(obs, grid, sample, partial, members, score))
    return sorted(found, key=lambda t: (t.start_ms, t.track_id))


def _check(obs: Observations, partial: Bool) -> None:
    if len(partial) != len(obs):
        raise ValueError(f"{len(partial)} flags of partial faces for {len(obs)} detections")
    keys = list(zip(obs.ts_ms.tolist(), obs.det_id.tolist(), strict=True))
    if any(a >= b for a, b in pairwise(keys)):
        raise ValueError("detections must be sorted by (ts_ms, det_id), and each be there once")


def _stitch(
    obs: Observations, pieces: list[Int64], grid: SampleGrid, context: Context, cfg: TrackSettings
) -> list[tuple[Int64, float]]:
    """Chain tracklets across gaps; the pieces of a chain follow one another in time, so none overlap.

    Returns:
        Rows and the weakest bridge of each chain.
    """
    if len(pieces) < 2 or cfg.max_gap_ms == 0:
        return [(p, 1.0) for p in pieces]
    evidence = _bridges(obs, pieces, grid, context, cfg)
    bridges = dict(assign(evidence, float(logit(cfg.min_stitch_score))))
    chains: list[tuple[Int64, float]] = []
    for head in sorted(set(range(len(pieces))) - set(bridges.values())):
        chain, score = [head], 1.0
        while chain[-1] in bridges:
            following = bridges[chain[-1]]
            score = min(score, float(expit(evidence[chain[-1], following])))
            chain.append(following)
        chains.append((np.concatenate([pieces[i] for i in chain]), score))
    return chains


def _bridges(
    obs: Observations, pieces: list[Int64], grid: SampleGrid, context: Context, cfg: TrackSettings
) -> Float64:
    """Evidence that piece j goes on where piece i ended: float64[p, p], minus infinity where it cannot."""
    first = np.array([p[0] for p in pieces], dtype=np.int64)
    last = np.array([p[-1] for p in pieces], dtype=np.int64)
    seen_until = times_stood_for(grid, context.sample[last])[1]
    unseen = obs.ts_ms[first][None, :] - seen_until[:, None]
    later = obs.ts_ms[first][None, :] > obs.ts_ms[last][:, None]
    possible = later & (unseen <= cfg.max_gap_ms)
    gap_s = np.maximum(obs.ts_ms[first][None, :] - obs.ts_ms[last][:, None], 0) / 1000
    means = np.stack([mean_embedding(obs, p) for p in pieces])
    distance = np.minimum(cosine_to(means, means), cosine_to(obs.embeddings[last], obs.embeddings[first]))
    evidence = motion_evidence(obs.boxes[last], obs.boxes[first], gap_s, context.frame_size)
    evidence += appearance_evidence(distance, context.metric)
    return np.where(possible, evidence, -np.inf)


def _as_track(
    obs: Observations, grid: SampleGrid, sample: Int64, partial: Bool, members: Int64, score: float
) -> Track:
    return Track(
        track_id=str(uuid5(_NAMESPACE, str(obs.det_id[members[0]]))),
        scene_id=int(obs.scene_id[members[0]]),
        start_ms=int(obs.ts_ms[members[0]]),
        end_ms=stood_for(grid, int(sample[members[-1]])).end_ms,
        members=members,
        stitch_score=score,
        mean_conf=float(obs.conf[members].mean(dtype=np.float64)),
        partial=bool(partial[members].mean() > 0.5),
    )
