"""Runs the stages that follow a review in child processes, each killed at another moment; run as a script.

usage: python -m support.review_kills ROOT SHOW EPISODE FOLDER STEP

See `support.killing`.
"""

import sys
from pathlib import Path

from support.killing import kill_at_every

from pipelines.stage import run_stage
from pipelines.stages import STAGES
from screenalyzer.artifacts import EpisodePaths, recorded_fingerprint
from screenalyzer.settings import Settings


def run_after_tracking(paths: EpisodePaths, settings: Settings) -> None:
    """What a published review makes anew, and what is made from it."""
    upstream = recorded_fingerprint(paths.marker("tracking"))
    assert upstream is not None
    for stage in STAGES[2:]:
        upstream = run_stage(stage, paths, settings, upstream)


def main() -> None:
    """Kill and kill until one survives."""
    root, show, episode, folder, step = sys.argv[1:]

    def run(copy: Path) -> None:
        run_after_tracking(EpisodePaths(copy, show, episode), Settings())

    kill_at_every(int(step), Path(root), Path(folder), run)


if __name__ == "__main__":
    main()
