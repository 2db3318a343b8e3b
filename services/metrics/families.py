"""Every figure that the service tells Prometheus: its name, what it means, its labels.

Names end in a base unit, counters in `_total`. No label bears the name of a person, a show or an episode, for
Prometheus keeps what it has read, and nothing could be purged there.
"""

from dataclasses import dataclass
from typing import Final, Literal

from services.jobs.plans import PLANS

PREFIX: Final = "screenalyzer_"

_STAGES: Final = tuple(stage for plan in PLANS.values() for stage, _ in plan)
_REASONS: Final = ("failed", "lost", "refused", "given_up")
FORESEEN: Final = {
    (): ("",),
    ("stage",): _STAGES,
    ("stage", "reason"): tuple(f"{stage}/{reason}" for stage in _STAGES for reason in _REASONS),
}

STAGE_BOUNDS: Final = (0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0)
PACE_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
VARIANCE_BOUNDS: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Family:
    """A figure.

    Attributes:
        name: without the prefix; of a counter without `_total`.
        kind: as Prometheus has them.
        what: its meaning.
        labels: names, in order.
        bounds: of a histogram's buckets.
    """

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    what: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names as queries use them."""
        endings = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(f"{PREFIX}{self.name}{ending}" for ending in endings[self.kind])


def _gauge(name: str, what: str, *labels: str) -> Family:
    return Family(name, "gauge", what, labels)


def _counter(name: str, what: str, *labels: str) -> Family:
    return Family(name, "counter", what, labels)


FAMILIES: Final = (
    _gauge("build_info", "Always 1; says which version answers", "version"),
    _gauge("redis_up", "Whether Redis answers"),
    _gauge("workers_busy", "Workers that run a stage"),
    # Jobs
    _gauge("jobs", "Jobs that are kept", "kind", "state"),
    _gauge("jobs_overdue", "Jobs of episodes that run or wait and are past their deadline"),
    _gauge("job_deadline_ratio", "Setting: seconds that a job may take for a second of video"),
    Family(
        "job_pace_ratio", "histogram",
        "Seconds from an episode's arrival to its results, for a second of video; of jobs never stopped",
        bounds=PACE_BOUNDS,
    ),
    _counter("jobs_late", "Jobs of episodes that ended after their deadline"),
    _gauge("dead_letters", "Stages that were given up and whose job nobody has resumed since", "queue"),
    _counter(
        "stage_failures",
        "Attempts that failed or were lost with their worker; stages that were refused at once or given up",
        "stage", "reason",
    ),
    # Queues
    _gauge("queue_runs", "Stages that are due, sent to the workers, or running", "queue", "state"),
    _gauge("queue_oldest_seconds", "How long the stage that waits longest has been due", "queue"),
    _gauge("queue_silent_seconds", "Longest time for which a stage that runs has not got on", "queue"),
    _gauge("queue_video_speed_ratio", "Seconds of video a second of all stages that run", "queue"),
    _gauge("stream_entries", "Messages in a stream of Redis, delivered or not", "queue"),
    # Stages
    Family(
        "stage_duration_seconds", "histogram", "Work of stages that are done, over all attempts", ("stage",),
        STAGE_BOUNDS,
    ),
    _counter("stage_video_seconds", "Video in stages that are done", "stage"),
    _gauge("eta_error_ratio", "Mean of (foretold - taken) / taken over a stage's last 100 runs", "stage"),
    _gauge("eta_error_size_ratio", "Mean size of that error over a stage's last 100 runs", "stage"),
    _counter("processed_frames", "Frames that faces were looked for in"),
    _counter("processed_faces", "Faces that were found"),
    _counter("processed_tracks", "Tracks that were made"),
    _counter("processed_clusters", "Clusters that were made"),
    _counter("processed_low_confidence_clusters", "Clusters that a person should look at"),
    _counter("processed_clustered_tracks", "Tracks in the clusters that were made"),
    _counter("processed_low_confidence_tracks", "Tracks in clusters that a person should look at"),
    Family(
        "cluster_variance", "histogram",
        "Mean cosine distance of a cluster's faces to their mean, of clusters of two tracks and more",
        bounds=VARIANCE_BOUNDS,
    ),
    # What is kept now
    _gauge("archive_episodes", "Episodes that are kept"),
    _gauge("archive_frames", "Frames of their last runs that faces were looked for in"),
    _gauge("archive_faces", "Faces in them"),
    _gauge("archive_tracks", "Tracks in them"),
    _gauge("archive_clusters", "Clusters in them"),
    _gauge("archive_low_confidence_clusters", "Clusters in them that a person should look at"),
    # Review; `period` is 30d, by the last publication of an episode's review, or all
    _gauge("review_episodes", "Episodes whose review has been published", "period"),
    _gauge("review_actions", "Edits, undos and redos in them", "period"),
    _gauge("review_tracks", "Tracks in them", "period"),
    _gauge("review_reviewed_tracks", "Tracks in those of their clusters that people decided on", "period"),
    _gauge("review_moved_tracks", "Tracks among these that people moved out of their cluster", "period"),
    # Storage
    _gauge("storage_bytes", "Bytes below the data root, by kind, when it was last measured", "kind"),
    _gauge("storage_files", "Files below the data root, by kind, when it was last measured", "kind"),
    _gauge("storage_measured_timestamp_seconds", "When that was"),
    _gauge("disk_free_bytes", "Bytes free where the data root lies"),
    _gauge("disk_size_bytes", "Bytes of the disk where the data root lies"),
    _gauge("disk_reserve_bytes", "Setting: bytes of it that uploads never fill"),
    _gauge("video_bytes", "Bytes of the videos that are kept"),
    _gauge("uploads", "Uploads", "state"),
    _gauge("upload_bytes", "Bytes of uploads that have arrived", "state"),
    # Audit
    _gauge("audit_logs", "Audit logs by what their last verification found", "verdict"),
    _gauge("audit_lines", "Lines of all audit logs that were good at the last verification"),
    _gauge("audit_verified_timestamp_seconds", "When the audit logs were last verified"),
)  # fmt: skip
