"""What clustering gives back."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

NOT_A_FACE = "not a face"

NamedBy = Literal["person", "facebank"]


class Member(NamedTuple):
    """A track of a cluster, and how sure it is that it belongs there, 0..1."""

    track_id: str
    score: float


@dataclass(frozen=True)
class Cluster:
    """One person, as far as is known.

    Attributes:
        cluster_id: derived from its earliest track.
        name: None until a person or the facebank names it.
        named_by: who did.
        members: by start of the track.
        intra_variance: mean cosine distance of its detections to their common mean.
        rep_det_id: the detection to show.
        face_score: 0..1, how sure it is that this is a face at all.
        low_conf: to be looked at by a person before it counts.
        reason: why it is low_conf: `not a face`, `brief and blurred`, `unsure`, `uncertain name`; or empty.
    """

    cluster_id: str
    name: str | None
    named_by: NamedBy | None
    members: tuple[Member, ...]
    intra_variance: float
    rep_det_id: str
    face_score: float
    low_conf: bool
    reason: str

    @property
    def leave_out(self) -> bool:
        """Whether to keep it out of the totals until a person has said what it is.

        Only what is hardly a face. A face that is merely hard to group is a person who was on screen.
        """
        return self.reason == NOT_A_FACE


@dataclass(frozen=True)
class Clustering:
    """A grouping of all tracks of an episode.

    Attributes:
        clusters: by their earliest track.
        not_faces: track ids that a person said are no face, sorted.
        unapplied: track ids that constraints name and the episode does not have, sorted.
    """

    clusters: tuple[Cluster, ...]
    not_faces: tuple[str, ...] = ()
    unapplied: tuple[str, ...] = ()
