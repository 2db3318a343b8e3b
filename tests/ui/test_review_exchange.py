"""Between a desk in a browser and the real API, without the browser: what is sent, and what comes of it."""

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from support.analysts import Reviewer, unnamed
from support.api import Api, shelve
from support.callers import PASSWORD, person

from review_ui.client import Client
from review_ui.components.desk.exchange import Exchange, columns_of
from review_ui.components.desk.mailbox import Action, Mailbox, Up
from review_ui.logins import log_in
from review_ui.views.audit_sample import save
from review_ui.wire import ServiceError, Wire
from screenalyzer.artifacts import EpisodePaths

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode


class Desk:
    """What a desk in a browser does: it tells its queue and takes messages."""

    def __init__(self, client: Client, exchange: Exchange) -> None:
        self.client, self.exchange = client, exchange
        self.instance, self.count, self.seen = uuid4().hex, 0, 0

    def tell(self, *queue: Action, **wants: Any) -> list[dict[str, Any]]:
        """Tell, and return the messages that are new."""
        self.count += 1
        box = self.exchange.mail.box
        up = Up(
            instance=self.instance, box=box, count=self.count, seen=self.seen, queue=list(queue), wants=wants
        )
        self.exchange.hear(self.client, up)
        if self.exchange.mail.box != box:
            self.seen = 0
        fresh = [m for m in self.exchange.mail.waiting if m["n"] > self.seen]
        self.seen = self.exchange.mail.sent
        return [dict(m) for m in fresh]


def action(seen: int, **operation: Any) -> Action:
    return Action(key=uuid4().hex, kind="edit", operation=operation, number=None, of=None, seen=seen)


def undo(seen: int, number: int | None = None, of: str | None = None) -> Action:
    return Action(key=uuid4().hex, kind="undo", operation=None, number=number, of=of, seen=seen)


def assign(seen: int, entity: dict[str, Any], name: str) -> Action:
    return action(seen, op="assign", subject={"groups": entity["group_ids"]}, name=name)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [m["kind"] for m in messages]


@pytest.fixture
def ben(api: Api, processed: EpisodePaths, short_season: "list[DemoEpisode]") -> Reviewer:
    return Reviewer(api, shelve(api.services, processed, short_season[0].video))


@pytest.fixture
def eve(api: Api, ben: Reviewer) -> Reviewer:
    return Reviewer(api, ben.episode_id, person(api.services, "eve", "analyst"))


@pytest.fixture
def desk(ben: Reviewer, lines: Wire) -> Desk:
    client = Client(log_in("ben", PASSWORD, None, lambda: lines), lines)
    exchange = Exchange(ben.episode_id, "faces", "https://api.example")
    exchange.begin(client)
    return Desk(client, exchange)


def test_a_new_desk_is_told_the_review_with_addresses_for_browsers(desk: Desk) -> None:
    view, faces = desk.tell()
    assert view["kind"] == "view"
    assert view["body"]["media"]["thumb"].startswith("https://api.example/v1/media/")
    longest = max(view["body"]["entities"], key=lambda e: e["seen_ms"] if e["kind"] == "group" else -1)
    assert faces["kind"] == "faces"
    assert faces["body"]["entity_id"] == longest["entity_id"]


def test_wants_are_met_once(desk: Desk, ben: Reviewer) -> None:
    entity = unnamed(ben.read())[0]
    desk.tell()
    (told,) = desk.tell(faces=[entity["entity_id"]], limit=1000)
    faces = ben.get(f"entities/{entity['entity_id']}/faces")["items"]
    assert told["body"]["columns"]["det_id"] == [f["det_id"] for f in faces]
    desk.count -= 1
    assert desk.tell(faces=[entity["entity_id"]], limit=1000) == []


def test_several_actions_on_the_same_are_no_conflict_with_themselves(desk: Desk, ben: Reviewer) -> None:
    entity = unnamed(ben.read())[0]
    mark = action(0, op="mark", subject={"groups": entity["group_ids"]}, mark="background")
    told = desk.tell(assign(0, entity, "Ada"), assign(0, entity, "Bea"), mark)
    assert kinds(told) == ["view", "faces", "result", "result", "result"]
    assert ben.read()["revision"] == 3


