"""An episode under review at one moment, as far as planning an edit asks."""

from dataclasses import dataclass
from functools import cached_property

from screenalyzer.review.cast import Cast
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.grouping import Found, Grouping, group
from screenalyzer.review.keys import Said
from screenalyzer.review.model import Base, Person
from screenalyzer.review.names import entity_names
from screenalyzer.review.pieces import Cutter


@dataclass(frozen=True)
class State:
    """Who is who and what is whose.

    Attributes:
        base: what was found.
        cutter: its tracks.
        found: the base, arranged for grouping.
        decisions: what people decided.
        said: the same, by what it is about.
        cast: the people.
        grouping: the pieces.
        names: entity to the name that is shown.
    """

    base: Base
    cutter: Cutter
    found: Found
    decisions: Decisions
    said: Said
    cast: Cast
    grouping: Grouping
    names: dict[str, str]

    def piece_at(self, row: int) -> str:
        """The piece that a row of the observations belongs to, which must be of a track."""
        return self._cut_rows.get(row) or self.cutter.track_at(row)

    @cached_property
    def _cut_rows(self) -> dict[int, str]:
        """The piece of each row of the tracks that are cut."""
        cut = [p for p in self.grouping.pieces.values() if not p.whole or p.piece_id != p.track_id]
        return {row: p.piece_id for p in cut for row in p.members.tolist()}

    def called(self, group: str) -> str:
        """What a group is called."""
        return self.names[self.grouping.entity_of[group]]


def state_of(
    base: Base, cutter: Cutter, found: Found, decisions: Decisions, people: dict[str, Person]
) -> State:
    """Work out who is who and what is whose."""
    said = Said.of(decisions.items())
    names = set(found.name.values()) | set(base.gallery.names if base.gallery else ())
    cast = Cast(people, names)
    pieces = cutter.cut(found.parts_now(said))
    grouping = group(pieces, found, said, cast)
    return State(base, cutter, found, decisions, said, cast, grouping, entity_names(grouping, cast))
