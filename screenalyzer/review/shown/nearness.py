"""How near groups are to one another, and who the people are that pieces may be."""

from collections.abc import Mapping, Sequence

import numpy as np

from screenalyzer.review.likeness import STEPS, Likeness
from screenalyzer.review.ratings import FAR
from screenalyzer.review.shown.views import Candidate
from screenalyzer.review.state import State
from screenalyzer.types import Bool, Float64, Int64

_MOST = 9  # candidates: as many as there are number keys
_TOGETHER = 0.1  # of the probability is left where two were seen in one frame: a mirror, a doubled picture
_DECIMALS = 4


class Nearness:
    """Groups at one moment.

    Attributes:
        groups: ids, in order.
        place: position by id.
        entity: int64[groups], position of each group's entity.
        distance: float64[groups, groups], mean cosine distance; the diagonal is not used.
        apart: pairs of entities that people told apart, both ways.
        nots: group to people that some piece of it is not.
    """

    def __init__(self, state: State, like: Likeness) -> None:
        """Read it off the sums."""
        grouping = state.grouping
        self._state, self._like = state, like
        self.groups = list(grouping.groups)
        self.place = {g: k for k, g in enumerate(self.groups)}
        number = {e: k for k, e in enumerate(grouping.entities)}
        self.entity: Int64 = np.array([number[grouping.entity_of[g]] for g in self.groups], dtype=np.int64)
        self._slots: Int64 = np.array([like.slot_of[g] for g in self.groups], dtype=np.int64)
        self._mass = like.mass[self._slots].astype(np.float64)
        sums = like.between[np.ix_(self._slots, self._slots)].astype(np.float64)
        self.distance: Float64 = np.minimum(sums / (np.outer(self._mass, self._mass) * STEPS), FAR)
        self.apart, self.nots = self._ruled_out()
        self._people = self._columns()
        self._made: dict[tuple[str, float], Candidate] = {}

    def together(self) -> Bool:
        """Groups of which some pieces were seen in one frame: bool[groups, groups]."""
        return np.asarray(self._like.met[np.ix_(self._slots, self._slots)] > 0)

    def candidates(self, sets: Sequence[Sequence[str]]) -> list[tuple[Candidate, ...]]:
        """Who else some pieces may be, best first.

        Args:
            sets: each of pieces of one entity; not empty.
        """
        people = list(self._people)
        if not sets or not people:
            return [() for _ in sets]
        near, together = self._to_people(sets)
        probability = np.round(self._state.base.metric.probability(near), _DECIMALS)
        probability[together] = np.round(probability[together] * _TOGETHER, _DECIMALS)
        order = np.argsort(-probability, axis=1, kind="stable")
        names = [self._state.cast.name(p) for p in people]
        found = []
        told: dict[str, set[str]] = {}
        for one, other in self.apart:
            told.setdefault(one, set()).add(other)
        for k, own in enumerate(sets):
            out = self._not_these(own, told)
            best = probability[k].tolist()
            allowed = [
                j for j in order[k, : _MOST + len(out)].tolist() if best[j] > 0 and people[j] not in out
            ]
            found.append(tuple(self._candidate(people[j], names[j], best[j]) for j in allowed[:_MOST]))
        return found

    def _candidate(self, person: str, name: str, probability: float) -> Candidate:
        """One object for each: there are thousands of them, and few differ."""
        key = person, probability
        if key not in self._made:
            self._made[key] = Candidate(person, name, probability)
        return self._made[key]

    def _not_these(self, pieces: Sequence[str], told: Mapping[str, set[str]]) -> set[str]:
        """People that pieces are already, or are not."""
        grouping = self._state.grouping
        entity = grouping.entity_of_piece(pieces[0])
        nots = {q for p in pieces for q in grouping.nots.get(p, ())} if grouping.nots else set()
        return {entity} | told.get(entity, set()) | nots

    def _ruled_out(self) -> tuple[set[tuple[str, str]], dict[str, frozenset[str]]]:
        grouping = self._state.grouping
        pairs = [tuple(map(grouping.entity_of_piece, pair)) for pair in grouping.apart]
        apart = {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}
        nots: dict[str, set[str]] = {}
        for p, people in grouping.nots.items():
            nots.setdefault(grouping.group_of[p], set()).update(people)
        return apart, {g: frozenset(people) for g, people in nots.items()}

    def _columns(self) -> dict[str, tuple[list[int], list[int]]]:
        """People with faces here or in the gallery: their groups, and their names of the gallery."""
        grouping, gallery = self._state.grouping, self._state.base.gallery
        found: dict[str, tuple[list[int], list[int]]] = {}
        for k, g in enumerate(self.groups):
            person = grouping.groups[g].person
            if person is not None:
                found.setdefault(person, ([], []))[0].append(k)
        for k, name in enumerate(gallery.names if gallery else ()):
            kept = self._state.cast.by_name(name)
            if kept is not None:
                found.setdefault(kept, ([], []))[1].append(k)
        return found

    def _to_people(self, sets: Sequence[Sequence[str]]) -> tuple[Float64, Bool]:
        """Of each set to each person: distance float64[sets, people], and if they were seen together."""
        like = self._like
        rows = np.array([like.row_of[p] for own in sets for p in own], dtype=np.int64)
        starts = np.cumsum([0, *(len(own) for own in sets[:-1])])
        weight = like.weight[rows]
        mass = np.add.reduceat(weight, starts).astype(np.float64)
        to_kept = np.add.reduceat(weight[:, None] * like.to_kept(rows), starts, axis=0) / mass[:, None]
        near = np.full((len(sets), len(self._people)), np.inf)
        together = np.zeros(near.shape, dtype=bool)
        every = [g for groups, _ in self._people.values() for g in groups]
        block = np.ix_(rows, self._slots[every])
        sums = np.add.reduceat(weight[:, None] * like.sums[block], starts, axis=0)
        mean = sums / (mass[:, None] * self._mass[every] * STEPS)
        seen = np.maximum.reduceat(like.seen_with[block], starts, axis=0) > 0
        at = 0
        for k, (groups, names) in enumerate(self._people.values()):
            if groups:
                own = slice(at, at + len(groups))
                at += len(groups)
                near[:, k] = mean[:, own].min(axis=1)
                together[:, k] = seen[:, own].any(axis=1)
            if names:
                near[:, k] = np.minimum(near[:, k], to_kept[:, names].min(axis=1))
        return np.minimum(near, FAR), together
