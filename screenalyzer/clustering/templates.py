"""One vector a track: who its face looks like, and how far that can be relied on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.distances import Backend, pairwise_cosine
from screenalyzer.types import Float32, Float64, Int64, Observations, Track
from screenalyzer.vectors import unit

_GOOD_SHARE = 0.5  # of the track's best quality: worse detections say little beside better ones
_AT_ONCE = 1 << 21  # numbers of vectors


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
    """Quality-weighted templates of tracks; what one is like does not depend on which others there are."""
    n, dim = len(tracks), obs.embeddings.shape[1]
    vectors, quality = np.zeros((n, dim), dtype=np.float32), np.zeros(n)
    count = np.array([t.count for t in tracks], dtype=np.int64)
    if n == 0:
        return Templates(vectors, quality, np.zeros(0), np.zeros(0, dtype=np.int64))
    rows, starts = np.concatenate([t.members for t in tracks]), np.cumsum(count) - count
    owner = np.repeat(np.arange(n), count)
    q = obs.quality[rows].astype(np.float64)
    good = q >= _GOOD_SHARE * np.maximum.reduceat(q, starts)[owner]
    show = q * obs.conf[rows]
    finest = np.flatnonzero(show == np.maximum.reduceat(show, starts)[owner])
    best = rows[finest[np.unique(owner[finest], return_index=True)[1]]]
    rows, several = rows[good], np.bincount(owner[good], minlength=n)
    starts = np.cumsum(several) - several
    for same, size in _blocks(several, dim):
        chosen = rows[starts[same][:, None] + np.arange(size)]
        strength = obs.quality[chosen].astype(np.float64)
        weight = strength + 0.01
        sums = (obs.embeddings[chosen] * weight[:, :, None]).sum(axis=1)
        vectors[same] = sums / weight.sum(axis=1)[:, None]
        quality[same] = strength.mean(axis=1)
    return Templates(vectors, quality, reliability(quality, count), best)


def _blocks(several: Int64, dim: int) -> Iterator[tuple[Int64, int]]:
    """Positions of tracks that have equally many good detections, not too many at once, and how many."""
    for size in np.unique(several).tolist():
        same = np.flatnonzero(several == size)
        step = max(1, _AT_ONCE // (size * dim))
        for k in range(0, len(same), step):
            yield same[k : k + step], size


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
