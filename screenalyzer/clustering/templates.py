"""One vector a track: who its face looks like, and how far that can be relied on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.distances import Backend, pairwise_cosine
from screenalyzer.types import Float32, Float64, Int64, Observations, Track
from screenalyzer.vectors import unit

_GOOD_SHARE = 0.5  # of the track's best quality: worse detections say little beside better ones


@dataclass(frozen=True)
class Templates:
    """Columns over n tracks.

    Attributes:
        vectors: float32[n, d], the mean of the good detections' unit vectors, each by its quality. Not scaled
            to length one: so 1 - a.b is the mean distance of all pairs of detections, and a threshold
            means the same for a track of one detection and of a hundred.
        quality: float64[n], 0..1: mean quality of the good detections.
        weight: float64[n], 0..1: how much the track counts in the mean of a group.
        best: int64[n], the row of the detection that stands for the track.
    """

    vectors: Float32
    quality: Float64
    weight: Float64
    best: Int64


def build_templates(tracks: Sequence[Track], obs: Observations) -> Templates:
    """Quality-weighted templates of tracks."""
    n = len(tracks)
    vectors = np.zeros((n, obs.embeddings.shape[1]), dtype=np.float32)
    quality, best = np.zeros(n), np.zeros(n, dtype=np.int64)
    for i, track in enumerate(tracks):
        q = obs.quality[track.members].astype(np.float64)
        good = track.members[q >= _GOOD_SHARE * q.max()]
        strength = obs.quality[good].astype(np.float64)
        vectors[i] = np.average(obs.embeddings[good], axis=0, weights=strength + 0.01)
        quality[i] = strength.mean()
        best[i] = track.members[(q * obs.conf[track.members]).argmax()]
    return Templates(vectors, quality, reliability(quality, np.array([t.count for t in tracks])), best)


def reliability(quality: Float64, count: Int64) -> Float64:
    """Weight of a track in the mean of a group, 0..1, from its quality and its count of detections."""
    several = 1.0 - 0.5 ** (np.asarray(count, dtype=np.float64) / 2.0)
    return np.asarray(
        np.clip(0.1 + 0.9 * np.sqrt(np.clip(quality, 0, 1)) * several, 0.1, 1.0), dtype=np.float64
    )


def template_distances(vectors: Float32, backend: Backend) -> Float64:
    """Mean cosine distance of the detections of every two tracks: float64[n, n], symmetric, diagonal zero.

    Args:
        vectors: float32[n, d], templates.
        backend: see `distances.resolve_backend`.
    """
    length = np.linalg.norm(vectors.astype(np.float64), axis=1)
    distances = 1.0 - np.outer(length, length) * (1.0 - pairwise_cosine(unit(vectors), backend))
    np.fill_diagonal(distances, 0.0)
    return np.asarray(np.clip(distances, 0.0, 2.0), dtype=np.float64)
