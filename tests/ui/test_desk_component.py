import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from support.desk_page import ComponentPage, component_page, entity, faces, person, result, review
from support.load import tolerance
from support.scrolling import scroll


@pytest.fixture
def desk(browser: Browser) -> Iterator[ComponentPage]:
    """All Faces of 500 groups, the first of which is open."""
    with component_page(browser, "desk", {"mode": "faces", "user": "u1", "episode": "e1"}) as page:
        page.page.evaluate("localStorage.clear()")
        start(page)
        yield page


def start(desk: ComponentPage, count: int = 60) -> None:
    desk.deliver(("view", review()))
    desk.deliver(("faces", faces("g0001", count)))
    desk.told()


def name(desk: ComponentPage) -> str:
    return desk.page.locator(".centre h2").inner_text()


def test_first_asks_for_the_review_and_then_for_the_faces_of_who_is_open(desk: ComponentPage) -> None:
    desk.open()
    assert desk.told()[-1]["wants"] == {"view": True}
    desk.deliver(("view", review()))
    assert desk.told()[-1]["wants"] == {"faces": ["g0001"], "limit": 200}
    assert name(desk) == "Person 01"


def test_a_long_wall_starts_with_the_worst_and_goes_on_by_itself(desk: ComponentPage) -> None:
    desk.deliver(("view", review()))
    desk.deliver(("faces", {**faces("g0001", 200), "total": 12_000}))
    assert desk.told()[-1]["wants"] == {"faces": ["g0001"], "limit": 10_000}
    head = desk.page.locator(".centre .head")
    expect(head).to_contain_text("loading the rest")
    desk.keys("ArrowRight", "ArrowRight", "a")
    expect(desk.page.locator(".toast").last).to_contain_text("on its way")
    assert desk.page.locator(".cell.selected").count() == 0
    desk.deliver(("faces", {**faces("g0001", 10_000), "total": 12_000}))
    expect(head).not_to_contain_text("loading the rest")
    expect(desk.page.locator(".cell.cursor")).to_have_attribute("data-index", "2")
    desk.keys("a")
    expect(desk.page.locator(".bar")).to_contain_text("10,000 faces selected")
    assert "faces" not in desk.told()[-1]["wants"]


def test_ten_thousand_faces_scroll_with_few_elements_and_without_long_tasks(desk: ComponentPage) -> None:
    desk.deliver(("faces", faces("g0001", 10_000)))
    wall = desk.page.locator(".wall")
    # 60 pixels a frame are half a screen of faces in 0.1 s. A busy machine drops frames of its own, but not
    # in each of several runs.
    assert any(scroll(wall, 60).smooth for _ in range(4))
    flying = scroll(wall, 900)  # more than a screen a frame: every face is another each time
    assert flying.most < 400, "elements are not bounded by what is on screen"
    wall.evaluate("e => e.scrollTop = e.scrollHeight")
    desk.page.wait_for_function(
        "document.getElementById('host').shadowRoot.querySelector('[data-index=\"9999\"]')"
    )


def test_five_hundred_groups_are_on_screen_within_half_a_second(desk: ComponentPage) -> None:
    desk.open()
    took = desk.page.evaluate(
        """view => {
          const began = performance.now();
          const about = {mode: 'faces', user: 'u1', episode: 'e1', instance: null, box: 'a'};
          const messages = [{n: 1, kind: 'view', body: view}];
          window.deliver({...about, api: {ok: true, message: ''}, messages});
          document.getElementById('host').shadowRoot.querySelector('.roster').offsetHeight;
          return performance.now() - began;
        }""",
        review(),
    )
    assert took < 500 * tolerance()
    assert desk.page.locator(".roster .row").count() < 60


def test_j_and_k_walk_the_list_without_a_click(desk: ComponentPage) -> None:
    desk.keys("j", "j", "k")
    assert name(desk) == "Person 02"
    assert desk.told()[-1]["wants"] == {"faces": ["g0002"], "limit": 200}


def test_keys_do_nothing_while_somebody_types(desk: ComponentPage) -> None:
    desk.page.locator("#elsewhere").click()
    desk.page.keyboard.type("jx1n")
    assert name(desk) == "Person 01"
    assert desk.told() == []
    assert desk.page.locator("#elsewhere").input_value() == "jx1n"


