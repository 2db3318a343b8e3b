"""The analyst's desk: an episode with its review, kept up to date as decisions change."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from screenalyzer.clustering.model import Clustering
from screenalyzer.errors import EditRefusedError
from screenalyzer.review.cast import changed_people, value_of
from screenalyzer.review.credit import Ledger, evidence
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.grouping import Found, Grouping
from screenalyzer.review.keys import SpanDecision
from screenalyzer.review.likeness import Likeness
from screenalyzer.review.model import Base, Change, Entry, Person, Planned
from screenalyzer.review.operations import Operation
from screenalyzer.review.pieces import Cutter, Piece
from screenalyzer.review.planning import undoing
from screenalyzer.review.planning.plan import plan
from screenalyzer.review.ratings import Rater, Ratings
from screenalyzer.review.shown import walls
from screenalyzer.review.shown.doubts import doubts
from screenalyzer.review.shown.entities import entity_views
from screenalyzer.review.shown.nearness import Nearness
from screenalyzer.review.shown.reviewed import reviewed_clustering
from screenalyzer.review.shown.suggestions import suggestions
from screenalyzer.review.shown.views import Doubt, Entity, FaceRow, MergeSuggestion
from screenalyzer.review.state import State, state_of
from screenalyzer.types import Interval, Total


class _Derived:
    """What is worked out of a state when it is asked for, once."""

    def __init__(self, state: State, ratings: Ratings, like: Likeness, totals: list[Total]) -> None:
        self.state, self.ratings, self.like, self._totals = state, ratings, like, totals

    @cached_property
    def nearness(self) -> Nearness:
        return Nearness(self.state, self.like)

    @cached_property
    def entities(self) -> dict[str, Entity]:
        return entity_views(self.state, self.ratings, self.like, self.nearness, self._totals)

    @cached_property
    def suggestions(self) -> list[MergeSuggestion]:
        return suggestions(self.state, self.nearness, self.entities)

    @cached_property
    def doubts(self) -> list[Doubt]:
        return doubts(self.state, self.ratings, self.like, self.nearness, self.entities)


class Desk:
    """An episode under review. Whatever changes were applied one by one, it equals a fresh one.

    Not safe for several threads at once.

    Attributes:
        base: what the automatic stages found.
        decisions: what people decided.
        people: of the show, by id.
    """

    def __init__(self, base: Base, people: Iterable[Person], decisions: Decisions) -> None:
        """Work everything out. Takes a second or so for a long episode."""
        self.base, self.decisions = base, decisions
        self.people = {p.person_id: p for p in people}
        self._cutter, self._found = Cutter(base), Found.of(base)
        whole = [self._cutter.whole(t.track_id) for t in base.tracks]
        self._like = Likeness(base.obs, base.gallery, whole)
        self._rater = Rater(base)
        scenes = base.grid.scenes
        self._ledger = Ledger(base.rules, scenes[-1].end_ms - scenes[0].start_ms)
        self._refresh()

    def plan(self, operation: Operation) -> Planned:
        """Work out what an operation changes; nothing is changed yet.

        Raises:
            EditRefusedError: something is not there, is locked, or contradicts a decision; says what to do.
        """
        return plan(self._state, operation)

    def plan_undo(self, entries: Sequence[Entry], number: int | None = None) -> tuple[Entry, Planned]:
        """The edit that an undo takes back, and what does so.

        Args:
            entries: the whole log; the desk stands after the last of them.
            number: of the edit; None for the latest that holds.

        Raises:
            EditRefusedError: it cannot be; says why.
        """
        return undoing.plan_undo(self._state, entries, number)

    def plan_redo(self, entries: Sequence[Entry]) -> tuple[Entry, Planned]:
        """The edit that is done again, and what does so.

        Raises:
            EditRefusedError: there is none, or it cannot be; says why.
        """
        return undoing.plan_redo(self._state, entries)

    def apply(self, changes: Iterable[Change]) -> None:
        """Make changes, and bring up to date what they touch. Those of people go to `people`.

        Raises:
            EditRefusedError: something has another value than a change found; nothing is changed then.
        """
        made = list(changes)
        people = changed_people(self.people, made)
        self.decisions.apply(made)
        self.people = people
        self._refresh()

    def set_people(self, people: Iterable[Person]) -> None:
        """Take the people of the show as they are now, for other episodes change them too."""
        self.people = {p.person_id: p for p in people}
        self._refresh()

    @property
    def pieces(self) -> dict[str, Piece]:
        """All pieces by id, in order of time."""
        return self._state.grouping.pieces

    @property
    def grouping(self) -> Grouping:
        """Which piece is whose."""
        return self._state.grouping

    def score(self, piece_id: str) -> float:
        """How sure it is that a piece is where it is, 0..1."""
        return self._derived.ratings.score[piece_id]

    def entities(self) -> list[Entity]:
        """All rows, by first appearance."""
        return list(self._derived.entities.values())

    def entity(self, entity_id: str) -> Entity:
        """One row.

        Raises:
            EditRefusedError: there is none of this id.
        """
        found = self._derived.entities.get(entity_id)
        if found is None:
            raise EditRefusedError(
                f"there is no person or group {entity_id} in this episode any more. Reload."
            )
        return found

    def faces(self, entity_id: str, part: slice = slice(None)) -> list[FaceRow]:
        """That part of an entity's faces that a picture is kept of, farthest from the rest of it first.

        Raises:
            EditRefusedError: there is none of this id.
        """
        self.entity(entity_id)
        return walls.faces(entity_id, self._state, self._derived.ratings, self._like, part)

    def suggestions(self) -> list[MergeSuggestion]:
        """Pairs that may be one person, most at stake first."""
        return list(self._derived.suggestions)

    def doubts(self) -> list[Doubt]:
        """What should be looked at, most at stake first."""
        return list(self._derived.doubts)

    def timeline(self) -> list[Interval]:
        """Who is on screen when, by the rules."""
        return list(self._ledger.timeline)

    def totals(self) -> list[Total]:
        """Screen time of everybody, the longest first."""
        return list(self._ledger.totals)

    def spans(self) -> list[SpanDecision]:
        """Intervals by hand, by start."""
        return sorted(self._state.said.spans.values(), key=lambda s: (s.span, s.span_id))

    def sample(self, count: int, seed: int) -> list[FaceRow]:
        """Faces of people whom the facebank named and nobody looked at, by chance, each second alike."""
        return walls.sample(count, seed, self._state, self._derived.ratings, self._like)

    def person_of(self, name: str) -> str | None:
        """Id of somebody whom a result names; None where nobody bears or bore the name."""
        return self._state.cast.by_name(name)

    def reviewed_clustering(self) -> Clustering:
        """Groups in the shape of clusters, with the names that people gave."""
        return reviewed_clustering(self._state, self._derived.ratings)

    def snapshot(self) -> dict[str, Any]:
        """All that is shown, as plain data; equal desks have equal ones."""
        return {
            "people": {p: value_of(person) for p, person in sorted(self.people.items())},
            "entities": [asdict(e) for e in self.entities()],
            "faces": {e: [asdict(f) for f in self.faces(e)] for e in self._state.grouping.entities},
            "suggestions": [asdict(s) for s in self.suggestions()],
            "doubts": [asdict(d) for d in self.doubts()],
            "timeline": [asdict(i) for i in self.timeline()],
            "totals": [asdict(t) for t in self.totals()],
            "spans": [s._asdict() for s in self.spans()],
            "sample": [asdict(f) for f in self.sample(5, 1)],
            "clustering": asdict(self.reviewed_clustering()),
        }

    def _refresh(self) -> None:
        self._state = state_of(self.base, self._cutter, self._found, self.decisions, self.people)
        grouping, cast = self._state.grouping, self._state.cast
        self._like.place({grouping.pieces[p]: g for p, g in grouping.group_of.items()})
        ratings = self._rater.rate(grouping, self._like, cast)
        self._ledger.update(evidence(grouping, ratings, self._state.said, cast, self._state.names))
        self._derived = _Derived(self._state, ratings, self._like, self._ledger.totals)


def pinned_by(changes: Iterable[Change]) -> list[str]:
    """Pieces that something was decided on, or told apart by: what anchors are kept of."""
    found: dict[str, None] = {}
    for change in changes:
        kind, owner, *rest = change.key.split("/")
        if change.after is None or kind not in {"piece", "apart"}:
            continue
        found.update(dict.fromkeys([owner, rest[0]] if kind == "apart" else [owner]))
    return list(found)
