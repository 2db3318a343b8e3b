"""Which entities a person should look at next to each other: they may be one."""

import numpy as np

from screenalyzer.review.shown.nearness import Nearness
from screenalyzer.review.shown.views import Entity, MergeSuggestion
from screenalyzer.review.state import State
from screenalyzer.types import Bool, Float64

_DECIMALS = 4


def suggestions(state: State, nearness: Nearness, entities: dict[str, Entity]) -> list[MergeSuggestion]:
    """Pairs that may be one person: the greatest probability times time at stake first.

    At stake is the time of the shorter of the two: so much is credited to nobody, or to the wrong person,
    until they are joined. Never suggested: who was told apart, seen together, named differently, said not to
    be that person, marked or locked.
    """
    ids = [e for e in state.grouping.entities if state.grouping.entities[e]]
    if len(ids) < 2:
        return []
    cfg = state.base.cluster_settings
    distance, together = _between(nearness, len(ids))
    probability = np.round(state.base.metric.probability(distance), _DECIMALS)
    probability[together | _barred(ids, nearness, entities, state)] = 0.0
    seen = np.array([entities[e].seen_ms for e in ids], dtype=np.int64)
    stake = np.minimum(seen[:, None], seen[None, :])
    rows, columns = np.nonzero(np.triu(probability >= max(cfg.min_suggested_similarity, 1e-4), 1))
    gain = probability[rows, columns] * stake[rows, columns]
    order = np.lexsort((columns, rows, -gain))[: cfg.max_suggestions]
    found = []
    for rank, k in enumerate(order.tolist(), start=1):
        a, b = entities[ids[rows[k]]], entities[ids[columns[k]]]
        found.append(
            MergeSuggestion(
                a.entity_id, b.entity_id, float(probability[rows[k], columns[k]]),
                int(stake[rows[k], columns[k]]), rank, a.name, b.name, a.rep_det_id, b.rep_det_id,
            )
        )  # fmt: skip
    return found


def _between(nearness: Nearness, count: int) -> tuple[Float64, Bool]:
    """Distance of every two entities, that of their nearest groups, and whether they were seen together."""
    order = np.argsort(nearness.entity, kind="stable")
    starts = np.searchsorted(nearness.entity[order], np.arange(count))
    distance = nearness.distance[np.ix_(order, order)]
    together = nearness.together()[np.ix_(order, order)]
    distance = np.minimum.reduceat(np.minimum.reduceat(distance, starts, axis=0), starts, axis=1)
    together = np.logical_or.reduceat(np.logical_or.reduceat(together, starts, axis=0), starts, axis=1)
    return distance, together


def _barred(ids: list[str], nearness: Nearness, entities: dict[str, Entity], state: State) -> Bool:
    """Pairs that may not be joined, bool[ids, ids], but for those seen together."""
    place = {e: k for k, e in enumerate(ids)}
    named = np.array([entities[e].person_id is not None for e in ids])
    closed = np.array([entities[e].mark is not None or entities[e].locked for e in ids])
    barred = (named[:, None] & named[None, :]) | closed[:, None] | closed[None, :]
    for a, b in nearness.apart:
        barred[place[a], place[b]] = True
    for g, people in nearness.nots.items():
        mine = place[state.grouping.entity_of[g]]
        for person in people & place.keys():
            barred[mine, place[person]] = barred[place[person], mine] = True
    return np.asarray(barred)
