"""What is known of each cluster: how sure its members are, whether it is a face, and who shows it best."""

from collections.abc import Mapping, Sequence
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from scipy.special import expit

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.evidence import Evidence
from screenalyzer.clustering.model import NOT_A_FACE, Cluster, Member, NamedBy
from screenalyzer.clustering.pooling import any_apart, pooled
from screenalyzer.types import Float32, Float64, Int64, Observations, Track

_NAMESPACE = uuid5(NAMESPACE_URL, "screenalyzer:cluster")
_HARDLY_A_FACE = 0.3
_UNSURE_MEMBER = 0.5
_BRIEF = 2  # detections
_BLURRED = 0.4  # best quality of the cluster
_FAR = 2.0  # the largest cosine distance
_CERTAIN = 30.0  # log odds beyond which nothing changes


def face_evidence(conf: Float32, quality: Float32, count: int) -> float:
    """How sure it is that a track follows a face, 0..1.

    A detector's false alarm is unsure, poor and does not last: it takes all three. One long look, one
    good picture or one confident detection is enough for a face, since leaving a person out costs the
    person, while a false alarm costs a reviewer one click. MTCNN on 460 pictures of LFW with the faces
    painted out gave 3 alarms, the most confident 0.966; of 230 faces shrunk to 42 to 60 pixels, blurred and
    made noisy, 99 in 100 had 0.994. Their quality (median 0.46) was that of the alarms (0.33 to 0.45):
    only a quality well above it speaks for a face.

    Args:
        conf: float32[k], the detector's confidence.
        quality: float32[k].
        count: of detections of the cluster.
    """
    sure = (float(conf.max()) - 0.978) / 0.004
    good = (float(quality.max()) - 0.6) / 0.05
    lasting = (count - 8) / 2.0
    return float(expit(np.logaddexp.reduce([sure, good, lasting])))


def describe(
    tracks: Sequence[Track],
    obs: Observations,
    evidence: Evidence,
    label: Int64,
    names: Mapping[int, str],
    metric: Calibration,
) -> tuple[Cluster, ...]:
    """Describe each cluster, by its earliest track.

    Args:
        tracks: by start and id.
        obs: what their members point into.
        evidence: what grouping weighed.
        label: int64[c], the cluster of each group of tracks.
        names: cluster to the name it bears.
        metric: what a distance means.
    """
    of_track = label[evidence.links.group]
    scores = member_scores(evidence, of_track, names, metric)
    by_hand = {int(label[g]) for g in evidence.links.labels}
    order = dict.fromkeys(of_track.tolist())
    return tuple(
        _describe_one(
            tracks, obs, evidence, np.flatnonzero(of_track == k), scores, _naming(k, names, by_hand)
        )
        for k in order
    )


def _naming(k: int, names: Mapping[int, str], by_hand: set[int]) -> tuple[str | None, NamedBy | None]:
    name = names.get(k)
    if name is None:
        return None, None
    return name, "person" if k in by_hand else "facebank"


def member_scores(
    evidence: Evidence, of_track: Int64, names: Mapping[int, str], metric: Calibration
) -> Float64:
    """How sure it is that each track belongs to its cluster, 0..1: float64[n].

    Three answers share the odds: the track's own cluster without it, the nearest other cluster that it
    may be in, and a stranger, at the distance where one person and two are equally likely. A track alone
    in its cluster is the stranger. What a person decided is certain.
    """
    n, k = len(of_track), int(of_track.max()) + 1
    each, group = np.arange(n), evidence.links.group
    mean = pooled(evidence.distances, evidence.templates.weight, each, of_track, (n, k))
    barred = any_apart(evidence.links.apart[np.ix_(group, group)], each, of_track, (n, k))
    own = np.fmin(mean[each, of_track], _to_kept_faces(evidence, of_track, names))
    elsewhere = np.where(barred | np.isnan(mean), _FAR, mean)
    elsewhere[each, of_track] = _FAR
    score = belonging(own, elsewhere.min(axis=1), metric)
    return np.where(evidence.links.decided, 1.0, score)


def belonging(own: Float64, other: Float64, metric: Calibration) -> Float64:
    """How sure it is that somebody belongs where they are, 0..1; see `member_scores`.

    Args:
        own: float64[n], distance to their own; NaN for somebody alone.
        other: float64[n], distance to the nearest others.
        metric: what a distance means.
    """
    theirs = np.exp(np.clip(metric.evidence(other), -_CERTAIN, _CERTAIN))
    mine = np.exp(np.clip(metric.evidence(np.nan_to_num(own, nan=_FAR)), -_CERTAIN, _CERTAIN))
    return np.where(np.isnan(own), 1.0 / (1.0 + theirs), mine / (mine + theirs + 1.0))


def _to_kept_faces(evidence: Evidence, of_track: Int64, names: Mapping[int, str]) -> Float64:
    """Distance of each track to the kept faces of the person its cluster is named after; NaN without."""
    distance = np.full(len(of_track), np.nan)
    for k, name in names.items():
        column = evidence.names.index(name)
        if evidence.kept[column] > 0:
            theirs = of_track == k
            distance[theirs] = evidence.track_to_person[theirs, column]
    return distance


def _describe_one(
    tracks: Sequence[Track],
    obs: Observations,
    evidence: Evidence,
    rows: Int64,
    scores: Float64,
    naming: tuple[str | None, NamedBy | None],
) -> Cluster:
    members = np.concatenate([tracks[i].members for i in rows])
    mean = obs.embeddings[members].mean(axis=0, dtype=np.float64)
    face = face_evidence(obs.conf[members], obs.quality[members], len(members))
    decided = bool(evidence.links.decided[rows].any())
    lengths = np.array([tracks[i].count for i in rows], dtype=np.float64)
    sure = float(np.average(scores[rows], weights=lengths))
    quality = float(obs.quality[members].max())
    reason = "" if decided else doubt_of(face, sure, quality, len(members), naming[1])
    show = rows[(scores[rows] * evidence.templates.quality[rows]).argmax()]
    return Cluster(
        cluster_id=str(uuid5(_NAMESPACE, tracks[rows[0]].track_id)),
        name=naming[0],
        named_by=naming[1],
        members=tuple(Member(tracks[i].track_id, float(scores[i])) for i in rows),
        intra_variance=max(0.0, 1.0 - float(np.linalg.norm(mean))),
        rep_det_id=str(obs.det_id[evidence.templates.best[show]]),
        face_score=1.0 if decided else face,
        low_conf=bool(reason),
        reason=reason,
    )


def doubt_of(face: float, sure: float, quality: float, count: int, named_by: NamedBy | None) -> str:
    """The first reason to ask a person, or nothing."""
    if face < _HARDLY_A_FACE and named_by is None:
        return NOT_A_FACE
    if sure < _UNSURE_MEMBER:
        return "unsure" if named_by is None else "uncertain name"
    if count <= _BRIEF and quality < _BLURRED and named_by is None:
        return "brief and blurred"
    return ""
