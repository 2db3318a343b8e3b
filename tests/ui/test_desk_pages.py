import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from support.desk_page import ComponentPage, component_page, entity, faces, person, review


@pytest.fixture
def stepper(browser: Browser) -> Iterator[ComponentPage]:
    """Manual Add, Ada Park chosen, at the start."""
    with component_page(browser, "desk", {"mode": "manual", "user": "u1", "episode": "e1"}) as page:
        page.page.evaluate("localStorage.clear()")
        page.open()
        page.deliver(("view", review(groups=3)))
        assert page.told()[-1]["wants"] == {"lists": True}
        found = {
            "person": "Ada Park",
            "start_ms": 8000,
            "end_ms": 20_000,
            "source": "auto",
            "confidence": 0.9,
        }
        page.deliver(("timeline", {"items": [found]}), ("spans", {"items": []}))
        page.told()
        yield page


def test_frames_are_stepped_by_one_and_by_seconds(stepper: ComponentPage) -> None:
    shown = stepper.page.locator(".screen img")
    stepper.keys("ArrowRight")
    expect(shown).to_have_attribute("src", "/frame/40")
    stepper.keys("Shift+ArrowRight", "ArrowDown", "ArrowLeft")
    expect(shown).to_have_attribute("src", "/frame/11000")
    stepper.keys("Home", "ArrowLeft")
    expect(shown).to_have_attribute("src", "/frame/0")
    stepper.keys("End", "ArrowRight")
    expect(shown).to_have_attribute("src", "/frame/1799960")


def test_a_marked_interval_ends_with_its_last_frame(stepper: ComponentPage) -> None:
    stepper.keys("ArrowDown", "i", "Shift+ArrowRight", "o", "Enter")
    (action,) = stepper.waiting()
    expected = {"op": "add_span", "person": "p0", "kind": "add", "start_ms": 10_000, "end_ms": 11_040}
    assert action["operation"] == expected
    expect(stepper.page.locator(".spans li")).to_contain_text("saving")


def test_time_is_taken_away_from_somebody_else(stepper: ComponentPage) -> None:
    stepper.keys("j", "t", "i", "Shift+ArrowRight", "o", "Enter")
    (action,) = stepper.waiting()
    assert (action["operation"]["person"], action["operation"]["kind"]) == ("p1", "trim")


def test_somebody_new_can_be_on_screen(stepper: ComponentPage) -> None:
    stepper.keys("n")
    stepper.page.keyboard.type("Hana Sato")
    stepper.keys("Enter", "i", "o", "Enter")
    (action,) = stepper.waiting()
    expected = {"op": "add_span", "name": "Hana Sato", "kind": "add", "start_ms": 0, "end_ms": 40}
    assert action["operation"] == expected


def test_nothing_is_added_without_both_marks(stepper: ComponentPage) -> None:
    stepper.keys("i", "Enter")
    assert stepper.told() == []
    expect(stepper.page.locator(".toast")).to_contain_text("Mark where it begins with I")


def test_an_interval_by_hand_is_removed_where_the_video_stands(stepper: ComponentPage) -> None:
    mine = {"id": "s1", "person_id": "p0", "name": "Ada Park", "kind": "add", "start_ms": 0, "end_ms": 900}
    stepper.deliver(("spans", {"items": [mine]}))
    stepper.keys("Delete")
    (action,) = stepper.waiting()
    assert action["operation"] == {"op": "remove_span", "span": "s1"}
    expect(stepper.page.locator(".spans li")).to_have_count(0)


def test_a_click_on_the_timeline_goes_there(stepper: ComponentPage) -> None:
    bar = stepper.page.locator(".track").last
    box = bar.bounding_box()
    assert box is not None
    bar.click(position={"x": box["width"] / 2, "y": 5})
    at = stepper.page.locator(".screen img").get_attribute("src")
    assert at is not None
    assert int(at.removeprefix("/frame/")) == pytest.approx(900_000, abs=3000)


@pytest.fixture
def pairs(browser: Browser) -> Iterator[ComponentPage]:
    """Pairwise with three pairs."""
    with component_page(browser, "desk", {"mode": "pairs", "user": "u1", "episode": "e1"}) as page:
        page.page.evaluate("localStorage.clear()")
        page.open()
        items = [
            {
                "entity_a": f"g000{i}",
                "entity_b": f"g001{i}",
                "probability": 0.9,
                "at_stake_ms": 9000 - i,
                "rank": i,
            }
            for i in (1, 2, 3)
        ]
        page.deliver(("view", review(groups=20)), ("suggestions", {"items": items}))
        page.told()
        yield page


def test_pairs_are_decided_by_y_n_and_u(pairs: ComponentPage) -> None:
    names = pairs.page.locator(".side h3")
    pairs.keys("u")
    expect(names).to_have_text(["Person 02", "Person 12"])
    pairs.keys("y", "n")
    assert [a["operation"] for a in pairs.waiting()] == [
        {"op": "merge", "groups": ["g0002", "g0012"]},
        {"op": "refuse", "group_a": "g0003", "group_b": "g0013"},
    ]
    expect(names).to_have_text(["Person 01", "Person 11"])
    pairs.keys("n")
    expect(pairs.page.locator(".nothing")).to_contain_text("No pairs to decide")


