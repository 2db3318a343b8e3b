"""Messages to a desk in a browser, kept until it has them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict
from uuid import uuid4

Json = dict[str, Any]
Kind = Literal["view", "faces", "doubts", "suggestions", "spans", "timeline", "others", "result", "refused"]


class Message(TypedDict):
    """One message; `n` counts from 1 within a mailbox."""

    n: int
    kind: Kind
    body: Json


class Action(TypedDict):
    """An edit, undo or redo that waits in the browser; an undo may be of the key of an action before it."""

    key: str
    kind: Literal["edit", "undo", "redo"]
    operation: Json | None
    number: int | None
    of: str | None
    seen: int


class Up(TypedDict):
    """What a desk tells.

    Attributes:
        instance: the desk; another one after each reload of the page.
        box: the mailbox that `seen` is about.
        count: of its tellings; the wants of one are met once.
        seen: number of the last message that it has.
        queue: what waits, oldest first.
        wants: what it must be told: `view`, `lists`, `faces` with a `limit`, `news` since a revision.
    """

    instance: str
    box: str | None
    count: int
    seen: int
    queue: list[Action]
    wants: Json


@dataclass
class Mailbox:
    """What one desk has still to get.

    Attributes:
        box: names the mailbox.
        instance: the desk that it belongs to; None until one has spoken.
        sent: number of the last message.
        waiting: messages that the desk may not have yet.
        met: count of the last telling whose wants were met.
    """

    box: str = field(default_factory=lambda: uuid4().hex)
    instance: str | None = None
    sent: int = 0
    waiting: list[Message] = field(default_factory=list)
    met: int = 0

    def put(self, kind: Kind, body: Json) -> None:
        """Add a message."""
        self.sent += 1
        self.waiting.append({"n": self.sent, "kind": kind, "body": body})

    def hear(self, up: Up) -> bool:
        """Forget what the desk has; says whether it is the desk that this mailbox belongs to."""
        if self.instance is None:
            self.instance = up["instance"]
        if self.instance != up["instance"]:
            return False
        if up["box"] == self.box:
            self.waiting = [m for m in self.waiting if m["n"] > up["seen"]]
        return True

    def delivery(self, api: Mapping[str, Any]) -> Json:
        """What the desk is handed."""
        return {"instance": self.instance, "box": self.box, "messages": self.waiting, "api": dict(api)}
