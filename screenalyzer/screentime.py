"""The screen-time rules, version 1: from what was seen of a person to what the person is credited with.

Pure functions over integer milliseconds. What the rules leave open is settled here:

- **Fusing** (rule 1): a gap of 1999 ms is bridged, a gap of 2000 ms is not. Only time that counts bridges.
- **Short intervals** (rule 4) are judged after fusing: two glimpses of 0.3 s that lie 1 s apart are one
  interval of 1.6 s; one glimpse of 0.5 s stays, one of 0.499 s goes.
- **Partial faces** (rule 4): a partial presence under the confidence threshold is not there. What is left
  forms stretches of partial presences that touch or overlap, and nothing else lengthens a stretch: neither
  a fused gap nor a full face beside it. A stretch that is long enough counts like a full face. One that is
  too short counts nowhere: it adds no time before or after a full face and does not bridge a gap between
  two. An ear leaving the frame for a third of a second is not paid; a face half hidden for 2 s is.
- **Source** of an interval is the strongest human hand in any part of it that counts: manual before reviewed
  before auto. Time that was entered by hand can so never hide inside an automatic interval.
- **Confidence** of an interval is the mean over the time the person was seen, without the bridged gaps; where
  presences overlap the best one speaks. Rounded to `CONFIDENCE_DECIMALS`, the digits the timeline carries.
- **More evidence never credits less**, and a presence that is cut in two touching parts credits the same.
"""

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from heapq import heappop, heappush
from itertools import combinations, pairwise
from typing import Final, NamedTuple

from screenalyzer.errors import InputError
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Presence, Span, Total

SOURCES: Final = ("auto", "reviewed", "manual")  # from the weakest human hand to the strongest
CONFIDENCE_DECIMALS: Final = 4
PERCENT_DECIMALS: Final = 4


class CoAppearance(NamedTuple):
    """Two people on screen together, for how many milliseconds; person_a sorts before person_b."""

    person_a: str
    person_b: str
    shared_ms: int


def timeline(presences: Iterable[Presence], rules: ScreenTimeRules) -> list[Interval]:
    """Apply the rules to everything that was seen.

    Args:
        presences: in any order; they may overlap, also those of one person. Empty spans count for nothing.
        rules: thresholds.

    Returns:
        Intervals by start, then person; those of one person lie at least `fuse_gap_ms` apart.

    Raises:
        InputError: a confidence outside 0..1, or a source that is not one of `SOURCES`.
    """
    by_person: dict[str, list[Presence]] = defaultdict(list)
    for presence in presences:
        _check(presence)
        if presence.span.length_ms > 0:
            by_person[presence.person].append(presence)
    return _ordered(row for person, seen in by_person.items() for row in _credit(person, seen, rules))


def recompute(
    timeline_before: Iterable[Interval],
    presences: Iterable[Presence],
    touched_people: Collection[str],
    rules: ScreenTimeRules,
) -> list[Interval]:
    """Rule 5: bring a timeline up to date after an edit by computing the touched people alone.

    Args:
        timeline_before: the timeline before the edit, made by the same rules.
        presences: after the edit; at least all those of the touched people, more do no harm.
        touched_people: everyone who gained or lost a presence. A rename touches the old and the new name.
        rules: thresholds.

    Returns:
        What `timeline` returns for all presences after the edit.
    """
    touched = set(touched_people)
    kept = [row for row in timeline_before if row.person not in touched]
    fresh = timeline((p for p in presences if p.person in touched), rules)
    return _ordered([*kept, *fresh])


def totals(intervals: Iterable[Interval], duration_ms: int) -> list[Total]:
    """Sum the intervals of each person (rules 2 and 3).

    Args:
        intervals: a timeline.
        duration_ms: of the episode; `percent` is of it, rounded to `PERCENT_DECIMALS`.

    Returns:
        One row a person, the longest total first, then by name.

    Raises:
        InputError: the duration is not positive.
    """
    if duration_ms <= 0:
        raise InputError(f"an episode of {duration_ms} ms has no screen time to share out.")
    spans = _spans_by_person(intervals)
    rows = [
        Total(
            person=person,
            total_ms=sum(s.length_ms for s in own),
            appearances=len(own),
            percent=round(100 * sum(s.length_ms for s in own) / duration_ms, PERCENT_DECIMALS),
            first_ms=own[0].start_ms,
            last_ms=own[-1].end_ms,
        )
        for person, own in spans.items()
    ]
    return sorted(rows, key=lambda t: (-t.total_ms, t.person))


def co_appearance(intervals: Iterable[Interval]) -> list[CoAppearance]:
    """How long each two people are on screen together.

    Returns:
        One row for each pair that shares any time, the longest first, then by names.
    """
    spans = _spans_by_person(intervals)
    rows = [CoAppearance(a, b, shared_ms(spans[a], spans[b])) for a, b in combinations(sorted(spans), 2)]
    return sorted((r for r in rows if r.shared_ms), key=lambda r: (-r.shared_ms, r.person_a, r.person_b))


