"""Faces to look at: all of an entity, and a sample of what nobody has looked at."""

from collections.abc import Sequence

import numpy as np

from screenalyzer.clustering.distances import cosine_to
from screenalyzer.review.likeness import Likeness
from screenalyzer.review.pieces import Piece
from screenalyzer.review.ratings import Ratings
from screenalyzer.review.shown.views import FaceRow
from screenalyzer.review.state import State
from screenalyzer.types import Float64

_DECIMALS, _BOX_DECIMALS = 4, 1


def faces(entity: str, state: State, ratings: Ratings, like: Likeness) -> list[FaceRow]:
    """The kept faces of an entity, farthest from its nearest group first."""
    pieces = [state.grouping.pieces[p] for p in state.grouping.pieces_of_entity(entity)]
    chosen = [(p, d) for p in pieces for d in p.samples]
    return sorted(_rows(entity, chosen, state, ratings, like), key=lambda r: (-r.distance, r.ts_ms, r.det_id))


def sample(count: int, seed: int, state: State, ratings: Ratings, like: Likeness) -> list[FaceRow]:
    """One face of each of `count` pieces at most, chosen by chance without replacement, each second alike.

    Each piece draws a key, u ** (1 / seconds), and the greatest keys win (Efraimidis and Spirakis 2006).
    """
    grouping = state.grouping
    open_to = [
        p
        for p in grouping.pieces.values()
        if p.samples and p.seen_ms and p.piece_id not in grouping.pinned and _is_named(state, p.piece_id)
    ]
    draws = np.random.default_rng(seed).random(len(open_to))
    keys = np.log(draws) / np.array([p.seen_ms / 1000 for p in open_to])
    chosen = [open_to[k] for k in np.argsort(-keys, kind="stable")[:count]]
    found = []
    for p in chosen:
        entity = grouping.entity_of_piece(p.piece_id)
        found += _rows(entity, [(p, p.samples[0])], state, ratings, like)
    return found


def _is_named(state: State, piece: str) -> bool:
    return state.grouping.groups[state.grouping.group_of[piece]].person is not None


def _rows(
    entity: str, chosen: Sequence[tuple[Piece, str]], state: State, ratings: Ratings, like: Likeness
) -> list[FaceRow]:
    if not chosen:
        return []
    obs, cutter, pinned = state.base.obs, state.cutter, state.grouping.pinned
    rows = [cutter.row[d] for _, d in chosen]
    distance = cosine_to(obs.embeddings[rows], _centres(entity, state, like)).min(axis=1)
    boxes = obs.boxes[rows].astype(np.float64).round(_BOX_DECIMALS)
    return [
        FaceRow(
            det_id=det_id,
            piece_id=piece.piece_id,
            track_id=piece.track_id,
            entity_id=entity,
            ts_ms=ts_ms,
            box=tuple(box),
            distance=d,
            score=ratings.score[piece.piece_id],
            pinned=piece.piece_id in pinned,
        )
        for (piece, det_id), ts_ms, box, d in zip(
            chosen, obs.ts_ms[rows].tolist(), boxes.tolist(), distance.round(_DECIMALS).tolist(), strict=True
        )
    ]


def _centres(entity: str, state: State, like: Likeness) -> Float64:
    """The mean of each group of an entity: float64[groups, d]."""
    found = []
    for g in state.grouping.entities[entity]:
        rows = np.array([like.row_of[p] for p in state.grouping.groups[g].pieces])
        weight = like.weight[rows].astype(np.float64)
        found.append(weight @ like.vectors(rows).astype(np.float64) / weight.sum())
    return np.array(found)
