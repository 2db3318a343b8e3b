"""How far a timeline is from known truth, in person-time, after matching people one to one.

All arithmetic is on interval ends in whole milliseconds, without a grid.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from screenalyzer.errors import InputError
from screenalyzer.screentime import fuse, shared_ms, timeline
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Presence, Span

_Spans = Mapping[str, Sequence[Span]]


@dataclass(frozen=True)
class TruthShot:
    """A shot and who is on screen in all of it; `kind` says what sort of shot it is."""

    span: Span
    people: tuple[str, ...]
    kind: str


@dataclass(frozen=True)
class Truth:
    """Who is on screen when, known exactly; times in milliseconds from the first frame."""

    episode: str
    fps: float
    duration_ms: int
    cast: tuple[str, ...]
    shots: tuple[TruthShot, ...]

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read a truth.json.

        Raises:
            InputError: there is no such file, or it has another form.
        """
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            shots = tuple(
                TruthShot(
                    Span(int(s["start_ms"]), int(s["end_ms"])),
                    tuple(str(p) for p in s["people"]),
                    str(s.get("kind", "")),
                )
                for s in found["shots"]
            )
            cast = found.get("cast") or sorted({p for s in shots for p in s.people})
            return cls(
                episode=str(found["episode"]),
                fps=float(found["fps"]),
                duration_ms=int(found["duration_ms"]),
                cast=tuple(str(p) for p in cast),
                shots=shots,
            )
        except FileNotFoundError as e:
            raise InputError(f"{path} is missing. Name a truth file.") from e
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise InputError(f"{path} is not a truth file ({e!r}).") from e

    def intervals(self, rules: ScreenTimeRules | None = None) -> list[Interval]:
        """What the screen-time rules make of the truth."""
        seen = (Presence(person, s.span, 1.0) for s in self.shots for person in s.people)
        return timeline(seen, rules or ScreenTimeRules())


@dataclass(frozen=True)
class PersonScore:
    """One true person: time on screen in truth, time found, and the name it was found under, if any."""

    person: str
    true_ms: int
    found_ms: int
    matched: str | None


@dataclass(frozen=True)
class Score:
    """A timeline held against the truth.

    Attributes:
        people_true: people with screen time in the truth.
        people_found: people of the timeline.
        error_ms: sum over people of |found - true|; an unmatched person counts whole.
        error_pct: of all true time; None where the truth has none.
        precision: share of the found person-time that is true, 0..1; 0 where nothing was found.
        recall: share of the true person-time that was found, 0..1; 0 where there is none.
        f1: their harmonic mean.
        per_person: by name.
    """

    people_true: int
    people_found: int
    error_ms: int
    error_pct: float | None
    precision: float
    recall: float
    f1: float
    per_person: tuple[PersonScore, ...]


def score(truth: Truth, intervals: Iterable[Interval], names: bool = False, offset_ms: int = 0) -> Score:
    """Score a timeline.

    Args:
        truth: what is known.
        intervals: what was found; what lies outside the episode's duration is not looked at.
        names: people are those of the truth by their names. Otherwise names mean nothing, and people are
            matched one to one so that the time they share with the truth is greatest (Kuhn 1955).
        offset_ms: time of the first frame on the clock of the timeline.
    """
    true = _by_person(truth.intervals(), Span(0, truth.duration_ms), 0)
    found = _by_person(intervals, Span(0, truth.duration_ms), offset_ms)
    true = {person: spans for person, spans in true.items() if spans}
    matched = {p: p for p in true if p in found} if names else _match(true, found)
    hit = sum(shared_ms(true[t], found[f]) for t, f in matched.items())
    rows = tuple(
        PersonScore(p, _length(true[p]), _length(found[matched[p]]) if p in matched else 0, matched.get(p))
        for p in sorted(true)
    )
    strangers = found.keys() - matched.values()
    error = sum(abs(r.true_ms - r.found_ms) for r in rows) + sum(_length(found[p]) for p in strangers)
    true_ms, found_ms = sum(map(_length, true.values())), sum(map(_length, found.values()))
    return Score(
        people_true=len(true),
        people_found=len(found),
        error_ms=error,
        error_pct=100 * error / true_ms if true_ms else None,
        precision=hit / found_ms if found_ms else 0.0,
        recall=hit / true_ms if true_ms else 0.0,
        f1=2 * hit / (found_ms + true_ms) if hit else 0.0,
        per_person=rows,
    )


def _by_person(intervals: Iterable[Interval], window: Span, offset_ms: int) -> dict[str, list[Span]]:
    """Disjoint spans of each person, less the offset, clipped to the window."""
    spans: dict[str, list[Span]] = defaultdict(list)
    for row in intervals:
        start, end = row.span.start_ms - offset_ms, row.span.end_ms - offset_ms
        spans[row.person].append(Span(max(start, window.start_ms), min(end, window.end_ms)))
    return {person: fuse(own) for person, own in spans.items()}


def _match(true: _Spans, found: _Spans) -> dict[str, str]:
    """Pairs of true and found people with the greatest shared time in all, without pairs that share none."""
    rows, columns = sorted(true), sorted(found)
    if not rows or not columns:
        return {}
    shared = np.array([[shared_ms(true[t], found[f]) for f in columns] for t in rows], dtype=np.int64)
    pairs = zip(*linear_sum_assignment(shared, maximize=True), strict=True)
    return {rows[i]: columns[j] for i, j in pairs if shared[i, j]}


def _length(spans: Iterable[Span]) -> int:
    return sum(s.length_ms for s in spans)
