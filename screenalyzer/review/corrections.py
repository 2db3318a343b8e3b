"""How much of what was found people had to correct: tracks that were in a cluster with somebody else."""

from collections import Counter
from typing import NamedTuple

from screenalyzer.review.desk import Desk
from screenalyzer.review.grouping import Group, Grouping
from screenalyzer.review.pieces import Piece


class Corrections(NamedTuple):
    """What people's decisions say of the clusters as they were found.

    Attributes:
        reviewed: tracks in clusters that somebody decided on: on the cluster's group, or on one of them.
        moved: those of them that are not now where most of their cluster is.
    """

    reviewed: int
    moved: int


def corrections_of(desk: Desk) -> Corrections:
    """Compare the clusters with where their tracks are now.

    A cluster that was joined to another as a whole, or named, has moved nothing. A track that was cut counts
    once, by its longest piece.
    """
    grouping = desk.grouping
    longest: dict[str, Piece] = {}
    decided: set[str] = set()
    for piece in grouping.pieces.values():
        known = longest.get(piece.track_id)
        if known is None or len(piece.members) > len(known.members):
            longest[piece.track_id] = piece
        if _is_decided(piece, grouping):
            decided.add(piece.track_id)
    reviewed = moved = 0
    for cluster in desk.base.clustering.clusters:
        tracks = [m.track_id for m in cluster.members if m.track_id in longest]
        if decided.isdisjoint(tracks):
            continue
        ended = Counter(_whose(longest[t], grouping) for t in tracks)
        reviewed += len(tracks)
        moved += len(tracks) - max(ended.values())
    return Corrections(reviewed, moved)


def _is_decided(piece: Piece, grouping: Grouping) -> bool:
    group, key = _group_of(piece, grouping), piece.piece_id
    told = group.by_hand or group.mark is not None
    return told or key in grouping.pinned or key in grouping.nots or not piece.whole


def _whose(piece: Piece, grouping: Grouping) -> str:
    """A person, a mark, or a group that is nobody's yet."""
    group = _group_of(piece, grouping)
    return group.mark or group.person or group.group_id


def _group_of(piece: Piece, grouping: Grouping) -> Group:
    return grouping.groups[grouping.group_of[piece.piece_id]]
