"""The data of a review: what was found, what people decided of it, and the log of their edits."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from screenalyzer.clustering.calibration import Calibration
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.model import Clustering
from screenalyzer.settings import ClusterSettings, ScreenTimeRules
from screenalyzer.types import Observations, SampleGrid, Track

EntryKind = Literal["edit", "undo", "redo"]


@dataclass(frozen=True)
class Person:
    """Somebody of the show.

    Attributes:
        person_id: stays, whatever the name becomes.
        name: shown, and written into results.
        into: the person that this one was found to be; None usually.
        former: names that older results may bear.
    """

    person_id: str
    name: str
    into: str | None = None
    former: tuple[str, ...] = ()


class Part(NamedTuple):
    """Some detections of a track that are a piece of their own."""

    track_id: str
    det_ids: tuple[str, ...]


@dataclass(frozen=True)
class Carried:
    """Where decisions on pieces of an earlier run lie in this one; see `carry`.

    Attributes:
        whole: piece to the tracks that follow the same face now, most of it first; an id that is a track of
            this run and stands for itself is left out.
        parts: part to what it is now.
        lost: pieces that are nowhere, each with the reason, for people.
    """

    whole: dict[str, tuple[str, ...]] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Base:
    """What the automatic stages found of an episode; another run of them gives another base.

    Attributes:
        obs: all faces.
        tracks: whose members point into obs.
        grid: sampled frames and scenes.
        clustering: of the tracks; a cluster's id is the id of the group that it becomes.
        numbers: cluster id to the number it is called by while it has no name.
        gallery: kept faces of the show's people, by name; None for none.
        metric: what a distance means.
        cluster_settings: limits of suggestions.
        rules: of screen time.
        samples: det ids that a picture is kept of, by track id, best first.
        carried: what became of the pieces of earlier runs.
        embedder: id of what made the vectors; vectors of another one say nothing of these.
    """

    obs: Observations
    tracks: tuple[Track, ...]
    grid: SampleGrid
    clustering: Clustering
    numbers: dict[str, str]
    gallery: Gallery | None
    metric: Calibration
    cluster_settings: ClusterSettings
    rules: ScreenTimeRules
    samples: dict[str, tuple[str, ...]]
    carried: Carried = Carried()
    embedder: str = ""


class Change(NamedTuple):
    """One decision that an edit changed; None stands for no decision. Reversed it is its own inverse.

    Keys, with their values:

        piece/{piece}/part          {"track": id, "dets": [id, …]}: the piece is a part of a track
        piece/{piece}/group         group id: the piece is in this group because a person said so
        piece/{piece}/not/{person}  true
        group/{group}/person        person id
        group/{group}/mark          "not_face" or "background"
        group/{group}/locked        true
        group/{group}/number        text after "Person ", of a group that a person made
        apart/{piece}/{piece}       true: never one person; the lesser id first
        span/{span}                 {"person": id, "kind": "add" | "trim", "start_ms": …, "end_ms": …}
        episode/locked              true
        person/{person}             {"name": …, "into": id or null}: of the show, see `Person`
    """

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Entry:
    """A line of the log: applied once, never changed.

    Attributes:
        number: 1, 2, 3, … within the episode; the review's revision after it.
        kind: an edit, or the undoing or redoing of an entry.
        of: number of the edit that is undone or redone; None for an edit.
        operation: what was asked, as JSON; of the edit, where one is undone or redone.
        changes: what it changed.
        touches: whose state it changed: `piece/…`, `group/…`, `person/…`, `span/…`, `episode`; and
            `group/…/in` where something joined the group.
        actor: who did it.
    """

    number: int
    kind: EntryKind
    of: int | None
    operation: dict[str, Any]
    changes: tuple[Change, ...]
    touches: frozenset[str]
    actor: str


@dataclass(frozen=True)
class Planned:
    """An operation worked out against a state, not yet applied.

    Attributes:
        changes: of decisions, in order; empty where it changes nothing.
        touches: see Entry.
        reads: what it relied on, in the same words: an entry since that touches one of these is a conflict.
        label: what it does, for people, such as "Assign 3 faces to Ada".
    """

    changes: tuple[Change, ...]
    touches: frozenset[str]
    reads: frozenset[str]
    label: str
