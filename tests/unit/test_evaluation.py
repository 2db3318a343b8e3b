import csv
import json
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from screenalyzer.errors import InputError
from screenalyzer.evaluation import Score, Truth, score
from screenalyzer.types import Interval, Span

SIX = ("ann", "bob", "cat", "dan", "eve", "fay")


def _row(person: str, start: int, end: int) -> Interval:
    return Interval(person, Span(start, end), "auto", 1.0)


def _truth(folder: Path, shots: list[tuple[int, int, list[str]]], duration: int = 60_000) -> Path:
    path = folder / "truth.json"
    form = {
        "episode": "ep01",
        "fps": 25,
        "duration_ms": duration,
        "cast": sorted({p for _, _, people in shots for p in people}),
        "shots": [{"start_ms": a, "end_ms": b, "people": p, "kind": "one"} for a, b, p in shots],
    }
    path.write_text(json.dumps(form))
    return path


def _random_episode(folder: Path, seed: int, grid: int) -> tuple[Path, list[Interval]]:
    """A truth and a flawed run of it: ends moved, people missed, invented, mixed up and split."""
    chance = random.Random(seed)
    cuts = sorted({0, 60_000, *(chance.randrange(60_000 // grid) * grid for _ in range(25))})
    shots = [(a, b, chance.sample(SIX, chance.choice([0, 1, 1, 2, 3]))) for a, b in pairwise(cuts)]
    path = _truth(folder, shots)
    alias = {p: chance.choice([p, p, "x" + p, chance.choice(SIX)]) for p in SIX}
    rows = []
    for i in Truth.load(path).intervals():
        start, end = (min(max(0, t + chance.randint(-20, 20) * grid), 60_000) for t in i.span)
        if end > start and chance.random() < 0.9:
            rows.append(_row(alias[i.person], start, end))
    rows += [_row("stranger", 1000, 1000 + grid * chance.randint(1, 300))]
    return path, rows


def _theirs(scorer: Path, truth: Path, rows: list[Interval], names: bool) -> dict[str, object]:
    run = truth.with_name("timeline.csv")
    with run.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["person_name", "start_ms", "end_ms", "source", "confidence"])
        writer.writerows([r.person, *r.span, r.source, r.confidence] for r in rows)
    command = [sys.executable, str(scorer), str(truth), str(run), *(["--names"] if names else [])]
    found: dict[str, object] = json.loads(
        subprocess.run(command, capture_output=True, check=True, text=True).stdout
    )
    return found


def _same(ours: Score, theirs: dict[str, object], grid_s: float, ratio: float) -> None:
    assert (ours.people_true, ours.people_found) == (theirs["people_true"], theirs["people_found"])
    assert ours.error_ms / 1000 == pytest.approx(theirs["error_s"], abs=grid_s)
    for name in ("precision", "recall", "f1"):
        assert getattr(ours, name) == pytest.approx(theirs[name], abs=ratio), name
    per = theirs["per_person"]
    assert isinstance(per, dict)
    assert [r.person for r in ours.per_person] == list(per)
    for row in ours.per_person:
        assert row.matched == per[row.person]["as"]
        assert row.true_ms / 1000 == pytest.approx(per[row.person]["true_s"], abs=grid_s)
        assert row.found_ms / 1000 == pytest.approx(per[row.person]["found_s"], abs=grid_s)


@pytest.mark.eval
@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_the_scorer_on_its_grid(eval_dir: Path, tmp_path: Path, seed: int, names: bool) -> None:
    truth, rows = _random_episode(tmp_path, seed, grid=20)
    ours = score(Truth.load(truth), rows, names=names)
    _same(ours, _theirs(eval_dir / "score.py", truth, rows, names), grid_s=0.0051, ratio=0.00006)


@pytest.mark.eval
@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_the_scorer_within_its_grid(eval_dir: Path, tmp_path: Path, seed: int) -> None:
    truth, rows = _random_episode(tmp_path, 100 + seed, grid=7)
    rows.append(_row("late", 59_000, 70_000))
    ours = score(Truth.load(truth), rows)
    _same(ours, _theirs(eval_dir / "score.py", truth, rows, False), grid_s=0.04 * len(rows), ratio=0.01)


@pytest.mark.eval
def test_reads_the_truth_of_the_evaluation_season(eval_dir: Path) -> None:
    for path in sorted((eval_dir / "season").glob("*.truth.json")):
        truth = Truth.load(path)
        assert set(truth.cast) == {p for s in truth.shots for p in s.people}
        assert truth.shots[-1].span.end_ms <= truth.duration_ms
        perfect = score(truth, truth.intervals(), names=True)
        assert (perfect.error_ms, perfect.precision, perfect.recall, perfect.f1) == (0, 1.0, 1.0, 1.0)


def test_by_hand(tmp_path: Path) -> None:
    truth = Truth.load(_truth(tmp_path, [(0, 10_000, ["ann"]), (10_000, 20_000, ["ann", "bob"])]))
    found = [_row("p1", 1000, 20_000), _row("p2", 10_000, 14_000), _row("p3", 30_000, 31_000)]
    s = score(truth, found)
    assert (s.people_true, s.people_found) == (2, 3)
    assert s.error_ms == 1000 + 6000 + 1000
    assert s.error_pct == pytest.approx(100 * 8 / 30)
    assert s.precision == pytest.approx(23 / 24)
    assert s.recall == pytest.approx(23 / 30)
    assert s.f1 == pytest.approx(2 * 23 / 54)
    assert [(r.person, r.true_ms, r.found_ms, r.matched) for r in s.per_person] == [
        ("ann", 20_000, 19_000, "p1"),
        ("bob", 10_000, 4000, "p2"),
    ]
    by_name = score(truth, found, names=True)
    assert (by_name.recall, by_name.precision, by_name.f1, by_name.error_ms) == (0.0, 0.0, 0.0, 54_000)


def test_matching_is_best_over_all_not_greedy(tmp_path: Path) -> None:
    truth = Truth.load(_truth(tmp_path, [(0, 10_000, ["ann"]), (20_000, 29_000, ["bob"])]))
    # "a" overlaps ann by 10 s, but giving ann "b" (9 s) frees "a" for bob (9 s).
    found = [_row("a", 0, 10_000), _row("a", 20_000, 29_000), _row("b", 0, 9000)]
    assert {r.person: r.matched for r in score(truth, found).per_person} == {"ann": "b", "bob": "a"}


def test_one_millisecond_is_seen(tmp_path: Path) -> None:
    truth = Truth.load(_truth(tmp_path, [(0, 10_000, ["ann"])]))
    assert score(truth, [_row("ann", 0, 9999)]).error_ms == 1


def test_a_clock_with_an_offset(tmp_path: Path) -> None:
    truth = Truth.load(_truth(tmp_path, [(0, 10_000, ["ann"])]))
    assert score(truth, [_row("ann", 5000, 15_000)], offset_ms=5000).f1 == 1.0


def test_truth_follows_the_rules(tmp_path: Path) -> None:
    shots = [(0, 1000, ["ann"]), (2999, 4000, ["ann"]), (6000, 6400, ["bob"]), (8000, 9000, ["cat", "ann"])]
    truth = Truth.load(_truth(tmp_path, shots))
    assert [(i.person, *i.span) for i in truth.intervals()] == [
        ("ann", 0, 4000),
        ("ann", 8000, 9000),
        ("cat", 8000, 9000),
    ]
    assert score(truth, []).people_true == 2


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    nobody = Truth.load(_truth(tmp_path, [(0, 1000, [])]))
    empty = score(nobody, [])
    assert (empty.error_pct, empty.precision, empty.recall, empty.f1, empty.per_person) == (None, 0, 0, 0, ())
    assert score(nobody, [_row("x", 0, 500)]).error_ms == 500
    somebody = Truth.load(_truth(tmp_path, [(0, 1000, ["ann"])]))
    assert score(somebody, []).error_pct == 100.0


def test_refuses_what_is_no_truth(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        Truth.load(tmp_path / "none.json")
    path = tmp_path / "truth.json"
    for text in ("not json", "[]", "{}", '{"shots": [{"start_ms": 1}]}', "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match="not a truth file"):
            Truth.load(path)
