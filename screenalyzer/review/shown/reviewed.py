"""The review in the shape that clustering has, for the files that follow it."""

from screenalyzer.clustering.model import Cluster, Clustering, Member, NamedBy
from screenalyzer.review.grouping import Group
from screenalyzer.review.ratings import Ratings
from screenalyzer.review.state import State

BACKGROUND = "background"


def reviewed_clustering(state: State, ratings: Ratings) -> Clustering:
    """Groups as clusters, by their earliest piece; tracks that are wholly no face are listed apart.

    Members are pieces: their ids are those of parts too. An extra in the background has no name, and the
    reason `BACKGROUND`.
    """
    groups = state.grouping.groups.values()
    no_face = [g for g in groups if g.mark == "not_face"]
    dropped = {state.grouping.pieces[p].track_id for g in no_face for p in g.pieces}
    others = [g for g in groups if g.mark != "not_face"]
    clusters = tuple(_cluster(g, state, ratings) for g in others)
    kept = {state.grouping.pieces[p].track_id for g in others for p in g.pieces}
    return Clustering(clusters, tuple(sorted(dropped - kept)))


def _cluster(g: Group, state: State, ratings: Ratings) -> Cluster:
    rating = ratings.groups[g.group_id]
    reason = BACKGROUND if g.mark is not None else rating.reason
    return Cluster(
        cluster_id=g.group_id,
        name=None if g.person is None else state.cast.name(g.person),
        named_by=_named_by(g, state),
        members=tuple(Member(p, ratings.score[p]) for p in g.pieces),
        intra_variance=rating.variance,
        rep_det_id=rating.rep_det_id,
        face_score=rating.face_score,
        low_conf=g.mark is None and bool(reason),
        reason=reason,
    )


def _named_by(g: Group, state: State) -> NamedBy | None:
    if g.person is None:
        return None
    by_hand = g.by_hand and not state.grouping.pinned.isdisjoint(g.pieces)
    return "person" if by_hand else "facebank"
