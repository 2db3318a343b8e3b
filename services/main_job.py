"""The main job as one call: settings and videos in, outcomes out."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipelines.cluster import cluster
from pipelines.episode import Job
from pipelines.progress import Observer
from pipelines.season import Outcome, Season
from screenalyzer.artifacts import EpisodePaths, clean_name
from screenalyzer.errors import EpisodeConflictError
from screenalyzer.faces.embedders import resolve_embedder, resolve_embedder_id
from screenalyzer.settings import Settings
from services.serving import face_models


def plan_jobs(videos: Sequence[Path], show: str, root: Path, replace: bool) -> list[Job]:
    """One job a video, named after its file.

    Raises:
        EpisodeNameError: a name that cannot be used.
        EpisodeConflictError: two files would be the same episode.
    """
    show = clean_name(show, "show")
    jobs = [
        Job(v.absolute(), EpisodePaths(root.absolute(), show, clean_name(v.stem)), replace) for v in videos
    ]
    for key, count in Counter(j.key for j in jobs).items():
        if count > 1:
            files = ", ".join(str(j.video) for j in jobs if j.key == key)
            raise EpisodeConflictError(f"{files} would all be episode {key}. Rename them, or give each once.")
    return jobs


def run_main_job(jobs: Sequence[Job], settings: Settings, observer: Observer) -> list[Outcome]:
    """Process episodes on the cluster that is there, or on a local one.

    Raises:
        ModelError: the embedder that was asked for cannot be had.
    """
    settings = settings.model_copy(update={"embed": resolve_embedder(settings.embed)})
    embedder = resolve_embedder_id(settings.embed)
    with cluster(settings.ray) as layout:
        models = partial(face_models, settings, layout)
        return Season(jobs, settings, embedder, layout, models, observer).run()
