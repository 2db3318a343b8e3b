"""People's decisions as clustering takes them: over the tracks of the current run, never contradictory.

A track is in one group, and a group is one person or nobody yet; so what is joined is never at odds with
itself. Where decisions that were carried together contradict one another, what somebody is said to be comes
before whom they are not, and before what is said to be apart.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from screenalyzer.review.cast import Cast
from screenalyzer.review.keys import Said
from screenalyzer.review.model import Carried, Part, Person
from screenalyzer.types import Constraints, Track

_MOST_OF = 0.5  # of a track: what is said of so large a part is said of the track


def constraints_of(
    items: Mapping[str, Any],
    people: Iterable[Person],
    carried: Carried,
    tracks: Sequence[Track],
    names: Iterable[str] = (),
) -> Constraints:
    """Constraints that clustering never refuses.

    Groups that people made are kept apart as they are: two that somebody has looked at and not joined are not
    joined behind their back.

    Args:
        items: decisions by key, see `Change`.
        people: of the show.
        carried: where pieces of earlier runs lie.
        tracks: of the current run.
        names: of others whom the show's facebank knows.
    """
    said, place = Said.of(items), _Places(items, carried, tracks)
    cast = Cast({p.person_id: p for p in people}, names)
    group_of = groups_of_tracks(items, carried, tracks)
    not_faces = {t for t, g in group_of.items() if said.mark.get(g) == "not_face"}
    name_of = {g: name for g, p in said.person.items() if (name := _name(cast, p)) is not None}
    labels = {t: name_of[g] for t, g in group_of.items() if g in name_of and t not in not_faces}
    # What is one: a name, or a group without one.
    one = {t: (g not in name_of, name_of.get(g, g)) for t, g in group_of.items() if t not in not_faces}
    members: dict[tuple[bool, str], list[str]] = {}
    for track_id, what in one.items():
        members.setdefault(what, []).append(track_id)
    unnamed = [own for (is_group, _), own in members.items() if is_group]
    firsts = sorted((own[0], is_group) for (is_group, _), own in members.items())
    apart = {(a, b) for (a, x), (b, y) in combinations(firsts, 2) if x or y}
    pairs = {(a, b) for p, q in said.apart for a in place.mostly(p) for b in place.mostly(q)}
    ruled_out = {
        (t, name)
        for piece, who in said.nots.items()
        for person in who
        if (name := _name(cast, person)) is not None
        for t in place.mostly(piece)
    }
    return Constraints(
        must_link=frozenset((own[0], t) for own in unnamed for t in own[1:]),
        cannot_link=frozenset(apart | {(a, b) for a, b in pairs if one.get(a, a) != one.get(b, b)}),
        labels=labels,
        not_faces=frozenset(not_faces),
        not_named=frozenset((t, name) for t, name in ruled_out if labels.get(t) != name),
    )


def _name(cast: Cast, person_id: str) -> str | None:
    found = cast.resolve(person_id)
    return cast.name(found) if found is not None else None


def groups_of_tracks(items: Mapping[str, Any], carried: Carried, tracks: Sequence[Track]) -> dict[str, str]:
    """The group that people put each track into; tracks that nobody did are left out.

    A track of which only parts were put somewhere is in the group of an older piece that lies in it, or of
    the largest part where nothing else is left of it.
    """
    place = _Places(items, carried, tracks)
    votes: dict[str, list[tuple[bool, int, str]]] = {}
    cut: dict[str, Counter[str]] = {}
    beside: dict[str, Counter[str]] = {}
    said = Said.of(items)
    for piece, group in said.pins.items():
        for n, track_id in enumerate(place.whole(piece)):
            votes.setdefault(track_id, []).append((piece != track_id, n, group))
        part = place.part(piece)
        if part is not None:
            cut.setdefault(part.track_id, Counter())[group] += len(part.det_ids)
            if piece not in said.parts:
                beside.setdefault(part.track_id, Counter())[group] += len(part.det_ids)
    found = {t: min(own)[2] for t, own in votes.items()}
    for track_id, shares in cut.items():
        if track_id not in found:
            nothing_left = shares.total() >= place.count[track_id]
            if own := shares if nothing_left else beside.get(track_id):
                found[track_id] = min(own, key=lambda g: (-own[g], g))
    return dict(sorted(found.items()))


def groups_in(items: Mapping[str, Any]) -> frozenset[str]:
    """The groups that people put something into."""
    return frozenset(Said.of(items).pins.values())


class _Places:
    """Where pieces lie in the current run."""

    def __init__(self, items: Mapping[str, Any], carried: Carried, tracks: Sequence[Track]) -> None:
        self.count = {t.track_id: t.count for t in tracks}
        self._parts, self._carried = Said.of(items).parts, carried

    def whole(self, piece: str) -> tuple[str, ...]:
        """Tracks that it is all of, or all but parts."""
        if piece in self._carried.lost:
            return ()
        if piece in self._carried.whole:
            return tuple(t for t in self._carried.whole[piece] if t in self.count)
        moved = piece in self._carried.parts or piece in self._parts
        return (piece,) if piece in self.count and not moved else ()

    def part(self, piece: str) -> Part | None:
        """The track that it is some of, and which."""
        if piece in self._carried.lost:
            return None
        found = self._carried.parts.get(piece)
        if found is None and piece not in self._carried.whole:
            found = self._parts.get(piece)
        return found if found is not None and found.track_id in self.count else None

    def mostly(self, piece: str) -> list[str]:
        """Tracks that it is most of."""
        part = self.part(piece)
        most = part is not None and len(part.det_ids) >= _MOST_OF * self.count[part.track_id]
        return [*self.whole(piece), *([part.track_id] if part is not None and most else [])]