def test_a_suggestion_is_taken_at_once_and_the_next_group_comes_up(desk: ComponentPage) -> None:
    desk.keys("2")
    (action,) = desk.waiting()
    assert action["operation"] == {"op": "assign", "subject": {"groups": ["g0001"]}, "person": "p1"}
    assert (action["kind"], action["seen"]) == ("edit", 3)
    assert re.fullmatch("[0-9a-f]{32}", action["key"])
    assert name(desk) == "Person 02"
    expect(desk.page.locator(".toast")).to_contain_text("Person 01 → Ben Osei")
    expect(desk.page.locator(".left h2")).to_have_text("499 groups to name")


def test_enter_accepts_the_first_suggestion(desk: ComponentPage) -> None:
    desk.keys("Enter")
    assert desk.waiting()[0]["operation"]["person"] == "p0"


def test_a_new_person_is_named_by_the_keyboard_alone(desk: ComponentPage) -> None:
    desk.keys("n")
    desk.page.keyboard.type("Zoë <b>Nkosi</b>")
    desk.keys("Enter")
    (action,) = desk.waiting()
    assert action["operation"] == {
        "op": "assign",
        "subject": {"groups": ["g0001"]},
        "name": "Zoë <b>Nkosi</b>",
    }
    desk.keys("j")  # the keyboard is the desk's again
    assert name(desk) == "Person 03"


def test_search_finds_people_by_parts_of_their_names(desk: ComponentPage) -> None:
    desk.keys("/")
    desk.page.keyboard.type("rao")
    expect(desk.page.locator(".picker li.at")).to_contain_text("Gita Rao")
    desk.keys("Enter")
    assert desk.waiting()[0]["operation"]["person"] == "p6"


def test_a_range_is_selected_by_click_and_shift_click_and_acts_on_whole_tracks(desk: ComponentPage) -> None:
    cells = desk.page.locator(".wall .cell")
    at = lambda i: cells.and_(desk.page.locator(f"[data-index='{i}']"))  # noqa: E731
    at(2).click()
    at(12).click(modifiers=["Shift"])
    expect(desk.page.locator(".bar")).to_contain_text("11 faces selected")
    expect(at(0)).to_have_class(re.compile("along"))
    desk.keys("s")
    (action,) = desk.waiting()
    assert action["operation"] == {"op": "split", "subject": {"pieces": ["g0001-t0", "g0001-t1", "g0001-t2"]}}
    assert cells.count() == 60 - 15, "all faces of the three tracks have left"


def test_single_faces_can_be_meant_instead_of_their_tracks(desk: ComponentPage) -> None:
    desk.keys("ArrowRight", " ", "t", "x")
    (action,) = desk.waiting()
    assert action["operation"]["op"] == "mark"
    assert list(action["operation"]["subject"]) == ["faces"]
    assert len(action["operation"]["subject"]["faces"]) == 1


def test_arrows_with_shift_select(desk: ComponentPage) -> None:
    desk.keys("Shift+ArrowRight", "Shift+ArrowRight")
    expect(desk.page.locator(".bar")).to_contain_text("3 faces selected")
    desk.keys("Escape")
    expect(desk.page.locator(".bar")).not_to_contain_text("selected")


def test_chosen_rows_are_merged(desk: ComponentPage) -> None:
    desk.keys("Shift+J", "Shift+J", "m")
    (action,) = desk.waiting()
    assert action["operation"] == {"op": "merge", "groups": ["g0001", "g0002", "g0003"]}
    assert name(desk) == "Person 01"
    expect(desk.page.locator(".left h2")).to_have_text("498 groups to name")


def test_two_people_are_merged_only_after_a_question(desk: ComponentPage) -> None:
    desk.page.locator(".roster").evaluate("e => e.scrollTop = 1e9")
    desk.page.locator(".row", has_text="Ada Park").click()
    desk.page.locator(".row", has_text="Ben Osei").click(modifiers=["Control"])
    desk.keys("m")
    assert desk.waiting() == []
    desk.page.get_by_role("button", name="Yes").click()
    assert desk.waiting()[0]["operation"] == {"op": "merge_people", "person": "p1", "into": "p0"}


def test_enter_is_about_all_rows_that_are_chosen(desk: ComponentPage) -> None:
    toasts = desk.page.locator(".toasts")
    desk.keys("Shift+J", "Enter")
    (action,) = desk.waiting()
    groups = {"groups": ["g0001", "g0002"]}
    assert action["operation"] == {"op": "assign", "subject": groups, "person": "p0"}
    expect(toasts).to_contain_text("2 groups → Ada Park")
    desk.keys("z")
    desk.page.locator(".roster").evaluate("e => e.scrollTop = 1e9")
    desk.page.locator(".row", has_text="Ada Park").click()
    desk.page.locator(".row", has_text="Ben Osei").click(modifiers=["Control"])
    expect(desk.page.locator(".right h3")).to_have_text("Who are these 2?")
    expect(desk.page.locator(".right .primary")).to_contain_text("Confirm all 2")
    desk.keys("Enter")
    confirmed = desk.waiting()[-1]
    assert confirmed["operation"] == {"op": "confirm", "groups": ["g0900", "g0901"]}
    expect(toasts).to_contain_text("Confirmed Ada Park, Ben Osei")


