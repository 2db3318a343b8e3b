"""Average-linkage agglomeration that never joins what must stay apart."""

import numpy as np

from screenalyzer.types import Bool, Float64, Int64


def agglomerate(distances: Float64, weights: Float64, apart: Bool, limit: float) -> Int64:
    """Group items bottom-up, nearest groups first, until no allowed pair is within the limit.

    The distance of two groups is the weighted mean over all their pairs (UPGMA with weights, updated by
    the formula of Lance and Williams). A pair that must stay apart is infinitely far; infinity survives
    the update, so a group inherits every prohibition of its members. With equal weights and no
    prohibition the result is that of scipy's average linkage. Each row keeps its nearest neighbour, and
    only rows that lose theirs are searched again (Muellner 2011), O(n^2) memory and nearly O(n^2) time.

    Args:
        distances: float64[n, n], symmetric, finite.
        weights: float64[n], positive.
        apart: bool[n, n], symmetric; the diagonal is ignored.
        limit: groups farther apart than this are not joined.

    Returns:
        int64[n]: the group of each item; groups are numbered by their first item.
    """
    n = len(distances)
    group = np.arange(n, dtype=np.int64)
    if n < 2:
        return group
    d = np.where(apart, np.inf, distances).astype(np.float64)
    np.fill_diagonal(d, np.inf)
    mass = weights.astype(np.float64).copy()
    nearest = d.argmin(axis=1)
    near = d[np.arange(n), nearest]
    for _ in range(n - 1):
        a = int(near.argmin())
        if near[a] > limit or not np.isfinite(near[a]):
            break
        keep, drop = sorted((a, int(nearest[a])))
        _join(d, mass, keep, drop)
        group[group == drop] = keep
        stale = np.flatnonzero((nearest == keep) | (nearest == drop) | (d[keep] < near))
        stale = stale[stale != drop]
        rows = d[stale]
        nearest[stale] = rows.argmin(axis=1)
        near[stale] = rows[np.arange(len(stale)), nearest[stale]]
        nearest[keep] = d[keep].argmin()
        near[keep] = d[keep, nearest[keep]]
        near[drop] = np.inf
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def _join(d: Float64, mass: Float64, keep: int, drop: int) -> None:
    """Make `keep` the union of both, and `drop` unreachable."""
    joined = (mass[keep] * d[keep] + mass[drop] * d[drop]) / (mass[keep] + mass[drop])
    joined[[keep, drop]] = np.inf
    d[keep], d[:, keep] = joined, joined
    d[drop], d[:, drop] = np.inf, np.inf
    mass[keep] += mass[drop]
