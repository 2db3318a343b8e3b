"""The rows of a review: people, and groups that nobody has named, with whom they may be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from screenalyzer.review.grouping import Group
from screenalyzer.review.likeness import Likeness
from screenalyzer.review.ratings import Ratings
from screenalyzer.review.shown.lineup import looks, sureness_of_name
from screenalyzer.review.shown.nearness import Nearness
from screenalyzer.review.shown.views import Candidate, Entity
from screenalyzer.review.state import State
from screenalyzer.types import Total


def entity_views(
    state: State, ratings: Ratings, like: Likeness, nearness: Nearness, totals: list[Total]
) -> dict[str, Entity]:
    """Every entity, by id, by first appearance."""
    unnamed = [g.group_id for g in state.grouping.groups.values() if g.person is None]
    sets = [state.grouping.groups[g].pieces for g in unnamed]
    candidates = dict(zip(unnamed, nearness.candidates(sets), strict=True))
    maker = _Maker(state, ratings, like, {t.person: t.total_ms for t in totals})
    return {e: maker.make(e, candidates.get(e, ())) for e in state.grouping.entities}


class _Maker:
    """Makes entities of what they share."""

    def __init__(self, state: State, ratings: Ratings, like: Likeness, credited: Mapping[str, int]) -> None:
        self._state, self._ratings, self._like, self._credited = state, ratings, like, credited
        gallery = state.base.gallery
        self._known_from = dict(zip(gallery.names, gallery.episodes, strict=False)) if gallery else {}

    def make(self, e: str, candidates: tuple[Candidate, ...]) -> Entity:
        state, name = self._state, self._state.names[e]
        groups = [state.grouping.groups[g] for g in state.grouping.entities[e]]
        sums = _sums(groups, state, self._ratings)
        rated = [self._ratings.groups[g.group_id] for g in groups]
        main = max(range(len(groups)), key=lambda k: (len(groups[k].pieces), -k), default=None)
        named = not groups or groups[0].person is not None
        marked = bool(groups) and groups[0].mark is not None
        reason = "" if marked else next((r.reason for r in rated if r.reason), "")
        known = self._known_from.get(name, 0) if named else 0
        auto, locked = named and sums.loose > 0, any(g.locked for g in groups)
        of_name = self._of_name(name, groups) if auto and sums.loose == sums.pieces else 1.0
        mean = sums.sure / sums.detections if sums.detections else 1.0
        return Entity(
            entity_id=e,
            kind="person" if named else "group",
            name=name,
            person_id=e if named else None,
            group_ids=tuple(g.group_id for g in groups),
            piece_count=sums.pieces,
            face_count=sums.faces,
            screen_ms=0 if marked else self._credited.get(name, 0),
            seen_ms=sums.seen_ms,
            rep_det_id=rated[main].rep_det_id if main is not None else "",
            auto=auto,
            confidence=round(min(mean, of_name), 4),
            known_from=known,
            looks=looks(min(sums.least_sure, of_name), known) if auto and not (reason or locked) else 0,
            reviewed=round(sums.pinned_ms / sums.seen_ms, 4) if sums.seen_ms else 1.0,
            low_conf=bool(reason),
            reason=reason,
            mark=groups[0].mark if groups else None,
            locked=locked,
            variance=round(max((r.variance for r in rated), default=0.0), 6),
            candidates=candidates,
        )

    def _of_name(self, name: str, groups: Iterable[Group]) -> float:
        pieces = [p for g in groups for p in g.pieces]
        return sureness_of_name(name, pieces, self._state.base, self._like)


@dataclass
class _Sums:
    """Over all pieces of an entity; `loose` are those that nobody decided."""

    pieces: int = 0
    faces: int = 0
    detections: int = 0
    seen_ms: int = 0
    pinned_ms: int = 0
    loose: int = 0
    sure: float = 0.0
    least_sure: float = 1.0


def _sums(groups: Iterable[Group], state: State, ratings: Ratings) -> _Sums:
    known, pins, score, found = state.grouping.pieces, state.grouping.pinned, ratings.score, _Sums()
    for p in (p for g in groups for p in g.pieces):
        piece, count = known[p], len(known[p].members)
        found.pieces += 1
        found.faces += len(piece.samples)
        found.detections += count
        found.sure += score[p] * count
        found.seen_ms += piece.seen_ms
        if p in pins:
            found.pinned_ms += piece.seen_ms
        else:
            found.loose += 1
            found.least_sure = min(found.least_sure, score[p])
    return found
