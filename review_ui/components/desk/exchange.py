"""Between a desk in a browser and the service: its actions one by one, and what it wants to know."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from review_ui.answers import EditResult, Entity, Face, LoggedEdit
from review_ui.client import Client
from review_ui.components.desk import Mode
from review_ui.components.desk.mailbox import Action, Json, Mailbox, Up
from review_ui.wire import LoginEndedError, ServiceError

_WELL: Final[Json] = {"ok": True, "message": ""}
_UNDOES_NOTHING: Final[Json] = {
    "conflict": False,
    "what": "What it undoes was not done, or changed nothing.",
    "to_do": "",
}
_ON_WHAT_OTHERS_DID: Final = frozenset({"conflict", "stale"})
_LINE: Final = re.compile(r"\((\d+), \d\d:\d\d:\d\d UTC\)")  # how a conflict names the edit that came between
_WORST: Final = 200  # faces that a wall starts with
_LATER: Final = frozenset({"not-ready", "busy"})  # the episode is being processed, or somebody is purged


class _AwayError(Exception):
    """The service cannot be asked now; what was not answered stays in the browser."""


@dataclass
class Exchange:
    """One desk's, for as long as its page is open.

    Attributes:
        episode_id: what is reviewed.
        mode: which page.
        api_url: address of the service for browsers, which its addresses of pictures are relative to.
        mail: to the desk.
        revision: the newest that the desk was told of.
        api: whether the service answers, for the desk.
    """

    episode_id: str
    mode: Mode
    api_url: str
    mail: Mailbox = field(default_factory=Mailbox)
    revision: int = 0
    api: Json = field(default_factory=lambda: dict(_WELL))
    _answered: set[str] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)
    _follows: dict[int, int] = field(default_factory=dict)

    def begin(self, client: Client) -> None:
        """Tell a desk that may be new everything."""
        self.mail = Mailbox()
        self._tell_all(client)

    def hear(self, client: Client, up: Up) -> None:
        """Do what the desk asks for, and write the answers.

        Raises:
            LoginEndedError: nobody is logged in any longer; the actions stay in the browser.
        """
        try:
            if not self.mail.hear(up):
                self.mail = Mailbox(instance=up["instance"])
                self._tell_all(client)
            self._send_all(client, up["queue"])
            if up["count"] > self.mail.met:
                self._meet(client, up["wants"])
                self.mail.met = up["count"]
            self.api = dict(_WELL)
        except LoginEndedError:
            raise
        except (_AwayError, ServiceError) as e:
            self.api = {"ok": False, "message": str(e)}

    def look(self, client: Client) -> Json:
        """What the pulse says: the newest revision, and how the service is."""
        try:
            found = cast(Json, client.changes(self.episode_id, self.revision))
        except LoginEndedError:
            raise
        except ServiceError as e:
            return {"revision": None, "people": None, "api": {"ok": False, "message": e.what}}
        return {"revision": found["revision"], "people": found.get("people_revision"), "api": dict(_WELL)}

    def _send_all(self, client: Client, queue: Sequence[Action]) -> None:
        fresh = [a for a in queue if a["key"] not in self._answered]
        anew = False
        for action in fresh:
            if action["of"] is not None and self._number(action) is None:
                self._drop(action, _UNDOES_NOTHING)
            else:
                anew = self._send(client, action) or anew
        if anew:
            self._tell_view(client)
        if fresh:
            self._tell_lists(client)

    def _send(self, client: Client, action: Action) -> bool:
        """Send one action; says whether the desk must see everything anew."""
        seen = self._since_own(action["seen"])
        try:
            result = self._apply(client, action, seen)
        except LoginEndedError:
            raise
        except ServiceError as e:
            if e.away or e.status >= 500 or e.code in _LATER:
                raise _AwayError(e.what) from e
            self._drop(action, _refusal(e))
            return True
        if result["edit"]:
            self._numbers[action["key"]] = result["edit"]["number"]
        if not result["others"]:
            self._follows[seen] = result["revision"]
        self.revision = result["revision"]
        self._answer(action["key"], "result", {"key": action["key"], "result": dict(result)})
        if result["others"]:
            self._tell_others(result["others"])
        return bool(result["others"])

    def _apply(self, client: Client, action: Action, seen: int) -> EditResult:
        """Send it on what its maker had seen; what they changed themselves since is no conflict."""
        while True:
            try:
                return self._request(client, action, seen)
            except ServiceError as e:
                numbers = _LINE.findall(e.what)  # what stands before the last may be names
                if e.code != "conflict" or not numbers or int(numbers[-1]) not in self._numbers.values():
                    raise
                seen = int(numbers[-1])

    def _request(self, client: Client, action: Action, seen: int) -> EditResult:
        key = action["key"]
        if action["kind"] == "undo":
            return client.undo(self.episode_id, seen, self._number(action), key=key)
        if action["kind"] == "redo":
            return client.redo(self.episode_id, seen, key=key)
        return client.edit(self.episode_id, action["operation"] or {}, seen, key=key)

    def _number(self, action: Action) -> int | None:
        """Of the edit that an undo is about; None for the latest that stands."""
        return action["number"] or self._numbers.get(action["of"] or "")

    def _since_own(self, seen: int) -> int:
        """A revision, moved on over the edits of this desk that directly followed it."""
        while (after := self._follows.get(seen)) is not None and after > seen:
            seen = after
        return seen

    def _answer(self, key: str, kind: Any, body: Json) -> None:
        self._answered.add(key)
        self.mail.put(kind, body)

    def _drop(self, action: Action, why: Json) -> None:
        self._answer(action["key"], "refused", {"key": action["key"], **why})

    def _meet(self, client: Client, wants: Json) -> None:
        if (since := wants.get("news")) is not None:
            found = client.changes(self.episode_id, since)
            self._tell_others(found["items"])
        if wants.get("view") or wants.get("news") is not None:
            self._tell_view(client)
            self._tell_lists(client)
        elif wants.get("lists"):
            self._tell_lists(client)
        for entity_id in wants.get("faces", ()):
            self._tell_faces(client, entity_id, wants["limit"])

    def _tell_all(self, client: Client) -> None:
        view = self._tell_view(client)
        self._tell_lists(client)
        first = _first(view["entities"])
        if self.mode == "faces" and first:  # the desk would ask for it next
            self._tell_faces(client, first, _WORST)

    def _tell_view(self, client: Client) -> Json:
        view = cast(Json, dict(client.review(self.episode_id)))
        view["media"] = {k: self.api_url + v for k, v in view["media"].items()}
        self.revision = view["revision"]
        self.mail.put("view", view)
        return view

    def _tell_lists(self, client: Client) -> None:
        """What the page lists, where it is no part of the view."""
        if self.mode == "doubts":
            self.mail.put("doubts", {"items": client.doubts(self.episode_id)})
        elif self.mode in {"pairs", "merges"}:
            self.mail.put("suggestions", {"items": client.suggestions(self.episode_id)})
        elif self.mode == "manual":
            self.mail.put("timeline", {"items": client.timeline(self.episode_id)["items"]})
            self.mail.put("spans", {"items": client.spans(self.episode_id)})

    def _tell_faces(self, client: Client, entity_id: str, limit: int) -> None:
        try:
            found, total = client.faces(self.episode_id, entity_id, limit)
        except ServiceError as e:
            if e.status != 404:
                raise
            self._tell_view(client)  # it has gone into another meanwhile
            return
        self.mail.put("faces", {"entity_id": entity_id, "total": total, "columns": columns_of(found)})

    def _tell_others(self, edits: Sequence[LoggedEdit]) -> None:
        own = set(self._numbers.values())
        theirs = [{"actor": e["actor"], "label": e["label"]} for e in edits if e["number"] not in own]
        if theirs:
            self.mail.put("others", {"items": theirs})


def _first(entities: Sequence[Entity]) -> str | None:
    """Who All Faces opens with, by the order of its list (js/model.js); None where nobody was found."""

    def place(e: Entity) -> tuple[int, int, str]:
        reviewed = e["kind"] == "person" and not e["auto"] and e["reviewed"] >= 1
        section = 3 if e["mark"] else 0 if e["kind"] != "person" else 2 if reviewed else 1
        return section, -e["seen_ms"], e["entity_id"]

    return min(entities, key=place)["entity_id"] if entities else None


def _refusal(e: ServiceError) -> Json:
    conflict = e.code in _ON_WHAT_OTHERS_DID
    return {"conflict": conflict, "what": e.what, "to_do": "" if conflict else e.to_do}


def columns_of(faces: Sequence[Face]) -> Json:
    """Faces as columns, a third of the size; pieces are named once."""
    pieces = list(dict.fromkeys(f["piece_id"] for f in faces))
    places = {piece: n for n, piece in enumerate(pieces)}
    return {
        "det_id": [f["det_id"] for f in faces],
        "pieces": pieces,
        "piece": [places[f["piece_id"]] for f in faces],
        "ts_ms": [f["ts_ms"] for f in faces],
        "box": [round(v) for f in faces for v in f["box"]],
        "distance": [round(f["distance"], 3) for f in faces],
        "score": [round(f["score"], 3) for f in faces],
        "pinned": [int(f["pinned"]) for f in faces],
    }
