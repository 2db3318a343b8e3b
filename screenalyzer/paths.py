"""Where every artifact of an episode lies, and what an episode may be called."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from screenalyzer import storage
from screenalyzer.errors import EpisodeNameError

_LONGEST_NAME = 200  # bytes; with what exports and temporary names add, file systems take 255


def clean_name(raw: str, what: str = "episode") -> str:
    """A show or episode name that is safe as a folder on every storage.

    Letters of any script with their marks, digits, dot, dash and underscore stay; runs of anything else
    become one dash.

    Raises:
        EpisodeNameError: nothing usable is left, or it is longer than 120 characters or 200 bytes.
    """
    kept = "".join(c if _in_name(c) else " " for c in unicodedata.normalize("NFC", raw))
    name = unicodedata.normalize("NFC", re.sub(r" +", "-", kept)).strip("-.")
    if not any(c.isalnum() for c in name):
        raise EpisodeNameError(f"{raw!r} cannot name the {what}: it needs a letter or a digit. Rename it.")
    if len(name) > 120 or len(name.encode()) > _LONGEST_NAME:
        raise EpisodeNameError(
            f"{raw!r} is too long to name the {what}: 120 letters at most, fewer in other scripts. Rename it."
        )
    return name


def _in_name(c: str) -> bool:
    """Vowel signs and the like are marks, and no letters to `str.isalnum`."""
    return c.isalnum() or c in "._-" or unicodedata.category(c).startswith("M")


@dataclass(frozen=True)
class EpisodePaths:
    """Every path of one episode below a data root."""

    root: Path
    show: str
    episode: str

    @property
    def key(self) -> str:
        """`{show}/{episode}`."""
        return f"{self.show}/{self.episode}"

    @property
    def harvest(self) -> Path:
        """Manifest, samples and crops."""
        return self.root / "harvest" / self.show / self.episode

    @property
    def outputs(self) -> Path:
        """Everything computed."""
        return self.root / "outputs" / self.show / self.episode

    @property
    def facebank(self) -> Path:
        """The named faces of the show."""
        return self.root / "facebank" / self.show

    @property
    def source_json(self) -> Path:
        """The probed video: identity, clock, size."""
        return self.harvest / "source.json"

    @property
    def manifest(self) -> Path:
        """Sampled frames."""
        return self.harvest / "manifest.parquet"

    @property
    def manifest_json(self) -> Path:
        """Source, size, rate, duration, shots, missing seconds."""
        return self.harvest / "manifest.json"

    @property
    def selected_samples(self) -> Path:
        """Best samples of each track."""
        return self.harvest / "selected_samples.csv"

    @property
    def crops(self) -> Path:
        """Face crops of the selected samples."""
        return self.harvest / "crops"

    @property
    def chunks(self) -> Path:
        """Checkpoints of the inference."""
        return self.outputs / "chunks"

    def chunk_frames(self, index: int) -> Path:
        """Frame log of one chunk."""
        return self.chunks / f"frames-{index:05d}.parquet"

    def chunk_faces(self, index: int) -> Path:
        """Faces of one chunk."""
        return self.chunks / f"faces-{index:05d}.parquet"

    def chunk_damage(self, index: int) -> Path:
        """What of one chunk could not be decoded."""
        return self.chunks / f"damage-{index:05d}.json"

    def chunk_marker(self, index: int) -> Path:
        """Says that a chunk is done, and from what."""
        return self.chunks / f"done-{index:05d}.json"

    @property
    def detections(self) -> Path:
        """Folder of detections/part-*.parquet."""
        return self.outputs / "detections"

    @property
    def embeddings(self) -> Path:
        """Embeddings with their tracks."""
        return self.outputs / "embeddings.parquet"

    @property
    def tracks(self) -> Path:
        """Tracks."""
        return self.outputs / "tracks.json"

    @property
    def clusters(self) -> Path:
        """People and groups."""
        return self.outputs / "clusters.parquet"

    @property
    def members(self) -> Path:
        """Tracks of each cluster."""
        return self.outputs / "members.parquet"

    @property
    def merge_suggestions(self) -> Path:
        """Pairs that may be one person."""
        return self.outputs / "assist" / "merge_suggestions.parquet"

    @property
    def reviewed_clusters(self) -> Path:
        """People and groups as people left them."""
        return self.outputs / "assist" / "clusters.parquet"

    @property
    def reviewed_members(self) -> Path:
        """Tracks, and parts of tracks, of each of them."""
        return self.outputs / "assist" / "members.parquet"

    @property
    def low_confidence(self) -> Path:
        """What a person should look at, first things first."""
        return self.outputs / "assist" / "low_confidence.parquet"

    @property
    def review_record(self) -> Path:
        """What people decided, as it was last published."""
        return self.outputs / "review" / "decisions.json"

    @property
    def timeline(self) -> Path:
        """Intervals of each person."""
        return self.outputs / "timeline.csv"

    @property
    def totals_csv(self) -> Path:
        """Totals for people."""
        return self.outputs / "totals.csv"

    @property
    def totals_parquet(self) -> Path:
        """Totals for programs."""
        return self.outputs / "totals.parquet"

    @property
    def audit(self) -> Path:
        """Append-only log."""
        return self.outputs / "diagnostics" / "audit.jsonl"

    @property
    def erased(self) -> Path:
        """Where the faces were that must not come back."""
        return self.outputs / "diagnostics" / "erased.parquet"

    @property
    def erasing(self) -> Path:
        """What an erasure that is under way has set out to remove."""
        return self.outputs / "diagnostics" / "erasing.json"

    @property
    def exports(self) -> Path:
        """Files made for people outside."""
        return self.outputs / "exports"

    def marker(self, stage: str) -> Path:
        """Says that a stage is done, and from what."""
        return self.outputs / "stages" / f"{stage}.json"

    def relative(self, path: Path) -> str:
        """A path as it is written into artifacts: below the data root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def purge(self) -> None:
        """Remove everything computed for the episode, but the audit log and where erased faces were."""
        storage.remove_tree(self.harvest)
        storage.remove_tree(self.outputs, keep=self.audit.parent)
