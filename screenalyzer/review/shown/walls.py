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


def faces(
    entity: str, state: State, ratings: Ratings, like: Likeness, part: slice = slice(None)
) -> list[FaceRow]:
    """The kept faces of an entity, farthest from its nearest group first; only that part of them is made."""
    pieces = [state.grouping.pieces[p] for p in state.grouping.pieces_of_entity(entity)]
    kept = [(p, d) for p in pieces for d in p.samples]
    distance = _distance(entity, kept, state, like)
    ts_ms = state.base.obs.ts_ms[_rows_of(kept, state)].tolist()
    order = sorted(range(len(kept)), key=lambda k: (-distance[k], ts_ms[k], kept[k][1]))[part]
    return _faces(entity, [kept[k] for k in order], [distance[k] for k in order], state, ratings)


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
        one = [(p, p.samples[0])]
        found += _faces(entity, one, _distance(entity, one, state, like), state, ratings)
    return found


def _is_named(state: State, piece: str) -> bool:
    return state.grouping.groups[state.grouping.group_of[piece]].person is not None


def _rows_of(kept: Sequence[tuple[Piece, str]], state: State) -> list[int]:
    return [state.cutter.row[det_id] for _, det_id in kept]


def _distance(entity: str, kept: Sequence[tuple[Piece, str]], state: State, like: Likeness) -> list[float]:
    """Of each face to the nearest group of the entity."""
    if not kept:
        return []
    embeddings = state.base.obs.embeddings[_rows_of(kept, state)]
    nearest = cosine_to(embeddings, _centres(entity, state, like)).min(axis=1)
    return [float(d) for d in nearest.round(_DECIMALS)]


def _faces(
    entity: str, kept: Sequence[tuple[Piece, str]], distance: Sequence[float], state: State, ratings: Ratings
) -> list[FaceRow]:
    obs, pinned, rows = state.base.obs, state.grouping.pinned, _rows_of(kept, state)
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
            kept, obs.ts_ms[rows].tolist(), boxes.tolist(), distance, strict=True
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
