"""The main job as one call: settings and videos in, outcomes out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as dataclass_replace
from functools import partial
from pathlib import Path

from pipelines.cluster import cluster
from pipelines.episode import Job
from pipelines.progress import Observer
from pipelines.season import Outcome, Season
from screenalyzer.artifacts import EpisodePaths, clean_name
from screenalyzer.errors import EpisodeNameError
from screenalyzer.faces.embedders import with_embedder
from screenalyzer.settings import Settings
from services.serving import face_models


def plan_jobs(videos: Sequence[Path], show: str, root: Path, replace: bool) -> list[Job]:
    """One job a video, named after its file; a name that cannot be used, or is used twice, is refused.

    Raises:
        EpisodeNameError: the show's name cannot be used.
    """
    show = clean_name(show, "show")
    jobs = [_plan(v.absolute(), show, root.absolute(), replace) for v in videos]
    count = Counter(j.key for j in jobs if not j.refused)
    return [_refuse_twice(j, jobs) if count[j.key] > 1 else j for j in jobs]


def _plan(video: Path, show: str, root: Path, replace: bool) -> Job:
    try:
        return Job(video, EpisodePaths(root, show, clean_name(video.stem)), replace)
    except EpisodeNameError as e:
        return Job(video, EpisodePaths(root, show, ""), refused=f"{video.name}: {e}")


def _refuse_twice(job: Job, jobs: Sequence[Job]) -> Job:
    files = ", ".join(str(j.video) for j in jobs if j.key == job.key)
    why = f"{job.video.name}: {files} would all be episode {job.key}. Rename them, or give each once."
    return dataclass_replace(job, refused=why)


def run_main_job(jobs: Sequence[Job], settings: Settings, observer: Observer) -> list[Outcome]:
    """Process episodes on the cluster that is there, or on a local one.

    Returns:
        One outcome a job, in order.

    Raises:
        ModelError: the embedder that was asked for cannot be had.
        SettingsError: there is no such embedder, or the cluster is too small for what was asked for.
    """
    settings, embedder = with_embedder(settings)
    able = [j for j in jobs if not j.refused]
    outcomes: dict[str, Outcome] = {}
    if able:
        with cluster(settings.ray) as layout:
            models = partial(face_models, settings, layout)
            outcomes = {
                o.job.key: o for o in Season(able, settings, embedder, layout, models, observer).run()
            }
    return [Outcome(j, j.refused) if j.refused else outcomes[j.key] for j in jobs]
