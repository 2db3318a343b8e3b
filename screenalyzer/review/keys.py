"""The keys of decisions, written and read. See `Change` for what each means."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from screenalyzer.review.model import Part
from screenalyzer.types import Span

_NAMESPACE = uuid5(NAMESPACE_URL, "screenalyzer:review")
EPISODE_LOCKED = "episode/locked"


def derived_id(*words: str) -> str:
    """The id that stands for some words: the same ones give the same id."""
    return str(uuid5(_NAMESPACE, "\n".join(words)))


def part_id(track_id: str, det_ids: Iterable[str]) -> str:
    """The id of some detections of a track as a piece of their own."""
    return derived_id("part", track_id, *sorted(det_ids))


def part_key(piece: str) -> str:
    """Key of what a part is."""
    return f"piece/{piece}/part"


def pin_key(piece: str) -> str:
    """Key of the group that a person put a piece into."""
    return f"piece/{piece}/group"


def not_key(piece: str, person: str) -> str:
    """Key of a piece's not being a person."""
    return f"piece/{piece}/not/{person}"


def apart_key(one: str, other: str) -> str:
    """Key of two pieces' not being one person, in either order."""
    return f"apart/{min(one, other)}/{max(one, other)}"


def group_key(group: str, what: str) -> str:
    """Key of an attribute of a group: person, mark, locked or number."""
    return f"group/{group}/{what}"


def span_key(span: str) -> str:
    """Key of a span that was added or trimmed."""
    return f"span/{span}"


def person_key(person: str) -> str:
    """Key of a person of the show."""
    return f"person/{person}"


class SpanDecision(NamedTuple):
    """A stretch in which a person is on screen (`add`) or is not (`trim`), whatever was detected."""

    span_id: str
    person: str
    kind: str
    span: Span


@dataclass
class Said:
    """All decisions of an episode by what they are about.

    Attributes:
        parts: piece to what it is.
        pins: piece to group.
        nots: piece to the ids of people that it is not.
        apart: pairs of pieces.
        person: group to person.
        mark: group to mark.
        number: group to number.
        locked: groups.
        spans: by id.
        episode_locked: nothing may be changed.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    nots: dict[str, set[str]] = field(default_factory=dict)
    apart: list[tuple[str, str]] = field(default_factory=list)
    person: dict[str, str] = field(default_factory=dict)
    mark: dict[str, str] = field(default_factory=dict)
    number: dict[str, str] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    spans: dict[str, SpanDecision] = field(default_factory=dict)
    episode_locked: bool = False

    @classmethod
    def of(cls, items: Mapping[str, Any]) -> "Said":
        """Sort decisions, given by key."""
        said = cls()
        for key, value in sorted(items.items()):
            kind, owner, *rest = key.split("/")
            if kind == "piece":
                said._piece(owner, rest, value)
            elif kind == "group":
                said._group(owner, rest[0], value)
            elif kind == "apart":
                said.apart.append((owner, rest[0]))
            elif kind == "span":
                when = Span(value["start_ms"], value["end_ms"])
                said.spans[owner] = SpanDecision(owner, value["person"], value["kind"], when)
            elif key == EPISODE_LOCKED:
                said.episode_locked = bool(value)
        return said

    def _piece(self, piece: str, rest: list[str], value: Any) -> None:
        if rest[0] == "group":
            self.pins[piece] = value
        elif rest[0] == "part":
            self.parts[piece] = Part(value["track"], tuple(value["dets"]))
        else:
            self.nots.setdefault(piece, set()).add(rest[1])

    def _group(self, group: str, what: str, value: Any) -> None:
        if what == "locked":
            self.locked.add(group)
        else:
            {"person": self.person, "mark": self.mark, "number": self.number}[what][group] = value
