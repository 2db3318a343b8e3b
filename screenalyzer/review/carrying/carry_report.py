"""What became of each kind of decision in the current run, for people."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from screenalyzer.review.carrying.anchors import Anchor
from screenalyzer.review.keys import Said
from screenalyzer.review.model import Carried, Person

Kind = Literal["label", "group", "mark", "not_person", "apart", "span", "lock"]
NO_GROUP: Final = "the group was only locked, and was not found like that again"
KINDS: Final[tuple[Kind, ...]] = ("label", "group", "mark", "not_person", "apart", "span", "lock")


@dataclass(frozen=True)
class Lost:
    """A decision that holds nowhere in the current run. It is kept, for a run in which it does.

    Attributes:
        kind: of decision.
        piece_id: what it was about.
        about: the person's name, the mark, or empty.
        start_ms: when that face was seen; None where it is not known.
        reason: for people.
    """

    kind: Kind
    piece_id: str
    about: str
    start_ms: int | None
    reason: str


@dataclass(frozen=True)
class CarryReport:
    """Counts of decisions.

    Attributes:
        carried: of each kind how many hold in the current run; all kinds are there.
        moved: how many pieces are not what they were, and were found again.
        lost: those that do not hold, by time.
    """

    carried: dict[Kind, int] = field(default_factory=dict)
    moved: int = 0
    lost: tuple[Lost, ...] = ()


def report_of(
    items: Mapping[str, Any],
    anchors: Mapping[str, Anchor],
    people: Iterable[Person],
    carried: Carried,
    groups: Collection[str] = (),
) -> CarryReport:
    """Count the decisions that hold, and name those that do not.

    Args:
        items: decisions by key, see `Change`.
        anchors: of their pieces.
        people: of the show.
        carried: what `carry` found.
        groups: ids of the clusters of the run: a lock of one that nobody put anything into holds while it is
            there.
    """
    names = {p.person_id: p.name for p in people}
    counts: Counter[Kind] = Counter(dict.fromkeys(KINDS, 0))
    lost: list[Lost] = []
    said = Said.of(items)
    bare = said.locked - set(groups) - set(said.pins.values())
    reasons = {**carried.lost, **dict.fromkeys(bare, NO_GROUP)}
    for kind, pieces, about in _decisions(said, names):
        missing = [p for p in pieces if p in reasons]
        if not missing or (kind == "lock" and len(missing) < len(pieces)):
            counts[kind] += 1
            continue
        anchor = anchors.get(missing[0])
        start_ms = anchor.start_ms if anchor else None
        lost.append(Lost(kind, missing[0], about, start_ms, reasons[missing[0]]))
    lost.sort(key=lambda o: (o.start_ms is None, o.start_ms or 0, o.piece_id, o.kind))
    moved = len(carried.whole.keys() | carried.parts.keys())
    return CarryReport(dict(counts), moved, tuple(lost))


def _decisions(said: Said, names: Mapping[str, str]) -> Iterator[tuple[Kind, list[str], str]]:
    """Each decision: its kind, the pieces that it needs, and whom or what it is about."""
    for piece, group in said.pins.items():
        mark, person = said.mark.get(group), said.person.get(group)
        kind: Kind = "mark" if mark else "label" if person else "group"
        yield kind, [piece], mark or names.get(person or "", "")
    for piece, who in said.nots.items():
        yield from (("not_person", [piece], names.get(p, "")) for p in sorted(who))
    yield from (("apart", list(pair), "") for pair in said.apart)
    yield from (("span", [], names.get(s.person, "")) for s in said.spans.values())
    for group in sorted(said.locked):
        theirs = [p for p, g in said.pins.items() if g == group]
        yield "lock", theirs or [group], names.get(said.person.get(group, ""), "")
    if said.episode_locked:
        yield "lock", [], ""
