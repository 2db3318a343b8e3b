"""What must be together and what must stay apart, from people's decisions and from the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from screenalyzer.errors import ConstraintError
from screenalyzer.types import Bool, Constraints, Int64, Observations, Track


@dataclass(frozen=True)
class Links:
    """Constraints resolved over n tracks into c groups that are one person by decision.

    Attributes:
        group: int64[n], the group of each track.
        apart: bool[c, c], groups that are never one person; symmetric, diagonal False.
        labels: group to the name a person gave it.
        not_named: pairs of group and name that a person ruled out.
        decided: bool[n], tracks that a must-link or a label binds.
        unapplied: track ids that a constraint names and the episode does not have, sorted.
    """

    group: Int64
    apart: Bool
    labels: dict[int, str]
    not_named: frozenset[tuple[int, str]]
    decided: Bool
    unapplied: tuple[str, ...]


def co_visible(tracks: Sequence[Track], obs: Observations) -> Bool:
    """Which tracks were ever detected in one frame at one time: bool[n, n], diagonal False."""
    n = len(tracks)
    together = np.zeros((n, n), dtype=bool)
    if n == 0:
        return together
    owner = np.repeat(np.arange(n), [t.count for t in tracks])
    frames = obs.ts_ms[np.concatenate([t.members for t in tracks])]
    order = np.argsort(frames, kind="stable")
    owner, frames = owner[order], frames[order]
    for step in range(1, len(owner)):  # those who lie next to one another, two places apart, and so on
        same = frames[step:] == frames[:-step]
        if not same.any():
            break
        a, b = owner[:-step][same], owner[step:][same]
        together[a, b] = together[b, a] = True
    np.fill_diagonal(together, False)
    return together


def resolve(track_ids: Sequence[str], together: Bool, constraints: Constraints) -> Links:
    """Bring people's decisions and co-visibility into one form.

    Decisions are transitive: a with b and b with c binds a and c, also through a track that is gone or that
    is no face. Where people joined two tracks that are seen together (a mirror, a photograph, a doubled
    picture), people win.

    Args:
        track_ids: str[n], the tracks to group, without those that are no face.
        together: bool[n, n], pairs seen in one frame.
        constraints: people's decisions.

    Raises:
        ConstraintError: decisions contradict one another; names the pair.
    """
    known = {t: i for i, t in enumerate(track_ids)}
    ids = [*track_ids, *sorted(_mentioned(constraints) - known.keys())]
    row = {t: i for i, t in enumerate(ids)}
    component = _components(ids, row, constraints)
    names = _names(component, row, constraints)
    group, first = _groups(component, len(track_ids))
    c = len(first)
    apart = np.zeros((c, c), dtype=bool)
    a, b = np.nonzero(together)
    apart[group[a], group[b]] = True
    for one, other in sorted(constraints.cannot_link):
        x, y = component[row[one]], component[row[other]]
        if x == y:
            raise ConstraintError(
                f"tracks {one} and {other} are said to be one person and to be different people"
            )
        if x in first and y in first:
            apart[first[x], first[y]] = apart[first[y], first[x]] = True
    labels = {first[k]: name for k, (name, _) in names.items() if k in first}
    for g, name in labels.items():
        for h, other_name in labels.items():
            apart[g, h] |= name != other_name
    np.fill_diagonal(apart, False)
    not_named = _not_named(component, row, first, labels, constraints)
    bound = {t for pair in constraints.must_link for t in pair} | constraints.labels.keys()
    decided = np.array([t in bound for t in track_ids], dtype=bool)
    unapplied = tuple(t for t in ids[len(track_ids) :] if t not in constraints.not_faces)
    return Links(group, apart, labels, not_named, decided, unapplied)


def _mentioned(constraints: Constraints) -> set[str]:
    pairs = constraints.must_link | constraints.cannot_link
    return (
        {t for pair in pairs for t in pair}
        | constraints.labels.keys()
        | {t for t, _ in constraints.not_named}
    )


def _components(ids: Sequence[str], row: dict[str, int], constraints: Constraints) -> Int64:
    """Transitive closure of must-links and of equal labels: int64[len(ids)]."""
    edges = [(row[a], row[b]) for a, b in sorted(constraints.must_link)]
    first_of: dict[str, int] = {}
    for track_id, name in sorted(constraints.labels.items()):
        edges.append((first_of.setdefault(name, row[track_id]), row[track_id]))
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_array(
        (np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(len(ids), len(ids))
    )
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _names(component: Int64, row: dict[str, int], constraints: Constraints) -> dict[int, tuple[str, str]]:
    """Name of each labelled component, and a track that bears it."""
    names: dict[int, tuple[str, str]] = {}
    for track_id, name in sorted(constraints.labels.items()):
        if track_id in constraints.not_faces:
            raise ConstraintError(f"track {track_id} is said to be {name!r} and to be no face")
        held, bearer = names.setdefault(int(component[row[track_id]]), (name, track_id))
        if held != name:
            raise ConstraintError(
                f"tracks {bearer} ({held!r}) and {track_id} ({name!r}) bear different names, "
                "and are said to be one person"
            )
    return names


def _groups(component: Int64, n: int) -> tuple[Int64, dict[int, int]]:
    """Number the components that hold tracks by their first track; components of gone tracks drop out."""
    first: dict[int, int] = {}
    group = np.array([first.setdefault(int(k), len(first)) for k in component[:n]], dtype=np.int64)
    return group, first


def _not_named(
    component: Int64,
    row: dict[str, int],
    first: dict[int, int],
    labels: dict[int, str],
    constraints: Constraints,
) -> frozenset[tuple[int, str]]:
    ruled_out: set[tuple[int, str]] = set()
    for track_id, name in sorted(constraints.not_named):
        g = first.get(int(component[row[track_id]]))
        if g is None:
            continue
        if labels.get(g) == name:
            raise ConstraintError(
                f"track {track_id} is said not to be {name!r} and to be one person with {name!r}"
            )
        ruled_out.add((g, name))
    return frozenset(ruled_out)
