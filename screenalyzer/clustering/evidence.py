"""Everything that grouping weighs, gathered once."""

from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.links import Links
from screenalyzer.clustering.pooling import membership, pooled
from screenalyzer.clustering.refine import Grouped
from screenalyzer.clustering.templates import Templates
from screenalyzer.types import Bool, Float64, Int64


@dataclass(frozen=True)
class Evidence:
    """Everything that grouping weighs, over n tracks in c groups and p names.

    Attributes:
        templates: of the tracks.
        distances: float64[n, n] of the tracks.
        links: constraints over the groups.
        names: the p people, sorted.
        kept: float64[p], how much each person's kept faces count.
        track_to_person: float64[n, p], distance to each person's kept faces; infinite without.
    """

    templates: Templates
    distances: Float64
    links: Links
    names: tuple[str, ...]
    kept: Float64
    track_to_person: Float64

    @property
    def group_weight(self) -> Float64:
        """float64[c]."""
        return sums_by_group(self.links.group, self.templates.weight, len(self.links.apart))

    def grouped(self, apart: Bool) -> Grouped:
        """The same at the level of groups, as refinement wants it."""
        group, c = self.links.group, len(self.links.apart)
        count = np.bincount(group, minlength=c)
        quality = sums_by_group(group, self.templates.quality, c) / np.maximum(count, 1)
        between = pooled(self.distances, self.templates.weight, group, group, (c, c))
        decided = np.bincount(group, self.links.decided, minlength=c) > 0
        return Grouped(between, self.group_weight, quality, apart, decided)

    def group_to_person(self) -> Float64:
        """Weighted mean over each group's tracks: float64[c, p]."""
        pool = membership(self.links.group, len(self.links.apart), self.templates.weight)
        reach = np.isfinite(self.track_to_person).all(axis=0) if len(self.track_to_person) else self.kept > 0
        mean = (pool @ np.where(reach, self.track_to_person, 0.0)) / self.group_weight[:, None]
        return np.where(reach, mean, np.inf)


def sums_by_group(group: Int64, values: Float64, count: int) -> Float64:
    """Sum of values by group: float64[count]."""
    return np.bincount(group, values, minlength=count).astype(np.float64)
