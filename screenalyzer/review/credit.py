"""Screen time of the entities, kept up to date: only who changed is worked out again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from screenalyzer.clustering.model import NOT_A_FACE
from screenalyzer.review.cast import Cast
from screenalyzer.review.grouping import Group, Grouping
from screenalyzer.review.keys import Said
from screenalyzer.review.pieces import Piece
from screenalyzer.review.ratings import Ratings
from screenalyzer.screentime import fuse, recompute, totals
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Presence, Span, Total


class Seen(NamedTuple):
    """A piece that counts for somebody."""

    piece: Piece
    score: float
    reviewed: bool


class Evidence(NamedTuple):
    """All that somebody's screen time comes from; equal evidence gives equal time."""

    seen: tuple[Seen, ...]
    added: tuple[Span, ...]
    trimmed: tuple[Span, ...]


def evidence(
    grouping: Grouping, ratings: Ratings, said: Said, cast: Cast, names: Mapping[str, str]
) -> dict[str, Evidence]:
    """What counts for each entity, by name; nothing of marked groups, nor of what is hardly a face."""
    added, trimmed = _by_person(said, cast, "add"), _by_person(said, cast, "trim")
    found: dict[str, Evidence] = {}
    for e, groups in grouping.entities.items():
        seen: list[Seen] = []
        for g in groups:
            if counts(grouping.groups[g], ratings):
                seen += _seen(grouping.groups[g], grouping, ratings)
        if seen or e in added:
            found[names[e]] = Evidence(tuple(seen), added.get(e, ()), trimmed.get(e, ()))
    return found


def counts(group: Group, ratings: Ratings) -> bool:
    """Whether a group's time is credited."""
    return group.mark is None and ratings.groups[group.group_id].reason != NOT_A_FACE


def _seen(group: Group, grouping: Grouping, ratings: Ratings) -> Iterable[Seen]:
    for p in group.pieces:
        yield Seen(grouping.pieces[p], ratings.score[p], group.by_hand and p in grouping.pinned)


def _by_person(said: Said, cast: Cast, kind: str) -> dict[str, tuple[Span, ...]]:
    found: dict[str, list[Span]] = {}
    for s in said.spans.values():
        person = cast.resolve(s.person)
        if s.kind == kind and person is not None:
            found.setdefault(person, []).append(s.span)
    return {person: tuple(sorted(spans)) for person, spans in found.items()}


def presences(name: str, evidence: Evidence) -> list[Presence]:
    """When somebody is on screen, before the rules."""
    cuts = fuse(evidence.trimmed)
    rows = [
        Presence(
            name, part, s.score, s.piece.track.partial,
            "reviewed" if s.reviewed else "auto", s.piece.track.mean_conf,
        )
        for s in evidence.seen
        for span in s.piece.spans
        for part in without(span, cuts)
    ]  # fmt: skip
    return rows + [
        Presence(name, part, 1.0, source="manual") for span in evidence.added for part in without(span, cuts)
    ]


def without(span: Span, cuts: Sequence[Span]) -> list[Span]:
    """What is left of a span outside some cuts, which are ascending and disjoint."""
    left: list[Span] = []
    start = span.start_ms
    for cut in cuts:
        if cut.end_ms <= start or cut.start_ms >= span.end_ms:
            continue
        if cut.start_ms > start:
            left.append(Span(start, cut.start_ms))
        start = cut.end_ms
    if start < span.end_ms:
        left.append(Span(start, span.end_ms))
    return left


class Ledger:
    """The timeline and the totals of an episode.

    Attributes:
        timeline: intervals by start.
        totals: the longest first.
    """

    def __init__(self, rules: ScreenTimeRules, duration_ms: int) -> None:
        """Begin with nobody."""
        self._rules, self._duration_ms = rules, duration_ms
        self._evidence: dict[str, Evidence] = {}
        self.timeline: list[Interval] = []
        self.totals: list[Total] = []

    def update(self, evidence: dict[str, Evidence]) -> None:
        """Work out again whoever has other evidence than before."""
        before, self._evidence = self._evidence, evidence
        touched = {n for n in before.keys() | evidence.keys() if before.get(n) != evidence.get(n)}
        if not touched:
            return
        fresh = [p for n in sorted(touched & evidence.keys()) for p in presences(n, evidence[n])]
        self.timeline = recompute(self.timeline, fresh, touched, self._rules)
        theirs = totals((i for i in self.timeline if i.person in touched), self._duration_ms)
        others = [t for t in self.totals if t.person not in touched]
        self.totals = sorted([*others, *theirs], key=lambda t: (-t.total_ms, t.person))