def fuse(spans: Iterable[Span], gap_ms: int = 0) -> list[Span]:
    """Union of spans, ascending: those less than `gap_ms` apart, and those that touch, become one."""
    fused: list[Span] = []
    for span in sorted(s for s in spans if s.length_ms > 0):
        if fused and span.start_ms - fused[-1].end_ms < max(gap_ms, 1):
            fused[-1] = Span(fused[-1].start_ms, max(fused[-1].end_ms, span.end_ms))
        else:
            fused.append(Span(*span))
    return fused


def shared_ms(a: Sequence[Span], b: Sequence[Span]) -> int:
    """Milliseconds in both of two ascending sequences of disjoint spans."""
    i = j = shared = 0
    while i < len(a) and j < len(b):
        shared += max(0, min(a[i].end_ms, b[j].end_ms) - max(a[i].start_ms, b[j].start_ms))
        if a[i].end_ms <= b[j].end_ms:
            i += 1
        else:
            j += 1
    return shared


def describe(rules: ScreenTimeRules) -> str:
    """The rule set on one line, for people who read an export."""
    return (
        f"screen-time rules v{rules.version}: gaps under {rules.fuse_gap_ms} ms joined; "
        f"appearances under {rules.min_interval_ms} ms left out; partial faces from confidence "
        f"{rules.partial_min_conf:g} and {rules.partial_min_ms} ms; everyone on screen credited"
    )


def _ordered(rows: Iterable[Interval]) -> list[Interval]:
    return sorted(rows, key=lambda r: (r.span.start_ms, r.person, r.span.end_ms))


def _spans_by_person(intervals: Iterable[Interval]) -> dict[str, list[Span]]:
    """Each person's spans, ascending and disjoint, whatever was given."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for row in intervals:
        spans[row.person].append(row.span)
    return {person: own for person, given in spans.items() if (own := fuse(given))}


def _check(presence: Presence) -> None:
    if not (0 <= presence.confidence <= 1 and 0 <= _face_confidence(presence) <= 1):
        raise InputError(f"{presence.person}: confidence {presence.confidence} is not between 0 and 1.")
    if presence.source not in SOURCES:
        raise InputError(f"{presence.person}: source {presence.source!r} is not one of {', '.join(SOURCES)}.")


def _credit(person: str, seen: Sequence[Presence], rules: ScreenTimeRules) -> list[Interval]:
    """The intervals of one person."""
    counted = _counted(seen, rules)
    spans = fuse((p.span for p in counted), rules.fuse_gap_ms)
    parts: list[list[Presence]] = [[] for _ in spans]
    starts = [s.start_ms for s in spans]
    for presence in counted:
        parts[bisect_right(starts, presence.span.start_ms) - 1].append(presence)
    return [
        Interval(person, span, max((p.source for p in own), key=SOURCES.index), _mean_confidence(own))
        for span, own in zip(spans, parts, strict=True)
        if span.length_ms >= rules.min_interval_ms
    ]


def _counted(seen: Sequence[Presence], rules: ScreenTimeRules) -> list[Presence]:
    """Full faces, and the partial ones that are sure enough and in a stretch that is long enough."""
    full = [p for p in seen if not p.partial]
    # Confidences are stored as float32, where 0.7 is 0.69999999; six digits are what such a number holds.
    sure = [p for p in seen if p.partial and round(_face_confidence(p), 6) >= rules.partial_min_conf]
    stretches = fuse(p.span for p in sure)
    starts = [s.start_ms for s in stretches]
    return full + [
        p
        for p in sure
        if stretches[bisect_right(starts, p.span.start_ms) - 1].length_ms >= rules.partial_min_ms
    ]


def _face_confidence(presence: Presence) -> float:
    return float(presence.confidence if presence.face_conf is None else presence.face_conf)


def _mean_confidence(parts: Sequence[Presence]) -> float:
    """Mean over the union of the parts of the highest confidence at each moment.

    Milliseconds are counted for each confidence before anything is multiplied, so neither the order of the
    parts nor where one was cut in two reaches the result.
    """
    waiting = sorted(parts, key=lambda p: p.span.start_ms, reverse=True)
    active: list[tuple[float, int]] = []  # minus confidence, end: the best part on top
    held: Counter[float] = Counter()
    for start, end in pairwise(sorted({t for p in parts for t in p.span})):
        while waiting and waiting[-1].span.start_ms <= start:
            part = waiting.pop()
            heappush(active, (-float(part.confidence), part.span.end_ms))
        while active and active[0][1] <= start:
            heappop(active)
        if active:
            held[-active[0][0]] += end - start
    return round(math.fsum(c * ms for c, ms in held.items()) / held.total(), CONFIDENCE_DECIMALS)
