"""Which detections of one shot are one face, from one sampled frame to the next."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.distances import cosine_to
from screenalyzer.tracking.geometry import motion_evidence, same_face
from screenalyzer.types import Bool, Float64, Int64, Observations
from screenalyzer.vectors import unit

_APPEARANCE_CAP = (-12.0, 6.0)
_MEMORY = 25  # detections that a running tracklet is known by


@dataclass(frozen=True)
class Context:
    """What association needs to know beside the detections.

    Attributes:
        sample: int64[n], position of each detection on the sample grid.
        frame_size: width and height, in pixels.
        metric: what a distance of embeddings means.
    """

    sample: Int64
    frame_size: tuple[int, int]
    metric: Calibration


def doubles(obs: Observations, sample: Int64, metric: Calibration) -> Bool:
    """Detections that repeat a stronger one of the same frame and face: bool[n].

    Stronger is the higher product of confidence and quality.
    """
    repeated = np.zeros(len(obs), dtype=bool)
    strength = obs.conf.astype(np.float64) * (0.1 + obs.quality)
    for rows in frames_of(sample, np.arange(len(obs))):
        if len(rows) < 2:
            continue
        alike = metric.evidence(cosine_to(obs.embeddings[rows], obs.embeddings[rows])) > 0
        same = same_face(obs.boxes[rows], obs.landmarks[rows], alike)
        kept: list[int] = []
        for i in sorted(range(len(rows)), key=lambda i: (-strength[rows[i]], obs.det_id[rows[i]])):
            if same[i, kept].any():
                repeated[rows[i]] = True
            else:
                kept.append(i)
    return repeated


def frames_of(sample: Int64, rows: Int64) -> list[Int64]:
    """Rows by sampled frame, in time; rows are ascending in time."""
    return np.split(rows, np.flatnonzero(np.diff(sample[rows])) + 1) if len(rows) else []


def tracklets(obs: Observations, rows: Int64, context: Context) -> list[Int64]:
    """Follow faces through one shot without bridging any gap.

    Evidence of place and of appearance add up as log likelihood ratios; the assignment with the most
    evidence wins (Kuhn 1955), and pairs with evidence against them stay unmatched.

    Args:
        obs: the episode's detections.
        rows: detections of one shot, ascending in time, without doubles.
        context: see there.

    Returns:
        Rows of each tracklet, ascending in time; in order of their first row.
    """
    done: list[list[int]] = []
    active: list[list[int]] = []
    for frame in frames_of(context.sample, rows):
        at = context.sample[frame[0]]
        active = [t for t in active if context.sample[t[-1]] == at - 1]
        matched = _match(obs, active, frame, context)
        following: list[list[int]] = []
        for column, row in enumerate(frame):
            if column in matched:
                tracklet = active[matched[column]]
                tracklet.append(int(row))
            else:
                tracklet = [int(row)]
                done.append(tracklet)
            following.append(tracklet)
        active = following
    return [np.array(t, dtype=np.int64) for t in done]


def _match(obs: Observations, active: list[list[int]], frame: Int64, context: Context) -> dict[int, int]:
    """Column of the frame to index of the active tracklet."""
    if not active:
        return {}
    last = np.array([t[-1] for t in active], dtype=np.int64)
    gap_s = (obs.ts_ms[frame][None, :] - obs.ts_ms[last][:, None]) / 1000
    means = np.stack([mean_embedding(obs, np.array(t[-_MEMORY:], dtype=np.int64)) for t in active])
    looks = obs.embeddings[frame]
    distance = np.minimum(cosine_to(obs.embeddings[last], looks), cosine_to(means, looks))
    evidence = motion_evidence(obs.boxes[last], obs.boxes[frame], gap_s, context.frame_size)
    evidence += appearance_evidence(distance, context.metric)
    return {int(j): int(i) for i, j in assign(evidence, 0.0)}


def appearance_evidence(distance: Float64, metric: Calibration) -> Float64:
    """Log likelihood ratio of one person, bounded: no single pair of pictures is ever certain."""
    return np.asarray(np.clip(metric.evidence(distance), *_APPEARANCE_CAP), dtype=np.float64)


def assign(evidence: Float64, floor: float) -> list[tuple[int, int]]:
    """One-to-one pairs with the most evidence over the floor in sum; pairs at or below it stay free."""
    gain = np.maximum(evidence - floor, 0.0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if gain[i, j] > 0]


def mean_embedding(obs: Observations, rows: Int64) -> Float64:
    """Mean direction of some detections, each by its quality: unit float64[d]."""
    weight = 0.05 + obs.quality[rows].astype(np.float64)
    return unit((weight[:, None] * obs.embeddings[rows]).sum(axis=0)).astype(np.float64)
