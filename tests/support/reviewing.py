"""A review without the service: operations on a desk, and the record that the stages read."""

from dataclasses import dataclass, field

import numpy as np

from pipelines.review import load_desk
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.review.carrying.anchors import Anchor, anchors_of
from screenalyzer.review.desk import Desk, pinned_by
from screenalyzer.review.operations import (
    AddSpan,
    Assign,
    Lock,
    MarkAs,
    NotPerson,
    Operation,
    Refuse,
    Split,
    Subject,
)
from screenalyzer.review.record import ReviewRecord, load
from screenalyzer.settings import Settings
from screenalyzer.tracking.geometry import overlaps

_NEAR_MS = 260
_SAME_FACE = 0.5  # overlap of boxes


@dataclass
class Review:
    """Somebody at an episode's desk.

    Attributes:
        paths: the episode.
        desk: of its published review.
        revision: of the last edit.
        anchors: of all that was decided on.
    """

    paths: EpisodePaths
    desk: Desk
    revision: int = 0
    anchors: dict[str, Anchor] = field(default_factory=dict)

    @classmethod
    def open(cls, paths: EpisodePaths, settings: Settings) -> "Review":
        """Go on with what was published."""
        before = load(paths)
        return cls(paths, load_desk(paths, settings), before.revision, dict(before.anchors))

    def do(self, *operations: Operation) -> None:
        """One after the other."""
        for operation in operations:
            changes = self.desk.plan(operation).changes
            self.desk.apply(changes)
            fresh = [p for p in pinned_by(changes) if p not in self.anchors]
            self.anchors |= anchors_of(self.desk, fresh)
            self.revision += 1

    def publish(self) -> ReviewRecord:
        """Write the record; the stages are the caller's affair."""
        people = tuple(sorted(self.desk.people.values(), key=lambda p: p.person_id))
        record = ReviewRecord(self.revision, self.desk.decisions.items(), people, dict(self.anchors))
        record.save(self.paths)
        return record


def named(desk: Desk) -> dict[str, str]:
    """Who each detection is, by its id; without those that belong to nobody with a name."""
    found: dict[str, str] = {}
    for piece_id, piece in desk.pieces.items():
        entity = desk.entity(desk.grouping.entity_of_piece(piece_id))
        name = entity.name if entity.kind == "person" else entity.mark or ""
        if name:
            found |= dict.fromkeys((str(d) for d in desk.base.obs.det_id[piece.members]), name)
    return found


def agreement(before: Desk, after: Desk) -> tuple[int, int, dict[tuple[str, str], int]]:
    """How many detections of one run that lie on a named face of another are named alike.

    One between two detections of different names, at the edge of a part, may be either, and does not count.

    Returns:
        Count that are, count of all, and for each pair of names that differ how often.
    """
    was, now = named(before), named(after)
    old, new = before.base.obs, after.base.obs
    names = np.array([was.get(str(d), "") for d in old.det_id])
    tracked = np.zeros(len(old), dtype=bool)
    tracked[[int(r) for t in before.base.tracks for r in t.members]] = True
    same, total, other = 0, 0, dict[tuple[str, str], int]()
    for row in (int(r) for piece in after.pieces.values() for r in piece.members):
        apart = old.ts_ms - new.ts_ms[row]
        near = np.flatnonzero((np.abs(apart) <= _NEAR_MS) & (old.scene_id == new.scene_id[row]) & tracked)
        near = near[overlaps(new.boxes[row : row + 1], old.boxes[near])[0][0] >= _SAME_FACE]
        sides = (near[apart[near] <= 0], near[apart[near] >= 0])
        beside = {str(names[s[np.abs(apart[s]).argmin()]]) for s in sides if len(s)}
        if len(beside) != 1 or beside == {""}:
            continue
        pair = beside.pop(), now.get(str(new.det_id[row]), "")
        total += 1
        same += pair[0] == pair[1]
        if pair[0] != pair[1]:
            other[pair] = other.get(pair, 0) + 1
    return same, total, other


def decide_everything(review: Review) -> None:
    """Every kind of decision, on an episode in which nobody has a name yet; everybody seen long gets one."""
    desk = review.desk
    ranked = sorted(desk.entities(), key=lambda e: (-e.seen_ms, e.entity_id))
    names = ("Ada", "Bo", "Cy")
    for entity, name in zip(ranked, names, strict=False):
        review.do(Assign(subject=Subject(groups=entity.group_ids), name=name))
    ada, bo, cy = (str(desk.person_of(n)) for n in names)
    rest = ranked[len(names) :]
    longest = max(desk.grouping.pieces_of_entity(bo), key=lambda p: len(desk.pieces[p].members))
    members = desk.pieces[longest].members
    third = len(members) // 3
    faces = tuple(str(d) for d in desk.base.obs.det_id[members[third : 2 * third]])
    review.do(Assign(subject=Subject(faces=faces), name="Fay"))
    split = tuple(str(d) for d in desk.base.obs.det_id[members[2 * third :]])
    review.do(Split(subject=Subject(faces=split)))
    if rest:
        review.do(MarkAs(subject=Subject(groups=rest[0].group_ids), mark="not_face"))
    else:
        last = desk.grouping.pieces_of_entity(cy)[-1]
        review.do(MarkAs(subject=Subject(pieces=(last,)), mark="not_face"))
    groups = [e.group_ids[0] for e in desk.entities() if e.kind == "group" and e.mark is None]
    review.do(
        NotPerson(subject=Subject(groups=(groups[0],)), person=ada),
        Refuse(group_a=groups[0], group_b=desk.entity(cy).group_ids[0]),
        AddSpan(name="Gus", kind="add", start_ms=1_000, end_ms=4_000),
        AddSpan(person=ada, kind="trim", start_ms=500, end_ms=1_500),
        Lock(groups=desk.entity(ada).group_ids),
    )
