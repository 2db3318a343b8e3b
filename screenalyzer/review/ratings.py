"""How sure it is that each piece is where it is, and what is known of each group."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from screenalyzer.clustering.model import Cluster, NamedBy
from screenalyzer.clustering.rating import belonging, doubt_of, face_evidence
from screenalyzer.review.cast import Cast
from screenalyzer.review.grouping import Group, Grouping
from screenalyzer.review.likeness import STEPS, Likeness
from screenalyzer.review.model import Base
from screenalyzer.review.pieces import Piece
from screenalyzer.types import Bool, Float64, Int64

FAR = 2.0  # the largest cosine distance
_SCORE_DECIMALS = 6


class GroupRating(NamedTuple):
    """What is known of a group; see `Cluster`."""

    variance: float
    rep_det_id: str
    face_score: float
    reason: str


class Ratings(NamedTuple):
    """Of all pieces and groups.

    Attributes:
        score: by piece, 0..1.
        groups: by group.
    """

    score: dict[str, float]
    groups: dict[str, GroupRating]


class Rater:
    """Rates pieces and groups. What nobody touched keeps what the stages gave it.

    A group that is just a cluster as it was found, of which nobody said who it is not, keeps the cluster's
    ratings. In every other group the
    pieces that nobody decided on are held against their own person and against everybody else, as `cluster`
    does; of a person with several groups the nearest one speaks.
    """

    def __init__(self, base: Base) -> None:
        """Remember what the stages gave."""
        self._base = base
        self._cluster: dict[str, Cluster] = {c.cluster_id: c for c in base.clustering.clusters}
        self._found = {m.track_id: m.score for c in base.clustering.clusters for m in c.members}
        self._memo: dict[str, tuple[tuple[object, ...], GroupRating]] = {}

    def rate(self, grouping: Grouping, like: Likeness, cast: Cast) -> Ratings:
        """Everything as it stands."""
        score: dict[str, float] = {}
        unsure: list[str] = []
        told = _told(grouping)
        for g in grouping.groups.values():
            for p in g.pieces:
                if p in grouping.pinned:
                    score[p] = 1.0
                elif _as_found(g, grouping, told):
                    score[p] = self._found[p]
                else:
                    unsure.append(p)
        if unsure:
            values = self._computed(unsure, grouping, like, cast)
            score.update(zip(unsure, values.tolist(), strict=True))
        groups = {g.group_id: self._group(g, grouping, score, like, told) for g in grouping.groups.values()}
        return Ratings(score, groups)

    def _computed(self, pieces: Sequence[str], grouping: Grouping, like: Likeness, cast: Cast) -> Float64:
        rows = np.array([like.row_of[p] for p in pieces], dtype=np.int64)
        groups = list(grouping.groups.values())
        slots = np.array([like.slot_of[g.group_id] for g in groups], dtype=np.int64)
        number = {e: k for k, e in enumerate(grouping.entities)}
        entity = np.array([number[grouping.entity_of[g.group_id]] for g in groups], dtype=np.int64)
        place = {g.group_id: k for k, g in enumerate(groups)}
        column = np.array([place[grouping.group_of[p]] for p in pieces], dtype=np.int64)
        mine = entity[column][:, None] == entity[None, :]
        sums = like.sums[np.ix_(rows, slots)].astype(np.float64)
        mass = np.repeat(like.mass[slots][None, :], len(rows), axis=0)
        each = np.arange(len(rows))
        mass[each, column] -= like.weight[rows]  # a piece is not held against itself
        mean = np.divide(sums, mass * float(STEPS), out=np.full(sums.shape, np.inf), where=mass > 0)
        own = np.where(mine, mean, np.inf).min(axis=1)
        own = np.minimum(own, self._to_kept(pieces, rows, grouping, like, cast))
        other = mean
        other[mine | self._barred(pieces, rows, slots, groups, grouping, like)] = FAR
        nearest = np.minimum(other.min(axis=1), FAR)
        scores = belonging(np.where(np.isinf(own), np.nan, own), nearest, self._base.metric)
        return np.round(scores, _SCORE_DECIMALS)

    def _to_kept(
        self, pieces: Sequence[str], rows: Int64, grouping: Grouping, like: Likeness, cast: Cast
    ) -> Float64:
        """Distance of each piece to the kept faces of the person whose it is; infinite without."""
        found = np.full(len(rows), np.inf)
        if self._base.gallery is None:
            return found
        to_kept = like.to_kept(rows)
        whose = [grouping.groups[grouping.group_of[p]].person for p in pieces]
        for k, name in enumerate(self._base.gallery.names):
            person = cast.by_name(name)
            theirs = np.array([person is not None and w == person for w in whose], dtype=bool)
            found[theirs] = np.minimum(found[theirs], to_kept[theirs, k])
        return found

    def _barred(
        self,
        pieces: Sequence[str],
        rows: Int64,
        slots: Int64,
        groups: Sequence[Group],
        grouping: Grouping,
        like: Likeness,
    ) -> Bool:
        """Groups that a piece can never be in: bool[pieces, groups]."""
        barred = like.seen_with[np.ix_(rows, slots)] > 0
        barred[:, [g.mark == "not_face" for g in groups]] = True
        row_at = {p: k for k, p in enumerate(pieces)}
        theirs = np.array([grouping.entity_of_piece(p) for p in pieces])
        entity = np.array([grouping.entity_of[g.group_id] for g in groups])
        for a, b in grouping.apart:
            for one, other in ((a, b), (b, a)):
                rows_of = theirs == grouping.entity_of_piece(one)
                barred[np.ix_(rows_of, entity == grouping.entity_of_piece(other))] = True
        for p, people in grouping.nots.items():
            if p in row_at:
                barred[row_at[p], [g.person in people for g in groups]] = True
        return np.asarray(barred)

    def _group(
        self,
        g: Group,
        grouping: Grouping,
        score: dict[str, float],
        like: Likeness,
        told: frozenset[str],
    ) -> GroupRating:
        decided = not grouping.pinned.isdisjoint(g.pieces)
        if _as_found(g, grouping, told):
            c = self._cluster[g.group_id]
            reason, face = ("", 1.0) if decided else (c.reason, c.face_score)
            return GroupRating(c.intra_variance, c.rep_det_id, face, reason)
        pieces = tuple(grouping.pieces[p] for p in g.pieces)
        scores = tuple(score[p] for p in g.pieces)
        key = (pieces, scores, decided, g.person is not None)
        known = self._memo.get(g.group_id)
        if known is None or known[0] != key:
            rows = np.array([like.row_of[p] for p in g.pieces], dtype=np.int64)
            show = like.quality[rows] * np.array(scores)
            rep = self._rep(pieces, show, like.best[rows])
            known = key, self._described(pieces, np.array(scores), decided, g.person is not None, rep)
            self._memo[g.group_id] = known
        return known[1]

    def _rep(self, pieces: Sequence[Piece], show: Float64, best: Int64) -> str:
        """The best kept picture of the piece that shows the group best; without pictures its best face."""
        order = np.argsort(-show, kind="stable")
        kept = next((pieces[k].samples[0] for k in order if pieces[k].samples), None)
        return kept or str(self._base.obs.det_id[best[order[0]]])

    def _described(
        self, pieces: Sequence[Piece], scores: Float64, decided: bool, named: bool, rep: str
    ) -> GroupRating:
        obs = self._base.obs
        members = np.concatenate([p.members for p in pieces])
        mean = obs.embeddings[members].mean(axis=0, dtype=np.float64)
        face = face_evidence(obs.conf[members], obs.quality[members], len(members))
        sure = float(np.average(scores, weights=[len(p.members) for p in pieces]))
        best = float(obs.quality[members].max())
        by: NamedBy | None = "facebank" if named else None
        return GroupRating(
            variance=max(0.0, 1.0 - float(np.linalg.norm(mean))),
            rep_det_id=rep,
            face_score=1.0 if decided else face,
            reason="" if decided else doubt_of(face, sure, best, len(members), by),
        )


def _told(grouping: Grouping) -> frozenset[str]:
    """Entities of which somebody said who they are not."""
    pieces = [*grouping.nots, *(p for pair in grouping.apart for p in pair)]
    return frozenset(grouping.entity_of_piece(p) for p in pieces)


def _as_found(g: Group, grouping: Grouping, told: frozenset[str]) -> bool:
    return g.cluster_id is not None and grouping.entity_of[g.group_id] not in told
