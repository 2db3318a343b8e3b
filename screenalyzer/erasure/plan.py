"""What an erasure has set out to remove; on disk while it is under way. It holds no name."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from screenalyzer.errors import ArtifactError


@dataclass(frozen=True)
class Plan:
    """What is to go.

    Attributes:
        person_id: of the person, see `facebank.person_id`.
        cluster_ids: their groups, as people left them.
        found_ids: clusters of which nothing is left, as they were found.
        piece_ids: tracks and parts of tracks in their groups.
        track_ids: tracks of which nothing is left.
        det_ids: their faces.
        shown_ids: of what else they are called, and of what the timeline calls groups that go and bear no
            name, likewise.
        people_ids: of the people in the record of the review that they are.
        markers: those that vouched for their outputs before anything was touched, from the outputs' folder.
    """

    person_id: str
    cluster_ids: tuple[str, ...]
    found_ids: tuple[str, ...]
    piece_ids: tuple[str, ...]
    track_ids: tuple[str, ...]
    det_ids: tuple[str, ...]
    shown_ids: tuple[str, ...]
    people_ids: tuple[str, ...]
    markers: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Any, path: Path) -> "Plan":
        """Read it back.

        Raises:
            ArtifactError: it is not what `to_json` gave; names the file.
        """
        try:
            lists = {f.name: found[f.name] for f in fields(cls) if f.name != "person_id"}
            return cls(str(found["person_id"]), **{k: tuple(str(v) for v in own) for k, own in lists.items()})
        except (KeyError, TypeError) as e:
            raise ArtifactError(
                f"{path} is damaged ({e!r}). Remove it and erase the person again, then process the episode."
            ) from e
