"""An edit while it is worked out: the changes so far, and what they are about."""

from collections.abc import Collection, Iterable
from typing import Any

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.cast import value_of
from screenalyzer.review.grouping import Group
from screenalyzer.review.keys import (
    apart_key,
    derived_id,
    group_key,
    not_key,
    part_id,
    part_key,
    person_key,
    pin_key,
)
from screenalyzer.review.model import Change, Person, Planned
from screenalyzer.review.operations import Subject
from screenalyzer.review.planning.locks import guard
from screenalyzer.review.state import State

_SOME = 3  # names in a label


class Draft:
    """Changes of decisions over a state, which stays as it is.

    Attributes:
        state: what is edited.
        touches: see `Entry`.
        reads: see `Planned`.
    """

    def __init__(self, state: State) -> None:
        """Begin with nothing."""
        self.state = state
        self.touches: set[str] = set()
        self.reads: set[str] = {"episode"}
        self._after: dict[str, Any] = {}
        self._homes: dict[str, str] = {}
        self._made: dict[str, Person] = {}

    def planned(self, label: str) -> Planned:
        """What came of it.

        Raises:
            EditRefusedError: something that is locked would change.
        """
        changes = [Change(k, self._before(k), after) for k, after in self._after.items()]
        changes = [c for c in changes if c.before != c.after]
        guard(self.state, changes, self._homes)
        touches = frozenset(self.touches) if changes else frozenset()
        return Planned(tuple(changes), touches, frozenset(self.reads), label)

    def decide(self, key: str, value: Any) -> None:
        """Decide."""
        self._after[key] = value

    # People

    def person(self, person: str | None, name: str | None) -> str:
        """The id of somebody given by id or by name; a name that nobody bears makes somebody.

        Raises:
            EditRefusedError: there is nobody of this id, or the name was somebody else's before.
        """
        cast = self.state.cast
        if name is not None:
            bearer = cast.bearer(name)
            if bearer is None:
                cast.check_free(name)
                made = Person(cast.new_id(name), name)
                self._made[made.person_id] = made
                self._keep(made)
                return made.person_id
            person = bearer.person_id
        found = cast.resolve(person or "")
        if found is None:
            raise EditRefusedError(f"there is no person {person} in this show. Reload, and choose again.")
        self.reads.add(f"person/{found}")
        if found not in cast.people:
            self._keep(cast.known[found])
        return found

    def called(self, person: str) -> str:
        """Name of a person, also of one just made."""
        made = self._made.get(person)
        return made.name if made else self.state.cast.name(person)

    def change_person(self, person: str, name: str, into: str | None) -> None:
        """Set what is kept of a person."""
        self.decide(person_key(person), {"name": name, "into": into})
        self.touches.add(f"person/{person}")

    def _keep(self, person: Person) -> None:
        """Make somebody whom only a result names one of the show's people."""
        self.change_person(person.person_id, person.name, None)

    # Groups

    def group(self, group_id: str) -> Group:
        """A group of the episode.

        Raises:
            EditRefusedError: there is none of this id.
        """
        found = self.state.grouping.groups.get(group_id)
        if found is None:
            raise EditRefusedError(
                f"group {group_id} is no longer there: its faces are elsewhere now. Reload, and choose again."
            )
        return found

    def read_whole(self, group_id: str) -> None:
        """Note that the edit is about all that is in a group."""
        self.reads |= {f"group/{group_id}", f"group/{group_id}/in"}

    def set_group(self, group_id: str, what: str, value: Any) -> None:
        """Set an attribute of a group; whose it is, or what, is said of all that is in it."""
        key = group_key(group_id, what)
        if self._before(key) != value:
            self.touches.add(f"group/{group_id}")
            known = self.state.grouping.groups.get(group_id)
            if known is not None and value != {"person": known.person, "mark": known.mark}.get(what, value):
                self.touches |= {f"piece/{p}" for p in known.pieces}
        self.decide(key, value)

    def new_group(self, *words: str, numbered: bool) -> str:
        """An id for a group that is not there yet, the same for the same words.

        Args:
            words: what it is derived from.
            numbered: give it a number to be called by.
        """
        turn = 1
        while self._used(found := derived_id("group", *words, str(turn))):
            turn += 1
        if numbered:
            self.set_group(found, "number", self._next_number())
        return found

    def _used(self, g: str) -> bool:
        said = self.state.said
        told = g in said.person or g in said.mark or g in said.number or g in said.locked
        drafted = any(group_key(g, what) in self._after for what in ("person", "mark", "number"))
        return told or drafted or g in self.state.grouping.groups or g in said.pins.values()

    def _next_number(self) -> str:
        drafted = [v for k, v in self._after.items() if k.startswith("group/") and k.endswith("/number")]
        given = [*self.state.base.numbers.values(), *self.state.said.number.values(), *drafted]
        highest = max((int(n) for n in given if n is not None and n.isdecimal()), default=0)
        return f"{highest + 1:02d}"

    # Pieces

    def home(self, piece: str) -> str:
        """The group that a piece is in before the edit, also a piece that the edit makes."""
        return self._homes.get(piece) or self.state.grouping.group_of[piece]

    def put(self, piece: str, group: str) -> None:
        """Pin a piece to a group."""
        key = pin_key(piece)
        if self._before(key) != group:
            self.touches.add(f"piece/{piece}")
        home = self.home(piece)
        if home != group:
            self.touches |= {f"piece/{piece}", f"group/{home}", f"group/{group}/in"}
        self.decide(key, group)
        self._take_over(piece)

    def _take_over(self, piece: str) -> None:
        """Let no older piece speak for this place in another run; what it says of other places is kept."""
        found, grouping = self.state.found, self.state.grouping
        for older in found.older.get(piece, ()):
            places = found.where_now(older)
            if older not in self.state.said.pins or older in places:
                continue
            for p in places:
                if p != piece and p in grouping.pinned and pin_key(p) not in self._after:
                    self.decide(pin_key(p), grouping.group_of[p])
            self.decide(pin_key(older), None)

    def resolve(self, subject: Subject) -> tuple[list[Group], list[str]]:
        """What an operation is about: whole groups, and pieces besides; faces become parts.

        Raises:
            EditRefusedError: something of it is not there.
        """
        groups = [self.group(g) for g in dict.fromkeys(subject.groups)]
        covered = {p for g in groups for p in g.pieces}
        for g in groups:
            self.read_whole(g.group_id)
        pieces = dict.fromkeys(p for p in subject.pieces if p not in covered)
        for p in pieces:
            if p not in self.state.grouping.pieces:
                raise EditRefusedError(f"track {p} is no longer there. Reload, and choose again.")
        made = self._parts(subject.faces, covered | pieces.keys())
        found = [*pieces, *made]
        self.reads |= {f"piece/{p}" for p in found}
        return groups, self.order(found)

    def order(self, pieces: Iterable[str]) -> list[str]:
        """Pieces by start and id, also those that the edit makes."""
        known = self.state.grouping.pieces
        return sorted(pieces, key=lambda p: known[p].order if p in known else (self._start(p), p))

    def remaining(self, entity: str, leaving: Collection[str]) -> list[str]:
        """Pieces of an entity that stay, also what is left of a piece whose faces leave, by start."""
        made = [p for p in self._homes if self._after.get(part_key(p)) is not None]
        gone = {p for p, after in self._after.items() if after is None and p.endswith("/part")}
        known = [p for p in self.state.grouping.pieces_of_entity(entity) if part_key(p) not in gone]
        own = [*known, *(p for p in made if self.state.grouping.entity_of[self._homes[p]] == entity)]
        return self.order(set(own) - set(leaving))

    def _parts(self, faces: Iterable[str], covered: Collection[str]) -> list[str]:
        """The pieces that some faces are: parts, or what is there where they are all of it."""
        chosen: dict[str, set[str]] = {}
        for det_id in faces:
            piece = self._piece_of(det_id)
            if piece not in covered:
                chosen.setdefault(piece, set()).add(det_id)
        return [self._carve(piece, det_ids) for piece, det_ids in chosen.items()]

    def _start(self, piece: str) -> int:
        rows = [self.state.cutter.row[d] for d in self._after[part_key(piece)]["dets"]]
        return int(self.state.base.obs.ts_ms[min(rows)])

    def _piece_of(self, det_id: str) -> str:
        cutter = self.state.cutter
        row = cutter.row.get(det_id)
        if row is None:
            raise EditRefusedError(f"face {det_id} belongs to no track of this episode. Choose another one.")
        return self.state.piece_at(row)

    def _carve(self, piece: str, det_ids: set[str]) -> str:
        known = self.state.grouping.pieces[piece]
        every = set(self.state.cutter.det_ids(known.members))
        if det_ids == every:
            return piece
        part = part_id(known.track_id, det_ids)
        self._part(part, known.track_id, det_ids, piece)
        self.touches |= {f"piece/{piece}", f"piece/{known.track_id}"}
        if piece in self.state.said.parts:
            rest = part_id(known.track_id, every - det_ids)
            self._part(rest, known.track_id, every - det_ids, piece)
            self._rename(piece, rest)
        return part

    def _part(self, part: str, track: str, det_ids: set[str], source: str) -> None:
        self.decide(part_key(part), {"track": track, "dets": sorted(det_ids)})
        self.touches.add(f"piece/{part}")
        self._homes[part] = self.state.grouping.group_of[source]
        if source in self.state.grouping.pinned:
            self.decide(pin_key(part), self._homes[part])

    def _rename(self, piece: str, rest: str) -> None:
        """Hand what was decided of a part on to what is left of it."""
        said = self.state.said
        self.decide(part_key(piece), None)
        self.decide(pin_key(piece), None)
        for person in said.nots.get(piece, ()):
            self.decide(not_key(piece, person), None)
            self.decide(not_key(rest, person), True)
        for a, b in said.apart:
            if piece in (a, b):
                self.decide(apart_key(a, b), None)
                self.decide(apart_key(rest, b if a == piece else a), True)

    # What people ruled out

    def check_apart(self, together: Collection[str], moved: Collection[str], who: str) -> None:
        """Refuse to join what people told apart.

        Args:
            together: pieces that would be one person.
            moved: those among them that are not yet.
            who: for the reason.

        Raises:
            EditRefusedError: two of them were told apart.
        """
        for a, b in self.state.grouping.apart:
            if a in together and b in together and (a in moved or b in moved):
                one, other = (self.state.called(self.home(p)) for p in (a, b))
                raise EditRefusedError(
                    f"some faces of {one} and of {other} were said to be different people, and would both be "
                    f"{who}. Undo that decision first."
                )

    def forget_not(self, piece: str, person: str) -> None:
        """Take back that a piece is not a person: now somebody says that it is."""
        said, cast = self.state.said, self.state.cast
        for owner in (piece, *self.state.found.older.get(piece, ())):
            for said_not in said.nots.get(owner, ()):
                if cast.resolve(said_not) == person:
                    self.decide(not_key(owner, said_not), None)
                    self.touches.add(f"piece/{piece}")

    # Words

    def what(self, groups: Collection[Group], pieces: Collection[str]) -> str:
        """The subject of an edit, for labels."""
        names = list(dict.fromkeys(self.state.called(g.group_id) for g in groups))
        words = names[:_SOME] + ([f"{len(names) - _SOME} more"] if len(names) > _SOME else [])
        parts = [p for p in pieces if p in self._homes]
        for count, one in ((len(pieces) - len(parts), "track"), (self._face_count(parts), "face")):
            if count:
                words.append(f"{count} {one}{'' if count == 1 else 's'}")
        return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + " and " + words[-1]

    def _face_count(self, parts: Iterable[str]) -> int:
        return sum(len(self._after[part_key(p)]["dets"]) for p in parts)

    def _before(self, key: str) -> Any:
        kind, owner, *_ = key.split("/")
        if kind != "person":
            return self.state.decisions.get(key)
        return value_of(self.state.cast.people.get(owner))
