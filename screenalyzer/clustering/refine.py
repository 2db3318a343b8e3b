"""A second look at each group of tracks once all clusters are known."""

from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.pooling import any_apart, pooled
from screenalyzer.types import Bool, Float64, Int64


@dataclass(frozen=True)
class Grouped:
    """Columns over c groups of tracks that decisions bind.

    Attributes:
        distances: float64[c, c], mean distance of their detections; the diagonal is not used.
        weight: float64[c], positive.
        quality: float64[c], 0..1.
        apart: bool[c, c], pairs that are never one person.
        decided: bool[c], groups that a person joined or labelled.
    """

    distances: Float64
    weight: Float64
    quality: Float64
    apart: Bool
    decided: Bool


def refine(groups: Grouped, label: Int64, fixed: Bool, metric: Calibration) -> Int64:
    """Give single groups a second chance.

    Moving groups that agglomeration joined early to a cluster that became nearer changed nothing in any of
    the measured casts, so it is not done.

    Args:
        groups: what is known of them.
        label: int64[c], the cluster of each.
        fixed: bool[c], groups that stay where they are, as those that a person or the facebank named.
        metric: limits.

    Returns:
        int64[c]: a new clustering within the same prohibitions, with the same numbers.
    """
    label = label.copy()
    movable = ~fixed & ~groups.decided
    _attach(groups, label, movable, metric)
    return label


def reconsider(
    groups: Grouped, label: Int64, guessed: Bool, to_person: Float64, metric: Calibration
) -> Int64:
    """Take back names that the facebank gave to single groups, where the episode knows better.

    A face was held against a person's few kept ones before anything was grouped. Where it then lies clearly
    nearer to an unnamed cluster than to the person, on screen and kept, it is of that cluster.

    Args:
        groups: what is known of them.
        label: int64[c], the cluster of each.
        guessed: bool[c], groups that the facebank named and no person did.
        to_person: float64[c], distance to the kept faces of the person that a group was taken for.
        metric: limits.

    Returns:
        int64[c]: a new clustering within the same prohibitions, with the same numbers.
    """
    label = label.copy()
    mean, barred = to_clusters(groups, label)
    each = np.arange(len(label))
    own = np.fmin(mean[each, label], to_person)
    other = np.where(barred | np.isnan(mean), np.inf, mean)
    other[each, label] = np.inf
    nearest = other.min(axis=1)
    wants = guessed & (nearest <= metric.link) & (own - np.minimum(nearest, 2.0) >= metric.margin)
    for g in np.flatnonzero(wants)[np.argsort(nearest[wants], kind="stable")]:
        target = int(other[g].argmin())
        if not groups.apart[g, label == target].any():
            label[g] = target
    return label


def to_clusters(groups: Grouped, label: Int64) -> tuple[Float64, Bool]:
    """Mean distance of each group to each cluster without itself (NaN: nobody else), and if it is barred."""
    c, k = len(label), int(label.max()) + 1
    each = np.arange(c)
    distances = np.where(np.isnan(groups.distances), 0.0, groups.distances)
    np.fill_diagonal(distances, 0.0)
    mean = pooled(distances, groups.weight, each, label, (c, k))
    return mean, any_apart(groups.apart, each, label, (c, k))


def _attach(groups: Grouped, label: Int64, movable: Bool, metric: Calibration) -> None:
    """Single groups join the one cluster that is near by the looser limit, nearest first. Changes `label`.

    The poorer the picture, the farther it lies from its own person: the looser limit is for the poor.
    """
    mean, barred = to_clusters(groups, label)
    size = np.bincount(label)
    each = np.arange(len(label))
    other = np.where(barred | np.isnan(mean), np.inf, mean)
    other[each, label] = np.inf
    other[:, size < 2] = np.inf  # two strays do not make a person
    limit = metric.link + (metric.attach - metric.link) * np.clip(2.0 * (1.0 - groups.quality), 0.0, 1.0)
    ranked = np.sort(other, axis=1)
    second = ranked[:, 1] if ranked.shape[1] > 1 else np.full(len(label), np.inf)
    clear = np.where(np.isfinite(second), second, 2.0) - np.minimum(ranked[:, 0], 2.0) >= metric.margin
    wants = movable & (size[label] == 1) & (ranked[:, 0] <= limit) & clear
    for g in np.argsort(ranked[:, 0], kind="stable"):
        target = int(other[g].argmin())
        if wants[g] and not groups.apart[g, label == target].any():
            label[g] = target
