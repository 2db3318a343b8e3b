"""The screen-time rules: golden cases as data, properties against a mask of milliseconds."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.errors import InputError
from screenalyzer.screentime import (
    SOURCES,
    CoAppearance,
    co_appearance,
    describe,
    fuse,
    recompute,
    shared_ms,
    timeline,
    totals,
)
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Presence, Span

RULES = ScreenTimeRules()
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "screentime"
DAY_MS = 24_000  # a small day: long enough for gaps and stretches on both sides of every threshold
PEOPLE = ("Ada", "Ben", "Cy")
SURE = 0.7 - 5e-7  # 0.7 as a float32 holds it

quick = settings(max_examples=40, deadline=None)


def _span(start: int, length: int) -> Span:
    return Span(start, start + length)


# Lengths and starts gather around the thresholds, where the mistakes are.
lengths = st.one_of(
    st.sampled_from([1, 200, 499, 500, 501, 999, 1000, 1001, 1999, 2000, 2001]), st.integers(0, 3000)
)
starts = st.one_of(st.integers(0, 20).map(lambda k: k * 1000), st.integers(0, 20_000))
spans = st.builds(_span, starts, lengths)
presences = st.builds(
    Presence,
    person=st.sampled_from(PEOPLE),
    span=spans,
    confidence=st.one_of(st.sampled_from([0.0, 0.69, 0.7, 1.0]), st.floats(0, 1)),
    partial=st.booleans(),
    source=st.sampled_from(SOURCES),
)
many = st.lists(presences, max_size=25)


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _mask(spans_: Iterable[Span]) -> np.ndarray:
    mask = np.zeros(DAY_MS, bool)
    for start, end in spans_:
        mask[start:end] = True
    return mask


def _seen(person: str, seen: Iterable[Presence]) -> np.ndarray:
    """One flag a millisecond: the person is seen in a way that counts."""
    own = [p for p in seen if p.person == person]
    partial = _mask(p.span for p in own if p.partial and p.confidence >= SURE)
    for a, b in _runs(partial):
        partial[a:b] = b - a >= 1000
    return partial | _mask(p.span for p in own if not p.partial)


def _brute_force(person: str, seen: Iterable[Presence]) -> np.ndarray:
    """The rules, one millisecond at a time: fill gaps under 2 s, then drop runs under 0.5 s."""
    mask = _seen(person, seen)
    gaps = _runs(~mask)
    for a, b in gaps:
        if a > 0 and b < DAY_MS and b - a < 2000:
            mask[a:b] = True
    for a, b in _runs(mask):
        mask[a:b] = b - a >= 500
    return mask


def _cases() -> list[object]:
    found = [case for path in sorted(GOLDEN.glob("*.json")) for case in json.loads(path.read_text())]
    return [pytest.param(case, id=case["name"]) for case in found]


@pytest.mark.parametrize("case", _cases())
def test_golden(case: dict[str, list[list[object]]]) -> None:
    seen = [Presence(p, Span(a, b), c, partial, source) for p, a, b, c, partial, source in case["presences"]]
    expected = [Interval(p, Span(a, b), source, c) for p, a, b, source, c in case["timeline"]]
    assert timeline(seen, RULES) == expected
    assert [
        [t.person, t.total_ms, t.appearances, t.percent, t.first_ms, t.last_ms]
        for t in totals(expected, case["duration_ms"])
    ] == case["totals"]


def test_the_golden_cases_are_there() -> None:
    assert len(_cases()) >= 20


@quick
@given(many)
def test_equals_brute_force_on_a_millisecond_mask(seen: list[Presence]) -> None:
    rows = timeline(seen, RULES)
    for person in PEOPLE:
        expected = _brute_force(person, seen)
        assert [tuple(r.span) for r in rows if r.person == person] == _runs(expected)
        total = [t for t in totals(rows, DAY_MS) if t.person == person]
        assert sum(t.total_ms for t in total) == expected.sum()
        assert [t.appearances for t in total] == [len(_runs(expected))] * bool(expected.any())


@quick
@given(many, many)
def test_rows_of_a_person_lie_apart_and_come_in_order(seen: list[Presence], more: list[Presence]) -> None:
    rows = timeline(seen + more, RULES)
    assert rows == sorted(rows, key=lambda r: (r.span.start_ms, r.person))
    for person in PEOPLE:
        own = [r.span for r in rows if r.person == person]
        assert all(b.start_ms - a.end_ms >= 2000 for a, b in pairwise(own))
        assert all(s.length_ms >= 500 for s in own)


@quick
@given(many)
def test_credits_no_unseen_time_but_fused_gaps(seen: list[Presence]) -> None:
    for row in timeline(seen, RULES):
        inside = _seen(row.person, seen)[row.span.start_ms : row.span.end_ms]
        assert inside[0]
        assert inside[-1]
        assert all(b - a < 2000 for a, b in _runs(~inside))


@quick
@given(many)
def test_idempotent(seen: list[Presence]) -> None:
    rows = timeline(seen, RULES)
    again = [Presence(r.person, r.span, r.confidence, False, r.source) for r in rows]
    assert timeline(again, RULES) == rows
    assert timeline(seen + seen, RULES) == rows


@quick
@given(many, st.randoms(use_true_random=False))
def test_order_does_not_matter(seen: list[Presence], chance: object) -> None:
    shuffled = list(seen)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert timeline(shuffled, RULES) == timeline(seen, RULES)


@quick
@given(many, st.integers(-(10**9), 10**9))
def test_a_shift_of_the_clock_shifts_the_rows(seen: list[Presence], by: int) -> None:
    def moved(span: Span) -> Span:
        return Span(span.start_ms + by, span.end_ms + by)

    later = [Presence(p.person, moved(p.span), p.confidence, p.partial, p.source) for p in seen]
    expected = [Interval(r.person, moved(r.span), r.source, r.confidence) for r in timeline(seen, RULES)]
    assert timeline(later, RULES) == expected


@quick
@given(st.lists(presences, min_size=1, max_size=15), st.data())
def test_cutting_a_presence_in_two_changes_nothing(seen: list[Presence], data: st.DataObject) -> None:
    p = seen.pop(data.draw(st.integers(0, len(seen) - 1)))
    at = data.draw(st.integers(p.span.start_ms, p.span.end_ms))
    parts = [
        Presence(p.person, span, p.confidence, p.partial, p.source)
        for span in (Span(p.span.start_ms, at), Span(at, p.span.end_ms))
    ]
    assert timeline(seen + parts, RULES) == timeline([*seen, p], RULES)


@quick
@given(many, many)
def test_more_evidence_never_credits_less(seen: list[Presence], more: list[Presence]) -> None:
    fewer, all_ = timeline(seen, RULES), timeline(seen + more, RULES)
    for person in PEOPLE:
        before = _mask(r.span for r in fewer if r.person == person)
        after = _mask(r.span for r in all_ if r.person == person)
        assert not (before & ~after).any()


@quick
@given(many, many, many)
def test_recomputing_the_touched_equals_recomputing_all(
    kept: list[Presence], removed: list[Presence], added: list[Presence]
) -> None:
    before = timeline(kept + removed, RULES)
    touched = {p.person for p in removed + added}
    after = kept + added
    assert recompute(before, after, touched, RULES) == timeline(after, RULES)
    only_theirs = [p for p in after if p.person in touched]
    assert recompute(before, only_theirs, touched, RULES) == timeline(after, RULES)


def test_recompute_leaves_the_untouched_alone() -> None:
    kept = Interval("Ada", Span(0, 5000), "manual", 0.25)  # no presence says so; only the old row does
    assert recompute([kept], [], ["Ben"], RULES) == [kept]
    assert recompute([kept], [], ["Ada"], RULES) == []


@quick
@given(many)
def test_co_appearance_equals_masks(seen: list[Presence]) -> None:
    rows = timeline(seen, RULES)
    masks = {p: _mask(r.span for r in rows if r.person == p) for p in PEOPLE}
    expected = {(a, b): int((masks[a] & masks[b]).sum()) for a in PEOPLE for b in PEOPLE if a < b}
    found = co_appearance(rows)
    assert {(r.person_a, r.person_b): r.shared_ms for r in found} == {k: v for k, v in expected.items() if v}
    assert found == sorted(found, key=lambda r: (-r.shared_ms, r.person_a, r.person_b))


def test_co_appearance_orders_the_pair_by_name() -> None:
    rows = [Interval("Zoe", Span(0, 3000), "auto", 1.0), Interval("Ada", Span(1000, 9000), "auto", 1.0)]
    assert co_appearance(rows) == [CoAppearance("Ada", "Zoe", 2000)]


@quick
@given(st.lists(spans, max_size=20), st.lists(spans, max_size=20))
def test_shared_ms_equals_masks(a: list[Span], b: list[Span]) -> None:
    assert shared_ms(fuse(a), fuse(b)) == (_mask(a) & _mask(b)).sum()


@quick
@given(many)
def test_confidence_is_the_mean_of_the_best_over_the_time_seen(seen: list[Presence]) -> None:
    for row in timeline(seen, RULES):
        best = np.full(DAY_MS, -1.0)
        for p in seen:
            if p.person == row.person and _counts(p, seen):
                own = best[p.span.start_ms : p.span.end_ms]
                np.maximum(own, p.confidence, out=own)
        inside = best[row.span.start_ms : row.span.end_ms]
        assert row.confidence == pytest.approx(inside[inside >= 0].mean(), abs=6e-5)


@quick
@given(many)
def test_source_is_the_strongest_that_counts(seen: list[Presence]) -> None:
    for row in timeline(seen, RULES):
        a, b = row.span
        inside = [p for p in seen if p.person == row.person and a <= p.span.start_ms < p.span.end_ms <= b]
        assert row.source == max((p.source for p in inside if _counts(p, seen)), key=SOURCES.index)


def _counts(p: Presence, seen: list[Presence]) -> bool:
    """A full face, or sure and anywhere in a long enough run of the person's partial time."""
    partial = _seen(p.person, [other for other in seen if other.partial])
    return not p.partial or (p.confidence >= SURE and bool(partial[p.span.start_ms : p.span.end_ms].any()))


