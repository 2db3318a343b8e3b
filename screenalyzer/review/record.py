"""The review of an episode as a file beside its results: what the stages are told of people's decisions.

The database is the truth; the file is what it was when it was last published.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from screenalyzer import artifacts
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError
from screenalyzer.review.carrying.anchors import Anchor
from screenalyzer.review.carrying.carry import pieces_in
from screenalyzer.review.keys import Said
from screenalyzer.review.model import Person

_VERSION: Final = 1


@dataclass(frozen=True)
class ReviewRecord:
    """What people decided of an episode.

    Attributes:
        revision: number of the last edit.
        decisions: by key, see `Change`.
        people: of the show, by id.
        anchors: where the pieces of the decisions were, by piece.
    """

    revision: int = 0
    decisions: dict[str, Any] = field(default_factory=dict)
    people: tuple[Person, ...] = ()
    anchors: dict[str, Anchor] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of all that results depend on: not of the revision, which an edit and its undoing raise."""
        return artifacts.fingerprint(self._content())

    def save(self, paths: EpisodePaths) -> None:
        """Write it whole; equal records are equal bytes."""
        artifacts.write_json(paths.review_record, {"revision": self.revision, **self._content()})

    def _content(self) -> dict[str, Any]:
        people = sorted(self.people, key=lambda p: p.person_id)
        named = set(pieces_in(Said.of(self.decisions)))
        return {
            "schema_version": _VERSION,
            "decisions": dict(sorted(self.decisions.items())),
            "people": [
                {"person_id": p.person_id, "name": p.name, "into": p.into, "former": list(p.former)}
                for p in people
            ],
            "anchors": {k: a.to_json() for k, a in sorted(self.anchors.items()) if k in named},
        }


def load(paths: EpisodePaths) -> ReviewRecord:
    """Read the record; an empty one where nobody has decided anything yet.

    Raises:
        ArtifactError: it is damaged, or of another version.
    """
    if not paths.review_record.exists():
        return ReviewRecord()
    found = artifacts.read_json(paths.review_record)
    if not isinstance(found, dict) or found.get("schema_version") != _VERSION:
        raise ArtifactError(
            f"{paths.review_record} is not of version {_VERSION}. Publish the review of the episode again."
        )
    try:
        return ReviewRecord(
            int(found["revision"]),
            {str(k): v for k, v in found["decisions"].items()},
            tuple(_person(p) for p in found["people"]),
            {str(k): Anchor.from_json(a) for k, a in found["anchors"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArtifactError) as e:
        raise ArtifactError(
            f"{paths.review_record} is damaged ({e!r}). Publish the review of the episode again."
        ) from e


def _person(found: Mapping[str, Any]) -> Person:
    into = found["into"]
    return Person(
        str(found["person_id"]),
        str(found["name"]),
        str(into) if into is not None else None,
        tuple(str(n) for n in found["former"]),
    )
