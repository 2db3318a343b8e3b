"""Words and figures of the pages."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from review_ui.palette import people
from review_ui.parts import ago, clock, exact_clock, plain, size, span_of_time


@given(st.integers(0, 100 * 3600 * 1000))
def test_a_clock_can_be_read_back_to_the_nearest_second(ms: int) -> None:
    parts = [int(p) for p in clock(ms).split(":")]
    assert len(parts) in {2, 3}
    assert all(p < 60 for p in parts[1:])
    seconds = sum(p * 60**n for n, p in enumerate(reversed(parts)))
    assert abs(seconds * 1000 - ms) <= 500


@given(st.integers(0, 100 * 3600 * 1000))
def test_an_exact_clock_can_be_read_back_to_the_tenth(ms: int) -> None:
    whole, tenths = exact_clock(ms).split(".")
    parts = [int(p) for p in whole.split(":")]
    seconds = sum(p * 60**n for n, p in enumerate(reversed(parts)))
    assert abs(seconds * 1000 + int(tenths) * 100 - ms) <= 50


def test_clocks_know_hours_and_times_before_the_start() -> None:
    assert [clock(0), clock(59_999), clock(3_599_600)] == ["0:00", "1:00", "1:00:00"]
    assert clock(-1500) == "-0:02"


def test_waiting_and_sizes_are_in_words() -> None:
    assert [span_of_time(s) for s in (0.2, 59, 60, 3599, 7500)] == [
        "1 s",
        "59 s",
        "1 min",
        "1 h 00 min",
        "2 h 05 min",
    ]
    assert [size(b) for b in (0, 999, 1000, 123_456, 5_000_000_000)] == [
        "0 bytes", "999 bytes", "1.0 KB", "123 KB", "5.0 GB",
    ]  # fmt: skip


def test_moments_are_told_from_now() -> None:
    assert ago(datetime.now(UTC).isoformat()) == "just now"
    assert ago((datetime.now(UTC) - timedelta(minutes=7)).isoformat()) == "7 min ago"
    assert ago("2020-01-02T03:04:05Z") == "02 Jan 2020"


def test_nothing_in_a_name_is_taken_for_markdown() -> None:
    assert plain("*Ada* [x](javascript:1) <b>") == "\\*Ada\\* \\[x\\]\\(javascript\\:1\\) \\<b\\>"


def test_everybody_keeps_a_colour_in_both_themes() -> None:
    names = [f"p{n}" for n in range(25)]
    for dark in (False, True):
        found = people(names, dark)
        assert list(found) == names
        assert len({found[n] for n in names[:10]}) == 10
