"""Locks: what is locked is changed by nothing, also not by undoing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from screenalyzer.errors import EditRefusedError
from screenalyzer.review.keys import EPISODE_LOCKED
from screenalyzer.review.model import Change, Part
from screenalyzer.review.state import State


def guard(state: State, changes: Iterable[Change], homes: Mapping[str, str] | None = None) -> None:
    """Refuse changes of what is locked.

    Args:
        state: before the changes.
        changes: of decisions.
        homes: group of each part that the changes make; None where the changes were made earlier.

    Raises:
        EditRefusedError: names what is locked.
    """
    if not state.said.locked and not state.said.episode_locked:
        return
    changes = tuple(changes)
    cut = _cut_anew(state, changes) if homes is None else frozenset()
    for change in changes:
        if change.key == EPISODE_LOCKED:
            continue
        if state.said.episode_locked:
            raise EditRefusedError("this episode is locked. Unlock it first.")
        for g in _groups(state, change, homes, cut):
            if g in state.said.locked and g in state.grouping.groups:
                raise EditRefusedError(f"{state.called(g)} is locked. Unlock it first.")


def _cut_anew(state: State, changes: Iterable[Change]) -> frozenset[str]:
    """Tracks of which more or less is left beside their parts than before."""
    lost: defaultdict[str, set[str]] = defaultdict(set)
    won: defaultdict[str, set[str]] = defaultdict(set)
    for change in changes:
        kind, piece, *rest = change.key.split("/")
        if (kind, rest) != ("piece", ["part"]):
            continue
        carried = state.found.parts.get(piece)  # as it is now, where an earlier run had it
        for value, faces in ((change.before, lost), (change.after, won)):
            if value is not None:
                part = carried or Part(value["track"], value["dets"])
                faces[part.track_id] |= set(part.det_ids)
    return frozenset(t for t in {*lost, *won} if lost[t] != won[t])


def _groups(state: State, change: Change, homes: Mapping[str, str] | None, cut: Collection[str]) -> list[str]:
    """The groups that a change is about."""
    kind, owner, *rest = change.key.split("/")
    if kind == "piece":
        found = _homes(state, owner, homes or {})
        if rest == ["group"]:
            found += [g for g in (change.before, change.after) if g is not None]
        if rest == ["part"] and (track := (change.after or change.before)["track"]) in cut:
            found += _homes(state, track, {})
        return found
    if kind == "group":
        return [] if rest == ["locked"] else [owner]
    if kind == "apart":
        return [*_homes(state, owner, homes or {}), *_homes(state, rest[0], homes or {})]
    if kind == "span":
        return _groups_of_person(state, (change.after or change.before)["person"])
    if kind == "person" and change.before is not None:
        into: Any = (change.after or {}).get("into")
        return _groups_of_person(state, owner) + (_groups_of_person(state, into) if into else [])
    return []


def _homes(state: State, piece: str, homes: Mapping[str, str]) -> list[str]:
    if piece in homes:
        return [homes[piece]]
    of = state.grouping.group_of
    return [of[p] for p in state.found.where_now(piece) if p in of]


def _groups_of_person(state: State, person: str) -> list[str]:
    resolved = state.cast.resolve(person)
    return [] if resolved is None else list(state.grouping.groups_of(resolved))
