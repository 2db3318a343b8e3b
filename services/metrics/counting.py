"""What an episode's artifacts come to: counted by the task that made them, recorded with the stage's end."""

from dataclasses import dataclass, field
from typing import Any

from pyarrow import parquet
from sqlalchemy.orm import Session

from pipelines.single import ModelsFor, StageWork, later_stage, read_stage
from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.review import record
from screenalyzer.review.corrections import Corrections
from services.db.figures import EpisodeFigures
from services.db.models import Episode, now
from services.metrics import tallies
from services.metrics.families import VARIANCE_BOUNDS

COUNTS = (
    "frames", "faces", "tracks", "clusters", "low_conf_clusters", "low_conf_tracks", "actions",
    "reviewed_tracks", "moved_tracks",
)  # fmt: skip
_CLUSTER_OF_MORE = 2  # one track alone has no spread between tracks


@dataclass(frozen=True)
class Counted:
    """A stage that has ended well.

    Attributes:
        skipped: there was nothing to do.
        counts: by the name of their column in `EpisodeFigures`.
        guided: clusters were made with decisions of people at hand.
        clustered: tracks in clusters.
        variances: of clusters of two tracks and more.
    """

    skipped: bool
    counts: dict[str, int] = field(default_factory=dict)
    guided: bool = False
    clustered: int = 0
    variances: list[float] = field(default_factory=list)


def read_and_count(work: StageWork, models: ModelsFor, board: Any) -> Counted:
    """Run the inference and count what it found; see `pipelines.single.read_stage`."""
    skipped = not read_stage(work, models, board)
    return count(work.job.paths, "inference", skipped=skipped)


def run_and_count(work: StageWork, stage: str) -> Counted:
    """Run a later stage and count what it made; see `pipelines.single.later_stage`."""
    skipped = not later_stage(work, stage)
    return count(work.job.paths, stage, skipped=skipped)


def count(paths: EpisodePaths, stage: str, *, skipped: bool) -> Counted:
    """Count what a stage has made.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    if stage == "inference":
        parts = sorted(paths.detections.glob("part-*.parquet"))
        faces = sum(parquet.read_metadata(p).num_rows for p in parts)
        return Counted(skipped, {"frames": parquet.read_metadata(paths.manifest).num_rows, "faces": faces})
    if stage == "tracking":
        return Counted(skipped, {"tracks": len(artifacts.read_json(paths.tracks)["tracks"])})
    return _clusters(paths, skipped) if stage == "cluster" else Counted(skipped)


def _clusters(paths: EpisodePaths, skipped: bool) -> Counted:
    rows = artifacts.read_table(paths.clusters, schemas.CLUSTERS).to_pylist()
    doubtful = [r for r in rows if r["low_conf"]]
    return Counted(
        skipped,
        {
            "clusters": len(rows),
            "low_conf_clusters": len(doubtful),
            "low_conf_tracks": sum(r["member_count"] for r in doubtful),
        },
        guided=bool(record.load(paths).decisions),
        clustered=sum(r["member_count"] for r in rows),
        variances=[r["intra_variance"] for r in rows if r["member_count"] >= _CLUSTER_OF_MORE],
    )


def note(session: Session, episode_id: str | None, found: Counted) -> None:
    """Record what a stage has made, in the transaction that says that it is done."""
    figures = figures_of(session, episode_id) if found.counts else None
    if figures is None:
        return
    for column, number in found.counts.items():
        setattr(figures, column, number)
    if "clusters" in found.counts:
        figures.guided = found.guided
    if not found.skipped:
        tallies.add(session, _adds(found))


def note_review(session: Session, episode_id: str, actions: int, found: Corrections) -> None:
    """Record what a review says of the clusters, with the word that it is published.

    Clusters that were made from decisions say nothing of what the machine did alone: what was known stays.
    """
    figures = figures_of(session, episode_id) if actions else None
    if figures is None:
        return
    figures.actions, figures.reviewed_at = actions, now()
    if not figures.guided:
        figures.reviewed_tracks, figures.moved_tracks = found


def forget(session: Session, episode_id: str) -> None:
    """Forget all counts of an episode but those of its log: its video was replaced."""
    figures = session.get(EpisodeFigures, episode_id, with_for_update=True)
    for column in COUNTS if figures is not None else ():
        setattr(figures, column, None)
    if figures is not None:
        figures.guided, figures.reviewed_at = False, None


def figures_of(session: Session, episode_id: str | None) -> EpisodeFigures | None:
    """The row of an episode, made where there is none, and held; None without an episode."""
    if episode_id is None or session.get(Episode, episode_id) is None:
        return None
    figures = session.get(EpisodeFigures, episode_id, with_for_update=True)
    if figures is None:
        figures = EpisodeFigures(episode_id=episode_id, guided=False, audit_lines=0)
        session.add(figures)
    figures.updated_at = now()
    session.flush()
    return figures


def _adds(found: Counted) -> tallies.Adds:
    names = {"low_conf_clusters": "low_confidence_clusters", "low_conf_tracks": "low_confidence_tracks"}
    adds = {(f"processed_{names.get(c, c)}", ""): float(n) for c, n in found.counts.items()}
    if "clusters" in found.counts:
        adds["processed_clustered_tracks", ""] = found.clustered
        adds |= tallies.observed("cluster_variance", "", found.variances, VARIANCE_BOUNDS)
    return adds
