"""What a review shows: plain data, ready for JSON. Times in milliseconds of the source's clock."""

from dataclasses import dataclass
from typing import Literal

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Candidate:
    """Somebody whom an unnamed face may be.

    Attributes:
        person_id: of the show.
        name: theirs.
        probability: 0..1, that it is one person, at equal odds beforehand.
    """

    person_id: str
    name: str
    probability: float


@dataclass(frozen=True)
class Entity:
    """One row of the review: all groups of a person, or one group that nobody has named.

    Attributes:
        entity_id: the person's id, or the group's.
        kind: which of the two.
        name: of the person, or "Person NN".
        person_id: None for a group.
        group_ids: by first appearance; none for a person who is on screen by hand alone.
        piece_count: tracks, and parts of tracks.
        face_count: detections that a picture is kept of.
        screen_ms: credited; 0 where it is not.
        seen_ms: time that its pieces stand for.
        rep_det_id: the detection to show; empty where there is none.
        auto: named by the facebank, and somebody has still to confirm some of it.
        confidence: 0..1, mean score of its pieces, each by its detections; of a name that nobody has looked
            at, no more than how surely they are whom the facebank knows by it.
        known_from: how many episodes the show's facebank knows the person from.
        looks: of a person found surely, how many of its worst faces to look at before the name is confirmed.
        reviewed: 0..1, share of seen_ms that a person decided.
        low_conf: to be looked at.
        reason: why it is low_conf; see `Cluster`.
        mark: "not_face", "background" or None.
        locked: some of its groups are locked.
        variance: mean cosine distance of its detections to their mean; the greatest of its groups.
        candidates: for an unnamed group whom it may be, best first, at most nine.
    """

    entity_id: str
    kind: Literal["person", "group"]
    name: str
    person_id: str | None
    group_ids: tuple[str, ...]
    piece_count: int
    face_count: int
    screen_ms: int
    seen_ms: int
    rep_det_id: str
    auto: bool
    confidence: float
    known_from: int
    looks: int
    reviewed: float
    low_conf: bool
    reason: str
    mark: str | None
    locked: bool
    variance: float
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class FaceRow:
    """A face that a picture is kept of.

    Attributes:
        det_id: the detection.
        piece_id: its piece.
        track_id: its track.
        entity_id: whose row it is in.
        ts_ms: when.
        box: x1, y1, x2, y2 in pixels of the frame.
        distance: cosine distance to the nearest group of the entity.
        score: 0..1, how sure it is that the piece belongs there.
        pinned: a person decided so.
    """

    det_id: str
    piece_id: str
    track_id: str
    entity_id: str
    ts_ms: int
    box: Box
    distance: float
    score: float
    pinned: bool


@dataclass(frozen=True)
class MergeSuggestion:
    """Two entities that may be one person.

    Attributes:
        entity_a: the one seen first.
        entity_b: the other.
        probability: 0..1, that they are one, at equal odds beforehand.
        at_stake_ms: seen time of the shorter one.
        rank: from 1; the greatest probability times time at stake first.
        name_a: shown.
        name_b: shown.
        rep_a: detection to show.
        rep_b: detection to show.
    """

    entity_a: str
    entity_b: str
    probability: float
    at_stake_ms: int
    rank: int
    name_a: str
    name_b: str
    rep_a: str
    rep_b: str


@dataclass(frozen=True)
class Doubt:
    """Some pieces of an entity that may be somebody else, or no face.

    Attributes:
        piece_ids: alike among themselves; the one that shows them best first.
        entity_id: where they are.
        reason: as of a cluster: `not a face`, `brief and blurred`, `unsure`, `uncertain name`.
        seconds: that they stand for.
        uncertainty: 0..1.
        priority: seconds times uncertainty, less what a look at the ones before it settles.
        rep_det_id: detection to show.
        det_ids: up to five with a picture.
        ts_ms: of the detection to show.
        candidates: who it may be instead, best first.
    """

    piece_ids: tuple[str, ...]
    entity_id: str
    reason: str
    seconds: float
    uncertainty: float
    priority: float
    rep_det_id: str
    det_ids: tuple[str, ...]
    ts_ms: int
    candidates: tuple[Candidate, ...]
