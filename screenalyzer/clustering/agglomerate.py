"""Average-linkage agglomeration that never joins what must stay apart, or is far for its own spread."""

from dataclasses import dataclass

import numpy as np

from screenalyzer.types import Bool, Float64, Int64


@dataclass(frozen=True)
class Limit:
    """How far apart two groups may be and still be joined.

    A limit measured over years of press photos is loose for one evening's footage, where a person's own
    pictures lie close together and a stranger's look-alike just beyond. So each group brings its own limit:
    the general one at first, and `ratio` times its own mean spread the more the more members speak for it.
    The stricter of the two groups decides (after Felzenszwalb and Huttenlocher 2004, where the tolerance
    also shrinks from a prior to the region's own variation as the region grows).

    Attributes:
        general: distance for groups that nothing is known of, and never exceeded.
        ratio: a member this many times the group's spread away is a stranger.
        prior: so many members beyond the first weigh as much as the general limit.
    """

    general: float
    ratio: float = np.inf
    prior: float = 2.0

    def of(self, spread: float, members: int) -> float:
        """The limit of a group with this mean distance between its members."""
        if members < 2 or not np.isfinite(self.ratio):
            return self.general
        own = min(self.general, self.ratio * spread)
        known = (members - 1) / (self.prior + members - 1)
        return (1.0 - known) * self.general + known * own


def agglomerate(distances: Float64, weights: Float64, apart: Bool, limit: Limit) -> Int64:
    """Group items bottom-up, nearest groups first, until no allowed pair is within its limit.

    The distance of two groups is the weighted mean over all their pairs (UPGMA with weights, updated by
    the formula of Lance and Williams). A pair that must stay apart is infinitely far; infinity survives
    the update, so a group inherits every prohibition of its members. So it does where two groups were
    found too far for their own spread. With equal weights, no prohibition and no ratio the result is that
    of scipy's average linkage. Each row keeps its nearest neighbour, and only rows that lose theirs are
    searched again (Muellner 2011), O(n^2) memory and nearly O(n^2) time.

    Args:
        distances: float64[n, n], symmetric, finite.
        weights: float64[n], positive.
        apart: bool[n, n], symmetric; the diagonal is ignored.
        limit: how far apart groups may be.

    Returns:
        int64[n]: the group of each item; groups are numbered by their first item.
    """
    n = len(distances)
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    forest = _Forest(distances, weights, apart)
    while True:
        a = int(forest.near.argmin())
        b = int(forest.nearest[a])
        if not np.isfinite(forest.near[a]) or forest.near[a] > limit.general:
            break
        if forest.near[a] <= min(limit.of(*forest.known(a)), limit.of(*forest.known(b))):
            forest.join(*sorted((a, b)))
        else:
            forest.part(a, b)
    return np.unique(forest.group, return_inverse=True)[1].astype(np.int64)


class _Forest:
    """Groups with their distances, nearest neighbours and spreads."""

    def __init__(self, distances: Float64, weights: Float64, apart: Bool) -> None:
        n = len(distances)
        self.group = np.arange(n, dtype=np.int64)
        self._d = np.where(apart, np.inf, distances).astype(np.float64)
        np.fill_diagonal(self._d, np.inf)
        self._mass = weights.astype(np.float64).copy()
        self._count = np.ones(n, dtype=np.int64)
        self._pairs = np.zeros(n)  # sum of products of weights over pairs within a group
        self._within = np.zeros(n)  # the same, each times the pair's distance
        self.nearest = self._d.argmin(axis=1)
        self.near = self._d[np.arange(n), self.nearest]

    def known(self, a: int) -> tuple[float, int]:
        """Mean distance between the members of a group, and how many they are."""
        spread = self._within[a] / self._pairs[a] if self._pairs[a] else 0.0
        return float(spread), int(self._count[a])

    def join(self, keep: int, drop: int) -> None:
        """Make `keep` the union of both, and `drop` unreachable."""
        d, mass = self._d, self._mass
        across = mass[keep] * mass[drop]
        self._within[keep] += self._within[drop] + across * d[keep, drop]
        self._pairs[keep] += self._pairs[drop] + across
        self._count[keep] += self._count[drop]
        joined = (mass[keep] * d[keep] + mass[drop] * d[drop]) / (mass[keep] + mass[drop])
        joined[[keep, drop]] = np.inf
        d[keep], d[:, keep] = joined, joined
        d[drop], d[:, drop] = np.inf, np.inf
        mass[keep] += mass[drop]
        self.group[self.group == drop] = keep
        self._search((self.nearest == keep) | (self.nearest == drop) | (d[keep] < self.near))
        self.near[drop] = np.inf

    def part(self, a: int, b: int) -> None:
        """Keep two groups apart from now on."""
        self._d[a, b] = self._d[b, a] = np.inf
        stale = np.zeros(len(self._d), dtype=bool)
        stale[[a, b]] = True
        self._search(stale)

    def _search(self, stale: Bool) -> None:
        rows = np.flatnonzero(stale)
        self.nearest[rows] = self._d[rows].argmin(axis=1)
        self.near[rows] = self._d[rows, self.nearest[rows]]