def test_thresholds_come_from_the_rules() -> None:
    rules = ScreenTimeRules(fuse_gap_ms=0, min_interval_ms=0, partial_min_conf=0.2, partial_min_ms=100)
    seen = [
        Presence("Ada", Span(0, 100), 0.3, partial=True),
        Presence("Ada", Span(101, 102), 1.0),
        Presence("Ada", Span(102, 103), 1.0),
    ]
    assert [r.span for r in timeline(seen, rules)] == [Span(0, 100), Span(101, 103)]
    assert timeline(seen, RULES) == []


def test_a_threshold_that_went_through_float32_still_counts() -> None:
    seen = [Presence("Ada", Span(0, 1000), float(np.float32(0.7)), partial=True)]
    assert [r.span for r in timeline(seen, RULES)] == [Span(0, 1000)]


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_refuses_an_impossible_confidence(confidence: float) -> None:
    with pytest.raises(InputError, match="confidence"):
        timeline([Presence("Ada", Span(0, 1000), confidence)], RULES)


def test_refuses_an_unknown_source() -> None:
    with pytest.raises(InputError, match="'guess'"):
        timeline([Presence("Ada", Span(0, 1000), 1.0, source="guess")], RULES)


def test_totals_need_a_duration() -> None:
    with pytest.raises(InputError, match="0 ms"):
        totals([], 0)


def test_the_description_names_version_and_thresholds() -> None:
    text = describe(RULES)
    assert all(part in text for part in ("v1", "2000 ms", "500 ms", "0.7", "1000 ms"))


def test_a_partial_face_counts_by_how_sure_it_is_a_face_not_by_whose() -> None:
    unsure_who = Presence("Ada", Span(0, 2000), 0.2, partial=True, face_conf=0.99)
    unsure_what = Presence("Ben", Span(0, 2000), 0.9, partial=True, face_conf=0.69)
    assert [(r.person, r.confidence) for r in timeline([unsure_who, unsure_what], RULES)] == [("Ada", 0.2)]
