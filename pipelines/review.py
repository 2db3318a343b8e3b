"""The review of an episode from its files: what was found, and what people decided of it."""

from dataclasses import replace

from pipelines.episode import load_clustering, load_grid, load_tracked
from screenalyzer import artifacts, facebank, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.clustering.calibration import calibration_of
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.model import Clustering
from screenalyzer.facebank import Facebank
from screenalyzer.people import numbers_of
from screenalyzer.review import record
from screenalyzer.review.carrying.carry import carry
from screenalyzer.review.cast import Cast
from screenalyzer.review.decisions import Decisions
from screenalyzer.review.desk import Desk
from screenalyzer.review.model import Base
from screenalyzer.review.record import ReviewRecord
from screenalyzer.settings import Settings
from screenalyzer.types import EmbedderId


def load_base(paths: EpisodePaths, settings: Settings, review: ReviewRecord | None = None) -> Base:
    """What the stages up to the clusters found, and where the pieces of the decisions lie in it.

    Names that people gave are left to the decisions: one that was taken back must not stay in what was found.

    Args:
        paths: the episode.
        settings: of the run.
        review: whose pieces to look for; the published record where None.

    Raises:
        ArtifactError: a file is missing or damaged.
        EmbedderMismatchError: the show's facebank was filled by another embedder.
    """
    review = record.load(paths) if review is None else review
    tracked = load_tracked(paths)
    metric, embedder = calibration_of(tracked.embedder), str(tracked.embedder)
    found = load_clustering(paths)
    clusters = tuple(
        replace(c, name=None, named_by=None) if c.named_by == "person" else c for c in found.clusters
    )
    return Base(
        obs=tracked.obs,
        tracks=tracked.tracks,
        grid=load_grid(paths),
        clustering=Clustering(clusters),
        numbers=numbers_of(artifacts.read_table(paths.clusters, schemas.CLUSTERS)),
        gallery=load_gallery(paths, tracked.embedder, review),
        metric=metric,
        cluster_settings=settings.cluster,
        rules=settings.rules,
        samples=_samples(paths),
        carried=carry(review.decisions, review.anchors, tracked.obs, tracked.tracks, metric, embedder),
        embedder=embedder,
    )


def load_desk(paths: EpisodePaths, settings: Settings) -> Desk:
    """The review as it was published.

    Raises:
        ArtifactError: a file is missing or damaged.
        EmbedderMismatchError: the show's facebank was filled by another embedder.
    """
    review = record.load(paths)
    return Desk(load_base(paths, settings, review), review.people, Decisions(review.decisions))


def load_gallery(paths: EpisodePaths, embedder: EmbedderId, review: ReviewRecord) -> Gallery | None:
    """The faces that the show keeps, by the names that people bear now; None where nobody is known.

    Raises:
        ArtifactError: the facebank is damaged.
        EmbedderMismatchError: it was filled by another embedder.
    """
    bank = facebank.open_for(paths.facebank, embedder)
    cast = Cast({p.person_id: p for p in review.people}, ())
    current = Facebank(bank.embedder, {})
    for known, faces in sorted(bank.people.items()):
        person = cast.by_name(known)
        current = current.add(known if person is None else cast.name(person), faces)
    return current.gallery() if current.people else None


def _samples(paths: EpisodePaths) -> dict[str, tuple[str, ...]]:
    kept: dict[str, list[tuple[float, str]]] = {}
    for row in artifacts.read_csv(paths.selected_samples):
        det_id = row["crop_path"].rpartition("/")[2].removesuffix(".jpg")
        kept.setdefault(row["track_id"], []).append((-float(row["quality"]), det_id))
    return {track_id: tuple(det_id for _, det_id in sorted(own)) for track_id, own in kept.items()}