def test_enter_asks_whose_groups_are_that_are_chosen_with_several_people(desk: ComponentPage) -> None:
    desk.page.locator(".roster").evaluate("e => e.scrollTop = 1e9")
    desk.page.locator(".row", has_text="Ada Park").click()
    desk.page.locator(".row", has_text="Ben Osei").click(modifiers=["Control"])
    desk.page.locator(".row", has_text="Person 500").click(modifiers=["Control"])
    desk.keys("Enter")
    assert desk.waiting() == []
    expect(desk.page.locator(".toasts")).to_contain_text("choose whose they are")
    desk.page.locator(".row", has_text="Ben Osei").click(modifiers=["Control"])
    desk.keys("Enter")
    (action,) = desk.waiting()
    assert action["operation"]["person"] == "p0"
    assert set(action["operation"]["subject"]["groups"]) == {"g0500", "g0900"}


def test_undo_takes_back_at_once_what_was_not_even_sent(desk: ComponentPage) -> None:
    desk.keys("1", "z")
    edit, undo = desk.waiting()
    assert (edit["kind"], undo["kind"], undo["of"]) == ("edit", "undo", edit["key"])
    expect(desk.page.locator(".left h2")).to_have_text("500 groups to name")


def test_the_undo_beside_a_word_is_of_what_the_word_is_about(desk: ComponentPage) -> None:
    desk.keys("1", "2")
    first, second = desk.waiting()
    desk.page.locator(".toast", has_text="Person 01 → Ada Park").get_by_role("button").click()
    *_, undo = desk.waiting()
    assert (undo["kind"], undo["of"]) == ("undo", first["key"])
    expect(desk.page.locator(".left h2")).to_have_text("499 groups to name")
    desk.deliver(("result", result(first["key"], 4, [], [])), ("result", result(second["key"], 5, [], [])))
    assert [(a["kind"], a["number"]) for a in desk.waiting()] == [("undo", 4)], "it is known by its number"
    desk.page.locator(".toast", has_text="Person 02 → Ben Osei").get_by_role("button").click()
    assert [(a["of"], a["number"]) for a in desk.waiting()] == [(first["key"], 4), (None, 5)]


def test_people_who_were_changed_in_another_episode_are_asked_for(desk: ComponentPage) -> None:
    def pulse(revision: int, people: int) -> None:
        detail = {"revision": revision, "people": people, "api": {"ok": True, "message": ""}}
        desk.page.evaluate(
            "detail => window.dispatchEvent(new CustomEvent('screenalyzer:pulse', { detail }))", detail
        )

    pulse(3, 7)
    pulse(3, 7)
    assert desk.told() == []
    pulse(3, 8)
    assert [t["wants"] for t in desk.told()] == [{"view": True}]
    pulse(3, 8)
    assert desk.told() == []


def test_the_answer_takes_the_place_of_the_guess(desk: ComponentPage) -> None:
    desk.keys("1")
    (action,) = desk.waiting()
    home = person(0, group_ids=["g0900", "g0001"], seen_ms=499_700)
    desk.deliver(("result", result(action["key"], 4, [home], ["g0001"])))
    assert desk.page.evaluate("Object.keys(localStorage).length") == 0
    desk.keys("2")
    assert [a["seen"] for a in desk.waiting()] == [4]


def test_actions_survive_a_reload_and_are_sent_again_in_order(desk: ComponentPage) -> None:
    desk.keys("1", "2", "x")
    before = desk.waiting()
    assert len(before) == 3
    desk.open()
    assert desk.waiting() == before
    desk.deliver(("view", review()))
    expect(desk.page.locator(".left h2")).to_have_text("497 groups to name")
    desk.deliver(("result", result(before[0]["key"], 4, [], ["g0001"])))
    assert desk.waiting() == before[1:]
    desk.open()
    assert desk.waiting() == before[1:]


def test_what_is_not_answered_is_sent_again_with_the_same_key(desk: ComponentPage) -> None:
    desk.keys("1")
    before = desk.waiting()
    desk.page.wait_for_function("window.told.length > 0", timeout=8000)
    assert desk.waiting() == before


