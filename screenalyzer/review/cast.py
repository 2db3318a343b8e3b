"""The people of a show as one episode sees them: ids, names, and who was found to be whom."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.decisions import PERSON_PREFIX
from screenalyzer.review.keys import derived_id
from screenalyzer.review.model import Change, Person


class Cast:
    """Everybody who can be meant: the show's people, and those whom only a result or the facebank names.

    Attributes:
        people: the show's people, by id.
        known: those, and the others, by id.
    """

    def __init__(self, people: Mapping[str, Person], names: Iterable[str]) -> None:
        """Find out who is who.

        Args:
            people: the show's, by id.
            names: that results and the facebank bear; a name that is nobody's makes somebody.
        """
        self.people = dict(people)
        self.known = dict(people)
        rows = sorted(people.values(), key=lambda p: p.person_id)
        self._former = {n.casefold(): p.person_id for p in reversed(rows) for n in p.former}
        self._bearer = {p.name.casefold(): p.person_id for p in reversed(rows)}
        for name in sorted(set(names)):
            if self.by_name(name) is None:
                person = Person(self.new_id(name), name)
                self.known[person.person_id] = person
                self._bearer[name.casefold()] = person.person_id

    def resolve(self, person_id: str) -> str | None:
        """Who somebody was found to be in the end; None where there is no such person."""
        seen = {person_id}
        while (person := self.known.get(person_id)) is not None:
            if person.into is None or person.into in seen or person.into not in self.known:
                return person_id
            person_id = person.into
            seen.add(person_id)
        return None

    def by_name(self, name: str) -> str | None:
        """Who bears a name now, or once bore it; resolved. None where nobody does."""
        found = self._bearer.get(name.strip().casefold()) or self._once(name)
        return None if found is None else self.resolve(found)

    def bearer(self, name: str) -> Person | None:
        """Who has a name now, themselves: also somebody who was found to be another."""
        found = self._bearer.get(name.strip().casefold())
        return None if found is None else self.known[found]

    def check_free(self, name: str, person_id: str | None = None) -> None:
        """Refuse a name that somebody else had before: results of other episodes may still bear it.

        Raises:
            EditRefusedError: it is such a name.
        """
        before = self._once(name)
        if before is not None and before != person_id:
            raise EditRefusedError(
                f"{name.strip()} was the name of {self.known[before].name} before, and results may still "
                "bear it. Choose another spelling, or undo that renaming."
            )

    def _once(self, name: str) -> str | None:
        """Who bore a name before, or was made under it and renamed at once."""
        found = self._former.get(name.strip().casefold())
        return _id_of(name) if found is None and _id_of(name) in self.people else found

    def name(self, person_id: str) -> str:
        """Of a known person."""
        return self.known[person_id].name

    def new_id(self, name: str) -> str:
        """An id for somebody new of a name, the same each time, that nobody has."""
        turn, found = 1, _id_of(name)
        while found in self.known:
            turn += 1
            found = _id_of(f"{name.strip()}\n{turn}")
        return found


def _id_of(name: str) -> str:
    return derived_id("person", name.strip().casefold())


def value_of(person: Person | None) -> dict[str, str | None] | None:
    """What a change says of a person."""
    return None if person is None else {"name": person.name, "into": person.into}


def changed_people(people: Mapping[str, Person], changes: Iterable[Change]) -> dict[str, Person]:
    """The people after changes of them; other changes are passed over.

    Raises:
        EditRefusedError: somebody is not as a change found them.
    """
    after = dict(people)
    for change in changes:
        if not change.key.startswith(PERSON_PREFIX):
            continue
        person_id = change.key.removeprefix(PERSON_PREFIX)
        known = after.get(person_id)
        if value_of(known) != change.before:
            raise EditRefusedError("this person was changed in the meantime. Reload, and edit again.")
        if change.after is None:
            del after[person_id]
        else:
            after[person_id] = _with_value(known, person_id, change.after)
    return after


def _with_value(known: Person | None, person_id: str, value: dict[str, Any]) -> Person:
    """A person as a change says; a name that they had is kept, for results that bear it."""
    if known is None:
        return Person(person_id, value["name"], value["into"])
    names = dict.fromkeys([*known.former, known.name])
    former = tuple(n for n in names if n.casefold() != value["name"].casefold())
    return replace(known, name=value["name"], into=value["into"], former=former)
