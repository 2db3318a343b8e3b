"""Which clusters a person should look at next to each other: they may be one."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.links import co_visible, resolve
from screenalyzer.clustering.model import Clustering
from screenalyzer.clustering.pooling import any_apart, pooled
from screenalyzer.clustering.templates import build_templates, template_distances
from screenalyzer.settings import ClusterSettings
from screenalyzer.types import Bool, Constraints, Float64, Int64, Observations, Track


class Suggestion(NamedTuple):
    """A row of merge_suggestions.parquet.

    Attributes:
        cluster_a: the one whose face was seen first.
        cluster_b: the other.
        similarity: probability that they are one person, 0..1, at equal odds beforehand.
        rank: from 1, the most expected seconds at stake first.
    """

    cluster_a: str
    cluster_b: str
    similarity: float
    rank: int


def suggest_merges(
    clustering: Clustering,
    tracks: Sequence[Track],
    obs: Observations,
    constraints: Constraints,
    cfg: ClusterSettings,
    metric: Calibration,
) -> list[Suggestion]:
    """Pairs of clusters that may be one person.

    What is at stake in a pair is the time of the shorter of the two: so much is credited to nobody, or to
    the wrong person, until the pair is joined. Pairs are ordered by that time multiplied by the probability.
    Pairs that may not be joined are never suggested: seen together, told apart, or named differently.

    Args:
        clustering: of these tracks, under these constraints.
        tracks: in any order.
        obs: what their members point into.
        constraints: people's decisions.
        cfg: settings; at most cfg.max_suggestions rows, each with at least cfg.min_suggested_similarity.
        metric: what a distance means.
    """
    place = {m.track_id: k for k, c in enumerate(clustering.clusters) for m in c.members}
    kept = sorted((t for t in tracks if t.track_id in place), key=lambda t: (t.start_ms, t.track_id))
    if len(clustering.clusters) < 2:
        return []
    cluster = np.array([place[t.track_id] for t in kept], dtype=np.int64)
    probability = metric.probability(_between(kept, obs, cluster, cfg))
    probability[_barred(clustering, kept, obs, cluster, constraints)] = 0.0
    seconds = np.bincount(cluster, [(t.end_ms - t.start_ms) / 1000 for t in kept])
    gain = probability * np.minimum(seconds[:, None], seconds[None, :])
    rows, columns = np.triu_indices(len(seconds), 1)
    order = np.lexsort((columns, rows, -gain[rows, columns]))
    likely = [(int(rows[i]), int(columns[i])) for i in order]
    likely = [(a, b) for a, b in likely if probability[a, b] >= cfg.min_suggested_similarity]
    ids = [c.cluster_id for c in clustering.clusters]
    return [
        Suggestion(ids[a], ids[b], float(probability[a, b]), rank)
        for rank, (a, b) in enumerate(likely[: cfg.max_suggestions], start=1)
    ]


def _between(tracks: Sequence[Track], obs: Observations, cluster: Int64, cfg: ClusterSettings) -> Float64:
    """Mean distance of the detections of every two clusters."""
    templates = build_templates(tracks, obs)
    distances = template_distances(templates.vectors, cfg.backend)
    count = int(cluster.max()) + 1
    mean = pooled(distances, templates.weight, cluster, cluster, (count, count))
    return np.nan_to_num(mean, nan=0.0)


def _barred(
    clustering: Clustering,
    tracks: Sequence[Track],
    obs: Observations,
    label: Int64,
    constraints: Constraints,
) -> Bool:
    """Pairs of clusters that may not be joined: bool[k, k]."""
    links = resolve([t.track_id for t in tracks], co_visible(tracks, obs), constraints)
    count = len(clustering.clusters)
    names = [c.name for c in clustering.clusters]
    barred = any_apart(links.apart[np.ix_(links.group, links.group)], label, label, (count, count))
    for a, name in enumerate(names):
        barred[a] |= np.array([name is not None and other is not None and name != other for other in names])
    for group, name in links.not_named:
        for mine in np.unique(label[links.group == group]):
            theirs = np.array([other == name for other in names])
            barred[mine, theirs] = barred[theirs, mine] = True
    return np.asarray(barred)