def test_nor_where_somebody_else_has_edited_something_else_between(
    desk: Desk, ben: Reviewer, eve: Reviewer
) -> None:
    first, second = unnamed(ben.read())[:2]
    eve.read()
    eve.assign(second, "Esi")
    told = desk.tell(assign(0, first, "Ada"), assign(0, first, "Bea"))
    assert kinds(told) == ["view", "faces", "result", "others", "result", "view"]
    assert told[3]["body"]["items"][0]["actor"] == "eve"
    assert {"Bea", "Esi"} <= set(ben.totals())


def test_an_action_on_what_somebody_else_has_changed_is_dropped_with_the_reason(
    desk: Desk, ben: Reviewer, eve: Reviewer
) -> None:
    first, second = unnamed(ben.read())[:2]
    eve.read()
    eve.assign(first, "Esi")
    lost, kept = assign(0, first, "Ada"), assign(0, second, "Bea")
    told = desk.tell(lost, kept)
    refused = next(m["body"] for m in told if m["kind"] == "refused")
    assert (refused["key"], refused["conflict"]) == (lost["key"], True)
    assert "eve" in refused["what"]
    assert kinds(told)[-1] == "view"
    assert {"Bea", "Esi"} <= set(ben.totals())
    assert "Ada" not in ben.totals()


def test_what_was_answered_is_not_sent_again(desk: Desk, ben: Reviewer) -> None:
    entity = unnamed(ben.read())[0]
    once = assign(0, entity, "Ada")
    desk.tell(once)
    assert desk.tell(once) == []
    assert ben.read()["revision"] == 1


def test_after_a_reload_an_action_that_was_applied_is_answered_as_before(
    desk: Desk, ben: Reviewer, lines: Wire
) -> None:
    entity = unnamed(ben.read())[0]
    once = assign(0, entity, "Ada")
    first = desk.tell(once)
    again = Exchange(ben.episode_id, "faces", "")
    again.begin(desk.client)
    second = Desk(desk.client, again).tell(once)
    assert [m["body"] for m in first if m["kind"] == "result"] == [
        m["body"] for m in second if m["kind"] == "result"
    ]
    assert ben.read()["revision"] == 1


def test_an_undo_takes_back_the_action_that_it_names(desk: Desk, ben: Reviewer) -> None:
    first, second = unnamed(ben.read())[:2]
    before = ben.totals()
    a, b = assign(0, first, "Ada"), assign(0, second, "Bea")
    desk.tell(a, b, undo(0, of=a["key"]))
    assert "Bea" in ben.totals()
    assert "Ada" not in ben.totals()
    desk.tell(undo(3, number=2))
    assert ben.totals() == before


def test_an_undo_of_what_was_refused_undoes_nothing(desk: Desk, ben: Reviewer, eve: Reviewer) -> None:
    first = unnamed(ben.read())[0]
    eve.read()
    eve.assign(first, "Esi")
    lost = assign(0, first, "Ada")
    told = desk.tell(lost, undo(0, of=lost["key"]))
    assert kinds(told) == ["view", "faces", "refused", "refused", "view"]
    assert "Esi" in ben.totals()


def test_an_undo_of_what_nobody_knows_any_longer_undoes_nothing_else(desk: Desk, ben: Reviewer) -> None:
    """The page was left between an action that changed nothing, or was refused, and its undo."""
    entity = unnamed(ben.read())[0]
    known, same = assign(0, entity, "Ada"), assign(0, entity, "Ada")
    told = desk.tell(known, same, undo(0, of=same["key"]))
    assert kinds(told) == ["view", "faces", "result", "result", "refused"]
    assert kinds(desk.tell(undo(1, of=uuid4().hex))) == ["refused"]
    assert ben.read()["revision"] == 1
    assert kinds(desk.tell(undo(1, number=1, of=known["key"]))) == ["result"]
    assert "Ada" not in ben.totals()


