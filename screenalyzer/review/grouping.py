"""Which piece is whose: what was found, with what people decided laid over it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from screenalyzer.review.cast import Cast
from screenalyzer.review.keys import Said
from screenalyzer.review.model import Base, Part
from screenalyzer.review.pieces import Piece


@dataclass(frozen=True)
class Group:
    """Pieces that are one person.

    Attributes:
        group_id: the cluster's, or that of a group that a person made.
        pieces: ids, by start.
        person: whose group it is, resolved; None where nobody knows, and always of a marked group.
        by_hand: a person said whose it is.
        mark: "not_face", "background" or None.
        locked: protected from edits.
        number: text after "Person " while it has no name.
        cluster_id: the cluster that this group is, if it holds just that cluster's tracks, whole; else None.
    """

    group_id: str
    pieces: tuple[str, ...]
    person: str | None
    by_hand: bool
    mark: str | None
    locked: bool
    number: str
    cluster_id: str | None


@dataclass(frozen=True)
class Grouping:
    """All pieces of an episode in groups, all groups in entities.

    Attributes:
        pieces: by id, in order.
        group_of: piece to group.
        pinned: pieces that are in their group because a person said so.
        groups: by id, in the order of their first pieces.
        entities: entity id to its groups, in the order of their first pieces; last come people who are on
            screen by hand alone, without groups.
        entity_of: group to entity.
        nots: piece to the people, resolved, that it is not.
        apart: pairs of pieces that are never one person.
    """

    pieces: dict[str, Piece]
    group_of: dict[str, str]
    pinned: frozenset[str]
    groups: dict[str, Group]
    entities: dict[str, tuple[str, ...]]
    entity_of: dict[str, str]
    nots: dict[str, frozenset[str]]
    apart: tuple[tuple[str, str], ...]

    def groups_of(self, person_id: str) -> tuple[str, ...]:
        """The groups of a person; none where they have none here."""
        return self.entities.get(person_id, ())

    def entity_of_piece(self, piece_id: str) -> str:
        """The entity of a piece."""
        return self.entity_of[self.group_of[piece_id]]

    def pieces_of_entity(self, entity_id: str) -> list[str]:
        """All pieces of an entity, group by group."""
        return [p for g in self.entities[entity_id] for p in self.groups[g].pieces]


@dataclass
class Found:
    """What was found, arranged for grouping.

    Attributes:
        cluster_of: track to cluster.
        size: cluster to count of tracks.
        name: cluster to name, of those that have one.
        numbers: see `Base`.
        carried: see `Carried`.
        older: track to the pieces of earlier runs that it is now, the nearest to it first.
    """

    cluster_of: dict[str, str]
    size: dict[str, int]
    name: dict[str, str]
    numbers: dict[str, str]
    parts: dict[str, Part]
    whole: dict[str, tuple[str, ...]]
    older: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, base: Base) -> "Found":
        """Arrange."""
        clusters = base.clustering.clusters
        ranked = sorted(
            (place, turn, track, piece)
            for turn, (piece, tracks) in enumerate(base.carried.whole.items())
            for place, track in enumerate(tracks)
        )
        older: dict[str, list[str]] = {}
        for _, _, track, piece in ranked:
            older.setdefault(track, []).append(piece)
        return cls(
            cluster_of={m.track_id: c.cluster_id for c in clusters for m in c.members},
            size={c.cluster_id: len(c.members) for c in clusters},
            name={c.cluster_id: c.name for c in clusters if c.name},
            numbers=base.numbers,
            parts=base.carried.parts,
            whole=base.carried.whole,
            older=older,
        )

    def parts_now(self, said: Said) -> dict[str, Part]:
        """The parts that people made, and pieces of earlier runs that are a part of a track now."""
        still = {piece: part for piece, part in said.parts.items() if piece not in self.whole}
        return {**still, **self.parts}

    def where_now(self, piece: str) -> tuple[str, ...]:
        """The pieces that a decision on a piece is about now."""
        return self.whole.get(piece, (piece,))


def group(pieces: dict[str, Piece], found: Found, said: Said, cast: Cast) -> Grouping:
    """Lay decisions over what was found.

    Args:
        pieces: all of the episode, in order.
        found: what was found.
        said: the decisions.
        cast: who is who.
    """
    group_of: dict[str, str] = {}
    pinned: set[str] = set()
    members: dict[str, list[str]] = {}
    as_found: Counter[str] = Counter()
    for piece_id, piece in pieces.items():
        pin = _pin(piece_id, found, said)
        if pin is not None:
            pinned.add(piece_id)
        cluster = found.cluster_of.get(piece.track_id, piece.track_id)
        g = pin or cluster
        group_of[piece_id] = g
        members.setdefault(g, []).append(piece_id)
        if piece.whole and g == cluster and piece_id == piece.track.track_id:
            as_found[g] += 1
    clusters = {g for g, own in members.items() if as_found[g] == len(own) == found.size.get(g)}
    groups = {g: _group(g, own, g in clusters, (found, said, cast)) for g, own in members.items()}
    entities: dict[str, list[str]] = {}
    for made in groups.values():
        entities.setdefault(made.person or made.group_id, []).append(made.group_id)
    for person in _people_by_hand(said, cast):
        entities.setdefault(person, [])
    return Grouping(
        pieces=pieces,
        group_of=group_of,
        pinned=frozenset(pinned),
        groups=groups,
        entities={e: tuple(own) for e, own in entities.items()},
        entity_of={g: e for e, own in entities.items() for g in own},
        nots=_nots(pieces, found, said, cast),
        apart=_apart(pieces, found, said),
    )


def _pin(piece_id: str, found: Found, said: Said) -> str | None:
    pin = said.pins.get(piece_id)
    if pin is not None or piece_id not in found.older:
        return pin
    return next((said.pins[o] for o in found.older[piece_id] if o in said.pins), None)


def _group(g: str, own: list[str], as_found: bool, known: tuple[Found, Said, Cast]) -> Group:
    found, said, cast = known
    mark, told = said.mark.get(g), said.person.get(g)
    if mark is not None:
        person = None
    elif told is not None:
        person = cast.resolve(told)
    else:
        person = cast.by_name(found.name[g]) if g in found.name else None
    return Group(
        group_id=g,
        pieces=tuple(own),
        person=person,
        by_hand=person is not None and told is not None,
        mark=mark,
        locked=g in said.locked,
        number=said.number.get(g) or found.numbers.get(g) or g[:4],
        cluster_id=g if as_found else None,
    )


def _people_by_hand(said: Said, cast: Cast) -> Iterable[str]:
    """People with a span that was added, by name."""
    added = {cast.resolve(s.person) for s in said.spans.values() if s.kind == "add"}
    return sorted((p for p in added if p is not None), key=lambda p: (cast.name(p), p))


def _nots(pieces: Mapping[str, Piece], found: Found, said: Said, cast: Cast) -> dict[str, frozenset[str]]:
    nots: dict[str, set[str]] = {}
    for piece, people in said.nots.items():
        resolved = {r for p in people if (r := cast.resolve(p)) is not None}
        for now in found.where_now(piece):
            if now in pieces and resolved:
                nots.setdefault(now, set()).update(resolved)
    return {p: frozenset(people) for p, people in sorted(nots.items())}


def _apart(pieces: Mapping[str, Piece], found: Found, said: Said) -> tuple[tuple[str, str], ...]:
    pairs = {
        (min(a, b), max(a, b))
        for one, other in said.apart
        for a in found.where_now(one)
        for b in found.where_now(other)
        if a in pieces and b in pieces and a != b
    }
    return tuple(sorted(pairs))
