"""The script and the truth of the demo: pure, so the full season is checked."""

import json
from functools import lru_cache
from itertools import pairwise

import pytest

from screenalyzer.demo.cast import CAST, NAMES
from screenalyzer.demo.script import CASTS, FPS, FRAME_MS, Part, Script, Walk, truth, write_script
from screenalyzer.demo.season import SEED, DemoFormat

SECONDS = DemoFormat().seconds


@lru_cache
def season(seed: int = SEED) -> list[Script]:
    return [write_script(f"e{i}", i, people, SECONDS, seed) for i, people in enumerate(CASTS["season"], 1)]


@pytest.mark.parametrize("script", season(), ids=lambda s: s.name)
def test_shots_and_truth_tile_the_episode_on_frame_borders(script):
    answers = truth(script)
    assert answers["duration_ms"] == round(SECONDS * 1000) >= 90_000
    assert script.length == SECONDS * FPS
    entries = answers["shots"]
    assert entries[0]["start_ms"] == 0
    assert entries[-1]["end_ms"] == answers["duration_ms"]
    assert all(a["end_ms"] == b["start_ms"] for a, b in pairwise(entries))
    assert all(e["start_ms"] < e["end_ms"] for e in entries)
    assert all(e["start_ms"] % FRAME_MS == 0 for e in entries)
    assert all(a.start + a.length == b.start for a, b in pairwise(script.shots))


@pytest.mark.parametrize("script", season(), ids=lambda s: s.name)
def test_an_episode_has_every_kind_of_shot_and_its_whole_cast(script):
    answers = truth(script)
    assert {e["kind"] for e in answers["shots"]} == {"none", "one", "two", "three", "blip"}
    blips = [e["end_ms"] - e["start_ms"] for e in answers["shots"] if e["kind"] == "blip"]
    assert all(0 < b < 500 for b in blips)
    styles = {s.style for s in script.shots}
    assert styles >= {"closeup", "photo", "panels", "scene", "turn", "walk", "scenery", "graphic", "back"}
    assert {s.light for s in script.shots} - {"none"}
    assert answers["cast"] == sorted(script.cast)
    assert set(script.cast) <= set(CAST)
    assert answers["names"] == {p: NAMES[p] for p in script.cast}


def test_the_season_has_regulars_and_guests():
    casts = [set(people) for people in CASTS["season"]]
    assert set.union(*casts) == set(CAST)
    assert len(set.intersection(*casts)) >= 3
    assert any(len(set.union(*casts) - people) for people in casts)


def test_somebody_is_focused_on_and_somebody_is_seen_in_adjacent_shots():
    scripts = season()
    assert any(s.focus for script in scripts for s in script.shots)
    solo = [[{p.person for p in s.parts} for s in script.shots] for script in scripts]
    assert any(a & b for shots in solo for a, b in pairwise(shots))


def test_whoever_walks_out_is_gone_for_less_than_two_seconds_and_the_others_stay():
    walks = [(script, s) for script in season() for s in script.shots if s.style == "walk"]
    assert len(walks) >= 4
    for script, shot in walks:
        begin, end = shot.start * FRAME_MS, (shot.start + shot.length) * FRAME_MS
        entries = [e for e in truth(script)["shots"] if begin <= e["start_ms"] < end]
        everyone = [p.person for p in shot.parts]
        assert [e["people"] for e in entries] == [everyone, everyone[:-1], everyone]
        assert 500 < entries[1]["end_ms"] - entries[1]["start_ms"] < 2000


def test_a_face_counts_until_its_middle_leaves_the_frame():
    part = Part("P001", walk=Walk(leaves=10, returns=40, side=1), slot=0.5)
    inside = [0 <= part.middle(f) <= 1 for f in range(80)]
    gone = [f for f, here in enumerate(inside) if not here]
    assert gone == list(range(gone[0], gone[-1] + 1))
    assert 10 < gone[0] < 24
    assert 40 < gone[-1] < 54
    assert part.middle(30) == pytest.approx(1.4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others():
    first = json.dumps([truth(s) for s in season()])
    season.cache_clear()
    again, other = (json.dumps([truth(s) for s in season(seed)]) for seed in (SEED, SEED + 1))
    assert first == again
    assert first != other


def test_heads_are_turned_away_only_for_a_moment():
    turns = [s for script in season() for s in script.shots if s.style == "turn"]
    assert turns
    for shot in turns:
        away, back = shot.parts[0].changes
        assert 0 < back - away < 0.6 * FPS
        assert away > 0
        assert back < shot.length


def test_the_back_of_a_head_is_nobody():
    backs = [s for script in season() for s in script.shots if s.style == "back"]
    assert backs
    assert all(s.people(f) == () and s.parts for s in backs for f in range(s.length))
