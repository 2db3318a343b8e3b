"""Clusters under the ids of the groups that people made, so that what is found beside them joins them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from screenalyzer.clustering.model import NOT_A_FACE, Cluster, Clustering, Member
from screenalyzer.types import Observations, Track

_NAMESPACE = uuid5(NAMESPACE_URL, "screenalyzer:group")


def regrouped(
    found: Clustering,
    group_of: Mapping[str, str],
    made: Collection[str],
    obs: Observations,
    tracks: Sequence[Track],
) -> Clustering:
    """Give clusters the ids of groups, and tracks that are no face a cluster of their group.

    A cluster that holds tracks of several groups, as of one person, has the id of the one with most
    detections. No other cluster has the id of a group that people put something into: it would pass for it.

    Args:
        found: of these tracks, under people's decisions.
        group_of: the group that people put each track into.
        made: ids of all groups that people put something into.
        obs: what the members of tracks point into.
        tracks: in any order.

    Returns:
        Every track in exactly one cluster, by their earliest tracks; each id once.
    """
    by_id = {t.track_id: t for t in tracks}
    clusters = [*found.clusters, *_not_faces(found.not_faces, group_of, by_id, obs)]
    weights = [_weights(c, group_of, by_id) for c in clusters]
    ids: dict[int, str] = {}
    taken: set[str] = set()
    for n, group in sorted(
        ((k, g) for k, w in enumerate(weights) for g in w), key=lambda o: (-weights[o[0]][o[1]], o[1])
    ):
        if n not in ids and group not in taken:
            ids[n] = group
            taken.add(group)
    for n, cluster in enumerate(clusters):
        if n not in ids:
            ids[n] = _free(cluster.cluster_id, taken | set(made))
            taken.add(ids[n])
    renamed = [replace(c, cluster_id=ids[n]) for n, c in enumerate(clusters)]
    return Clustering(tuple(sorted(renamed, key=lambda c: _begins(c, by_id))), (), found.unapplied)


def _weights(cluster: Cluster, group_of: Mapping[str, str], by_id: Mapping[str, Track]) -> Counter[str]:
    """Detections of each group that people made."""
    weights: Counter[str] = Counter()
    for track_id, _ in cluster.members:
        if track_id in group_of:
            weights[group_of[track_id]] += by_id[track_id].count
    return weights


def _free(cluster_id: str, taken: Collection[str]) -> str:
    turn, name = 1, cluster_id
    while name in taken:
        turn += 1
        name = str(uuid5(_NAMESPACE, f"{cluster_id}:{turn}"))
    return name


def _not_faces(
    track_ids: Sequence[str], group_of: Mapping[str, str], by_id: Mapping[str, Track], obs: Observations
) -> list[Cluster]:
    by_group: dict[str, list[Track]] = {}
    for track_id in track_ids:
        by_group.setdefault(group_of[track_id], []).append(by_id[track_id])
    return [_not_a_face(group, own, obs) for group, own in sorted(by_group.items())]


def _not_a_face(group: str, tracks: Sequence[Track], obs: Observations) -> Cluster:
    ordered = sorted(tracks, key=lambda t: (t.start_ms, t.track_id))
    rows = np.concatenate([t.members for t in ordered])
    mean = obs.embeddings[rows].mean(axis=0, dtype=np.float64)
    best = int((obs.quality[rows].astype(np.float64) * obs.conf[rows]).argmax())
    return Cluster(
        cluster_id=group,
        name=None,
        named_by=None,
        members=tuple(Member(t.track_id, 1.0) for t in ordered),
        intra_variance=max(0.0, 1.0 - float(np.linalg.norm(mean))),
        rep_det_id=str(obs.det_id[rows[best]]),
        face_score=0.0,
        low_conf=True,
        reason=NOT_A_FACE,
    )


def _begins(cluster: Cluster, by_id: Mapping[str, Track]) -> tuple[int, str]:
    return min((by_id[t].start_ms, t) for t, _ in cluster.members)