def test_a_doubt_is_settled_for_its_tracks(browser: Browser) -> None:
    doubt = {
        "piece_ids": ["t1", "t2"], "entity_id": "p0", "reason": "unsure", "seconds": 12.5, "uncertainty": 0.5,
        "priority": 6.0, "rep_det_id": "0a", "det_ids": ["0a", "0b"], "ts_ms": 5000,
        "candidates": [{"person_id": "p1", "name": "Ben Osei", "probability": 0.4}],
    }  # fmt: skip
    with component_page(browser, "desk", {"mode": "doubts", "user": "u1", "episode": "e1"}) as page:
        page.page.evaluate("localStorage.clear()")
        page.open()
        others = [{**doubt, "piece_ids": [f"x{i}"]} for i in range(3)]
        page.deliver(("view", review()), ("doubts", {"items": [doubt, *others]}))
        expect(page.page.locator(".centre h2")).to_have_text("Is this Ada Park?")
        page.keys("Enter", "1", "ArrowRight", " ", "x")
        assert [a["operation"] for a in page.waiting()] == [
            {"op": "assign", "subject": {"pieces": ["t1", "t2"]}, "person": "p0"},
            {"op": "assign", "subject": {"pieces": ["x0"]}, "person": "p1"},
            {"op": "mark", "subject": {"faces": ["0b"]}, "mark": "not_face"},
        ]


def test_arrows_choose_whose_frame_is_shown(pairs: ComponentPage) -> None:
    pairs.keys("ArrowRight")
    expect(pairs.page.locator(".side").nth(1).locator(".big")).to_have_class(re.compile("cursor"))


@pytest.fixture
def lineup(browser: Browser) -> Iterator[ComponentPage]:
    """Line-up with three people found surely, and one who was not."""
    with component_page(browser, "desk", {"mode": "lineup", "user": "u1", "episode": "e1"}) as page:
        page.page.evaluate("localStorage.clear()")
        page.open()
        deliver_lineup(page)
        yield page


def deliver_lineup(page: ComponentPage) -> None:
    found = [person(i, known_from=i + 1, looks=4 - i, confidence=0.99) for i in range(3)]
    page.deliver(("view", review(groups=2, entities=[entity(1), *found, person(3)])))
    assert page.told()[-1]["wants"] == {"faces": ["p0", "p1", "p2"], "limit": 4}
    page.deliver(*[("faces", faces(f"p{i}", 4)) for i in range(3)])
    page.told()


def test_everyone_found_surely_is_confirmed_by_one_key(lineup: ComponentPage) -> None:
    rows = lineup.page.locator(".suspect")
    expect(rows.locator(".name")).to_have_text(["Ada Park", "Ben Osei", "Chiara Rossi"])
    assert [rows.nth(i).locator(".worst .big").count() for i in range(3)] == [4, 3, 2]
    expect(rows.nth(1).locator(".known img")).to_have_attribute("src", "/known/p1")
    lineup.keys("Enter")
    (action,) = lineup.waiting()
    assert action["operation"] == {"op": "confirm", "groups": ["g0900", "g0901", "g0902"]}
    expect(lineup.page.locator(".head h2")).to_have_text("Nobody to confirm here")


def test_who_is_put_aside_is_not_confirmed_and_stays_aside_after_a_reload(lineup: ComponentPage) -> None:
    lineup.keys("j", " ")
    row = lineup.page.locator(".suspect").nth(1)
    expect(row).to_contain_text("put aside")
    expect(row).to_have_attribute("aria-selected", "false")
    lineup.open()
    deliver_lineup(lineup)
    expect(row).to_contain_text("put aside")
    lineup.keys("Enter")
    (action,) = lineup.waiting()
    assert action["operation"] == {"op": "confirm", "groups": ["g0900", "g0902"]}
    expect(lineup.page.locator(".suspect .name")).to_have_text(["Ben Osei"])
    lineup.keys("Enter")
    expect(lineup.page.locator(".toast").last).to_contain_text("All rows are put aside")
    lineup.keys("z")
    assert lineup.page.locator(".suspect").count() == 3


def test_arrows_choose_a_face_of_the_line_up(lineup: ComponentPage) -> None:
    lineup.keys("ArrowDown", "ArrowRight", "f")
    expect(lineup.page.locator(".frame .stage img")).to_have_attribute("src", re.compile("^/frame/"))
    expect(lineup.page.locator(".suspect").nth(1).locator(".big").nth(1)).to_have_class(re.compile("cursor"))


def test_the_help_of_the_queue_has_its_own_keys_alone(browser: Browser) -> None:
    with component_page(browser, "desk", {"mode": "doubts", "user": "u1", "episode": "e1"}) as page:
        page.open()
        page.deliver(("view", review(groups=3)))
        page.keys("?")
        said = page.page.locator(".help").inner_text()
        assert "move among the faces" in said
        assert "U" in page.page.locator(".help kbd").all_inner_texts()
        assert "T" not in page.page.locator(".help kbd").all_inner_texts()
        assert "with Shift" not in said
