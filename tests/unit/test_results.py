import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.artifacts import EpisodePaths, write_json, write_table
from screenalyzer.errors import ArtifactError
from screenalyzer.results import (
    EpisodeFacts,
    clock,
    read_rules,
    read_timeline,
    read_totals,
    write_timeline,
    write_totals,
)
from screenalyzer.schemas import TOTALS
from screenalyzer.screentime import timeline, totals
from screenalyzer.settings import ScreenTimeRules
from screenalyzer.types import Interval, Presence, Span

RULES = ScreenTimeRules()
ROWS = [
    Interval('Zoë "Z", Jr.', Span(0, 4000), "auto", 0.9),
    Interval("Ben", Span(500, 1500), "manual", 0.12345),
    Interval("=1+1", Span(9000, 9500), "reviewed", 1.0),
]
MANIFEST = {
    "source": {"sha256": "ab" * 32, "path": "/films/show/ep01.mp4", "size_bytes": 5},
    "show": "show",
    "episode": "ep01",
    "fps": 25.0,
    "duration_ms": 60000,
    "start_ms": 40,
    "width": 1280,
    "height": 720,
    "shots": [{"scene_id": 0, "start_ms": 40, "end_ms": 60040}],
    "missing": [{"start_ms": 100, "end_ms": 200, "reason": "damaged"}],
}


@pytest.fixture
def paths(tmp_path: Path) -> EpisodePaths:
    return EpisodePaths(tmp_path, "show", "ep01")


def test_timeline_csv_is_the_contract(paths: EpisodePaths) -> None:
    write_timeline(paths, ROWS)
    with paths.timeline.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert list(rows[0]) == ["person_name", "start_ms", "end_ms", "source", "confidence"]
    assert [r["person_name"] for r in rows] == [r.person for r in ROWS]
    assert [r["confidence"] for r in rows] == ["0.9000", "0.1235", "1.0000"]


seen = st.builds(
    Presence,
    person=st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=8),
    span=st.builds(lambda a, n: Span(a, a + n), st.integers(-(10**6), 10**9), st.integers(1, 10**5)),
    confidence=st.floats(0, 1),
    source=st.sampled_from(["auto", "reviewed", "manual"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(seen, max_size=12))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, found: list[Presence]
) -> None:
    paths = EpisodePaths(tmp_path_factory.mktemp("results"), "show", "ep01")
    rows = timeline(found, RULES)
    sums = totals(rows, 10**7)
    write_timeline(paths, rows)
    write_totals(paths, sums, RULES)
    assert read_timeline(paths) == rows
    assert read_totals(paths) == sums


def test_both_totals_say_the_same(paths: EpisodePaths) -> None:
    write_totals(paths, totals(ROWS, 60000), RULES)
    with paths.totals_csv.open(newline="", encoding="utf-8") as f:
        text = list(csv.DictReader(f))
    table = pq.read_table(paths.totals_parquet)
    assert table.schema.equals(TOTALS)
    assert list(text[0]) == TOTALS.names
    for name in TOTALS.names:
        kind = type(table[name][0].as_py())
        assert [kind(row[name]) for row in text] == table[name].to_pylist()


def test_equal_results_are_equal_bytes(paths: EpisodePaths, tmp_path: Path) -> None:
    other = EpisodePaths(tmp_path / "other", "show", "ep01")
    for where in (paths, other):
        write_timeline(where, ROWS)
        write_totals(where, totals(ROWS, 60000), RULES)
    for name in ("timeline", "totals_csv", "totals_parquet"):
        assert getattr(paths, name).read_bytes() == getattr(other, name).read_bytes()


def test_the_rules_travel_with_the_totals(paths: EpisodePaths) -> None:
    rules = ScreenTimeRules(fuse_gap_ms=1500)
    write_totals(paths, [], rules)
    assert read_totals(paths) == []
    assert read_rules(paths) == rules
    metadata = pq.read_schema(paths.totals_parquet).metadata
    assert json.loads(metadata[b"rules"])["version"] == 1
    assert b"gaps under 1500 ms" in metadata[b"rules_text"]


def test_totals_without_rules_are_refused(paths: EpisodePaths) -> None:
    write_table(paths.totals_parquet, TOTALS.empty_table(), TOTALS)
    with pytest.raises(ArtifactError, match="does not say its rules"):
        read_rules(paths)


def test_missing_and_damaged_files_are_named(paths: EpisodePaths) -> None:
    for read in (read_timeline, read_totals, read_rules, EpisodeFacts.load):
        with pytest.raises(ArtifactError, match="missing"):
            read(paths)
    paths.timeline.parent.mkdir(parents=True)
    paths.timeline.write_text("person_name,start_ms,end_ms,source,confidence\nAda,soon,later,auto,1\n")
    with pytest.raises(ArtifactError, match="damaged"):
        read_timeline(paths)
    write_json(paths.manifest_json, {**MANIFEST, "shots": [{}]})
    with pytest.raises(ArtifactError, match="damaged"):
        EpisodeFacts.load(paths)


def test_facts_of_the_manifest(paths: EpisodePaths) -> None:
    write_json(paths.manifest_json, MANIFEST)
    facts = EpisodeFacts.load(paths)
    assert (facts.show, facts.episode, facts.file_name) == ("show", "ep01", "ep01.mp4")
    assert (facts.duration_ms, facts.start_ms, facts.width, facts.height) == (60000, 40, 1280, 720)
    assert facts.shots == (Span(40, 60040),)
    assert facts.missing == (Span(100, 200),)


@pytest.mark.parametrize(
    ("ms", "short", "full"),
    [
        (0, "0:00", "0:00:00.000"),
        (999, "0:01", "0:00:00.999"),
        (59_499, "0:59", "0:00:59.499"),
        (59_500, "1:00", "0:00:59.500"),
        (3_599_499, "59:59", "0:59:59.499"),
        (3_600_000, "1:00:00", "1:00:00.000"),
        (90_061_001, "25:01:01", "25:01:01.001"),
        (-1500, "-0:02", "-0:00:01.500"),
    ],
)
def test_clock(ms: int, short: str, full: str) -> None:
    assert clock(ms) == short
    assert clock(ms, hours=True, millis=True) == full