def test_a_lost_connection_is_said_with_what_waits(desk: ComponentPage) -> None:
    desk.keys("1", "1")
    line = desk.page.locator(".connection")
    expect(line).to_contain_text("2 actions are kept in this browser", timeout=8000)
    expect(line).to_contain_text("Connection lost")
    desk.deliver()
    expect(line).to_be_hidden()
    desk.deliver(api={"ok": False, "message": "The service does not answer."})
    expect(line).to_contain_text("The service does not answer. 2 actions are kept")


def test_a_conflict_says_who_did_what_and_can_be_decided_again(desk: ComponentPage) -> None:
    desk.keys("1")
    (action,) = desk.waiting()
    desk.deliver(
        (
            "refused",
            {"key": action["key"], "conflict": True, "what": "bea named Person 01 Esi Mensah.", "to_do": ""},
        ),
        ("view", review(revision=5)),
    )
    card = desk.page.locator(".card")
    expect(card).to_contain_text("Not done: Person 01 → Ada Park")
    expect(card).to_contain_text("bea named Person 01 Esi Mensah.")
    expect(desk.page.locator(".left h2")).to_have_text("500 groups to name")
    card.get_by_role("button", name="Do it all the same").click()
    (again,) = desk.waiting()
    assert again["operation"] == action["operation"]
    assert again["seen"] == 5
    assert again["key"] != action["key"]


def test_names_are_text_whatever_they_hold(desk: ComponentPage) -> None:
    nasty = "<img src=x onerror=window.hit=1>&amp;\"'"
    view = review(groups=2, people=0)
    view["entities"] = [
        entity(1, name=nasty, candidates=[{"person_id": "p0", "name": nasty, "probability": 0.5}])
    ]
    view["people"] = [{"person_id": "p0", "name": nasty}]
    desk.deliver(("view", view))
    assert name(desk) == nasty
    desk.keys("/")
    expect(desk.page.locator(".picker li.at span").first).to_have_text(nasty)
    desk.keys("Escape", "1")
    expect(desk.page.locator(".toast").last).to_contain_text(nasty)
    assert desk.page.evaluate("window.hit") is None


def test_the_frame_shows_the_box_where_the_face_is(desk: ComponentPage) -> None:
    desk.keys("f")
    frame, box = (desk.page.locator(f".frame {s}").bounding_box() for s in (".stage", ".box"))
    assert frame is not None
    assert box is not None
    assert (box["x"] - frame["x"]) / frame["width"] == pytest.approx(600 / 1920, abs=0.01)
    assert box["height"] / frame["height"] == pytest.approx(360 / 1080, abs=0.01)
    desk.keys("f")
    expect(desk.page.locator(".frame")).to_have_count(0)


def test_help_lists_every_key(desk: ComponentPage) -> None:
    desk.keys("?")
    shown = desk.page.locator(".help kbd").all_inner_texts()
    assert {"J", "K", "1-9", "Enter", "/", "N", "Space", "M", "S", "X", "B", "F", "Z", "Shift+Z", "?"} <= set(
        shown
    )
    desk.keys("Escape")
    expect(desk.page.locator(".help")).to_have_count(0)


def test_new_data_for_another_page_are_not_taken(desk: ComponentPage) -> None:
    desk.page.evaluate("window.deliver({instance: 'other', box: 'b', messages: [], api: {ok: true}})")
    (told,) = desk.told()
    assert told["instance"] != "other"


def test_decisions_that_hold_nowhere_any_longer_are_listed(desk: ComponentPage) -> None:
    lost = {
        "kind": "label",
        "piece_id": "t",
        "about": "Ada Park",
        "start_ms": 61_000,
        "reason": "no face is there",
    }
    desk.deliver(("view", review(carried={"carried": {}, "moved": 0, "lost": [lost]})))
    desk.page.get_by_text("1 decision was not found again").click()
    expect(desk.page.locator(".lost li")).to_have_text("Ada Park · at 1:01.0 · no face is there")
    desk.keys("j")
    expect(desk.page.locator(".lost li")).to_be_visible()


def test_an_undo_names_the_edit_that_it_is_about(desk: ComponentPage) -> None:
    desk.deliver(("view", review(revision=7, undo={"number": 7, "label": "Assign Person 01 to Ada Park"})))
    desk.keys("z", "z")
    first, second = desk.waiting()
    assert (first["kind"], first["number"], second["number"]) == ("undo", 7, None)
    expect(desk.page.locator(".toast").first).to_contain_text("Assign Person 01 to Ada Park")
