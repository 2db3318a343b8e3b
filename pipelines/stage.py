"""The contract of a stage: a function over files that is safe to run again.

A stage's marker carries a fingerprint of its name, its version, its settings and the fingerprint of the
stage before it. So a changed setting runs again what it must, and nothing more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from screenalyzer import artifacts, storage
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.settings import Settings

# The stages after the harvest, in their order; `pipelines.stages` gives each its function.
STAGE_NAMES = ("inference", "tracking", "cluster", "assist", "analytics")

StageFunction = Callable[[EpisodePaths, Settings], list[Path]]


@dataclass(frozen=True)
class Stage:
    """One step of the main job.

    Attributes:
        name: as in markers, progress and queues.
        version: raised when the code gives another result for the same input.
        run: writes the outputs and returns their paths.
        depends_on: what of the settings, and of files outside the episode, the result depends on.
        reads_chunks: whether it reads the checkpoints of the inference.
        crops: whether it writes the crops, and so vouches for them.
    """

    name: str
    version: int
    run: StageFunction
    depends_on: Callable[[EpisodePaths, Settings], object]
    reads_chunks: bool = False
    crops: bool = False

    def fingerprint(self, paths: EpisodePaths, settings: Settings, upstream: str) -> str:
        """What the outputs are made from."""
        return artifacts.fingerprint(self.name, self.version, self.depends_on(paths, settings), upstream)


def drop_markers(paths: EpisodePaths, since: str = STAGE_NAMES[0]) -> None:
    """Say of a stage and all later ones that they are not done: what they are made from is about to change.

    Results that a person looks at meanwhile would be those of something else.
    """
    later = STAGE_NAMES[STAGE_NAMES.index(since) :] if since in STAGE_NAMES else (since,)
    for name in reversed(later):
        storage.remove(paths.marker(name))


def sweep(paths: EpisodePaths) -> None:
    """Remove what killed stages left half written. Call with the episode locked.

    Exports and the audit log are written without that lock, so a half file there may be in the making.
    """
    artifacts.sweep_temporaries(paths.harvest)
    artifacts.sweep_temporaries(paths.outputs, but=(paths.exports, paths.audit.parent))


def run_stage(stage: Stage, paths: EpisodePaths, settings: Settings, upstream: str) -> str:
    """Run a stage unless its marker says that this very result is there.

    Returns:
        The stage's fingerprint, the `upstream` of the next one.
    """
    artifacts.pull(paths, chunks=stage.reads_chunks, crops=stage.crops)
    sweep(paths)
    made_from = stage.fingerprint(paths, settings, upstream)
    marker = paths.marker(stage.name)
    if not artifacts.is_done(marker, made_from):
        drop_markers(paths, stage.name)
        artifacts.mark_done(marker, made_from, stage.run(paths, settings))
    return made_from


def explain(error: OSError) -> str:
    """What the operating system refused, for the user."""
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror or error}{where}. Look at the path, the rights and the free disk."