def test_while_the_episode_is_processed_actions_wait_in_the_browser(
    desk: Desk, ben: Reviewer, api: Api
) -> None:
    entity = unnamed(ben.read())[0]
    paths = EpisodePaths(api.services.settings.root, "My-Show", "s01e01")
    marker = paths.marker("cluster")
    kept = marker.read_bytes()
    marker.unlink()
    waiting = assign(0, entity, "Ada")
    assert kinds(desk.tell(waiting)) == ["view", "faces"]
    assert desk.exchange.api["ok"] is False
    assert "Wait until its job is done" in desk.exchange.api["message"]
    marker.write_bytes(kept)
    assert kinds(desk.tell(waiting)) == ["result"]
    assert "Ada" in ben.totals()


def test_a_desk_that_was_loaded_anew_is_told_everything_anew(desk: Desk) -> None:
    desk.tell()
    box = desk.exchange.mail.box
    other = Desk(desk.client, desk.exchange)
    assert kinds(other.tell()) == ["view", "faces"]
    assert desk.exchange.mail.box != box


def test_news_are_told_with_who_did_them(desk: Desk, ben: Reviewer, eve: Reviewer) -> None:
    desk.tell()
    eve.assign(unnamed(eve.read())[0], "Esi")
    assert desk.exchange.look(desk.client)["revision"] == 1
    told = desk.tell(news=0)
    assert kinds(told) == ["others", "view"]
    assert told[0]["body"]["items"][0]["actor"] == "eve"


def test_while_the_service_is_away_nothing_is_answered(desk: Desk, ben: Reviewer) -> None:
    entity = unnamed(ben.read())[0]
    away = Client(desk.client._login, Wire(_nowhere()))
    waiting = assign(0, entity, "Ada")
    real, desk.client = desk.client, away
    assert kinds(desk.tell(waiting)) == ["view", "faces"]
    assert desk.exchange.api["ok"] is False
    desk.client = real
    assert kinds(desk.tell(waiting)) == ["result"]
    assert desk.exchange.api["ok"] is True


def test_messages_are_kept_until_the_desk_has_them() -> None:
    mail = Mailbox()
    mail.put("view", {})
    mail.put("faces", {})
    up = Up(instance="i", box=mail.box, count=1, seen=1, queue=[], wants={})
    assert mail.hear(up)
    assert [m["n"] for m in mail.waiting] == [2]
    assert mail.hear({**up, "seen": 9, "box": "another"})
    assert [m["n"] for m in mail.waiting] == [2]
    assert not mail.hear({**up, "instance": "another"})


def test_a_sample_is_saved_as_it_was_seen(desk: Desk, ben: Reviewer, eve: Reviewer) -> None:
    """What somebody else has changed since is not overwritten; what they did elsewhere is in nobody's way."""
    groups = unnamed(ben.read())
    for group, name in zip(groups, ("Ada", "Bea"), strict=False):
        ben.assign(group, name)
    ada, bea = (e for e in ben.read()["entities"] if e["kind"] == "person")
    right, wrong = (ben.get(f"entities/{e['entity_id']}/faces")["items"][:1] for e in (ada, bea))
    seen = desk.client.review(ben.episode_id)
    eve.read()
    eve.assign(groups[2], "Esi")
    save(desk.client, seen, right, wrong)
    assert ben.get("edits")["items"][0]["label"].endswith(f": not {bea['name']}")
    seen = desk.client.review(ben.episode_id)
    eve.read()
    eve.assign(ada, "Eli")
    with pytest.raises(ServiceError, match="eve"):
        save(desk.client, seen, right, [])
    assert "Eli" in ben.totals()


def test_columns_name_each_piece_once() -> None:
    face = {"track_id": "t", "entity_id": "e", "box": [1.2, 2.7, 3.0, 4.0], "distance": 0.12345, "score": 0.5}
    faces: list[Any] = [
        {**face, "det_id": str(i), "piece_id": p, "ts_ms": i, "pinned": i == 1} for i, p in enumerate("aba")
    ]
    found = columns_of(faces)
    assert (found["pieces"], found["piece"]) == (["a", "b"], [0, 1, 0])
    assert found["box"][:4] == [1, 3, 3, 4]
    assert found["pinned"] == [0, 1, 0]


def _nowhere() -> Any:
    from review_ui.wire import Address  # noqa: PLC0415 - of this test alone

    return Address("http://127.0.0.1:1", "", "")
