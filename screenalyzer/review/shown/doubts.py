"""What a person should look at, in the order in which a look settles most."""

from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.model import NOT_A_FACE
from screenalyzer.review.likeness import STEPS, Likeness
from screenalyzer.review.ratings import Ratings
from screenalyzer.review.shown.nearness import Nearness
from screenalyzer.review.shown.views import Candidate, Doubt, Entity
from screenalyzer.review.state import State
from screenalyzer.types import Float64, Int64

_DOUBTFUL = 0.2  # a piece whose score is this much under 1
_PICTURES = 5
_DECIMALS = 4


@dataclass(frozen=True)
class _Open:
    """Pieces in doubt for one reason, the one that leads them first."""

    pieces: tuple[str, ...]
    entity: str
    reason: str
    seconds: float
    uncertainty: float
    lead: int

    @property
    def worth(self) -> float:
        return self.seconds * self.uncertainty


def doubts(
    state: State, ratings: Ratings, like: Likeness, nearness: Nearness, entities: dict[str, Entity]
) -> list[Doubt]:
    """Doubts by unresolved seconds times uncertainty, each lessened by its likeness to those before it.

    A group that is in doubt as a whole is one doubt; of the others, each set of pieces that are alike and
    may be somebody else is one. What a person decided, marked or locked is in no doubt.
    """
    found = [
        o for e in entities.values() if e.mark is None and not e.locked for o in _of(e, state, ratings, like)
    ]
    order, priority = _spread(found, like, state)
    instead = nearness.candidates([found[k].pieces for k in order])
    rows = zip(order, priority, instead, strict=True)
    return [_doubt(found[k], p, candidates, state, entities) for k, p, candidates in rows]


def _of(entity: Entity, state: State, ratings: Ratings, like: Likeness) -> list[_Open]:
    grouping = state.grouping
    found: list[_Open] = []
    for g in entity.group_ids:
        loose = [p for p in grouping.groups[g].pieces if p not in grouping.pinned]
        rating = ratings.groups[g]
        if rating.reason == NOT_A_FACE:
            found.append(_open(loose, entity.entity_id, NOT_A_FACE, rating.face_score, state, like))
        elif rating.reason and loose:
            weight = [grouping.pieces[p].seen_ms for p in loose]
            score = float(np.average([ratings.score[p] for p in loose], weights=np.maximum(weight, 1)))
            found.append(_open(loose, entity.entity_id, rating.reason, 1.0 - score, state, like))
        else:
            reason = "unsure" if entity.person_id is None else "uncertain name"
            unsure = [p for p in loose if 1.0 - ratings.score[p] >= _DOUBTFUL]
            for own in _alike(unsure, state, ratings, like):
                doubt = 1.0 - min(ratings.score[p] for p in own)
                found.append(_open(own, entity.entity_id, reason, doubt, state, like))
    return found


def _alike(pieces: list[str], state: State, ratings: Ratings, like: Likeness) -> list[list[str]]:
    """Pieces in sets: each joins the first leader that it is linked with, those most at stake lead."""
    at_stake = {p: state.grouping.pieces[p].seen_ms * (1.0 - ratings.score[p]) for p in pieces}
    sets: list[list[str]] = []
    for p in sorted(pieces, key=lambda p: (-at_stake[p], *state.grouping.pieces[p].order)):
        row = like.row_of[p]
        near = (s for s in sets if like.distance(row, like.row_of[s[0]]) <= state.base.metric.link * STEPS)
        own = next(near, None)
        if own is None:
            sets.append([p])
        else:
            own.append(p)
    return sets


def _open(
    pieces: list[str], entity: str, reason: str, uncertainty: float, state: State, like: Likeness
) -> _Open:
    of = state.grouping.pieces
    lead = max(pieces, key=lambda p: (len(of[p].samples) > 0, of[p].seen_ms, -of[p].start_ms, p))
    ordered = (lead, *(p for p in pieces if p != lead))
    seconds = sum(of[p].seen_ms for p in pieces) / 1000
    return _Open(ordered, entity, reason, seconds, round(uncertainty, _DECIMALS), like.row_of[lead])


def _spread(found: list[_Open], like: Likeness, state: State) -> tuple[list[int], list[float]]:
    """Greedy order, and the priority of each in it."""
    if not found:
        return [], []
    likely = _same_by_step(state)
    worth: Float64 = np.array([o.worth for o in found])
    lead: Int64 = np.array([o.lead for o in found], dtype=np.int64)
    left = np.ones(len(found))  # of each one's worth, after a look at those chosen
    waiting = np.ones(len(found), dtype=bool)
    order: list[int] = []
    priority: list[float] = []
    for _ in found:
        value = np.where(waiting, worth * left, -1.0)
        best = int(value.argmax())
        order.append(best)
        priority.append(round(float(value[best]), _DECIMALS))
        waiting[best] = False
        alike = likely[like.steps(int(lead[best]), lead)]
        np.minimum(left, 1.0 - alike, out=left)
    return order, priority


def _same_by_step(state: State) -> Float64:
    """Probability of one person for each step of distance."""
    return state.base.metric.probability(np.arange(2 * STEPS + 1) / STEPS)


def _doubt(
    found: _Open,
    priority: float,
    candidates: tuple[Candidate, ...],
    state: State,
    entities: dict[str, Entity],
) -> Doubt:
    pieces = [state.grouping.pieces[p] for p in found.pieces]
    kept = [d for turn in range(_PICTURES) for p in pieces for d in p.samples[turn : turn + 1]]
    entity = entities[found.entity]
    rep = kept[0] if kept else entity.rep_det_id
    return Doubt(
        piece_ids=found.pieces,
        entity_id=found.entity,
        reason=found.reason,
        seconds=found.seconds,
        uncertainty=found.uncertainty,
        priority=priority,
        rep_det_id=rep,
        det_ids=tuple(kept[:_PICTURES]),
        ts_ms=int(state.base.obs.ts_ms[state.cutter.row[rep]])
        if rep in state.cutter.row
        else pieces[0].start_ms,
        candidates=candidates,
    )
