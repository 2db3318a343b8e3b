"""Running the main job under a live screen, as `process` and `demo` do."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from pipelines.progress import Silent
from screenalyzer.errors import ScreenalyzerError
from screenalyzer.settings import Settings
from services.cli.progress import ProgressScreen

if TYPE_CHECKING:
    from pipelines.season import Outcome


def run_jobs(
    videos: Sequence[Path], show: str, root: Path, settings: Settings, replace: bool, quiet: bool
) -> "list[Outcome]":
    """Process videos; shows progress on stderr unless quiet.

    Raises:
        InputError: names that cannot be used, or are used twice.
        ModelError: the embedder that was asked for cannot be had.
    """
    from services.main_job import plan_jobs, run_main_job  # noqa: PLC0415 - seconds that only this needs

    jobs = plan_jobs(videos, show, root, replace)
    with _library_output_aside() as stderr:
        screen = (
            nullcontext(Silent()) if quiet else ProgressScreen(Console(file=stderr), [j.key for j in jobs])
        )
        with screen as observer:
            return run_main_job(jobs, settings, observer)


@contextmanager
def _library_output_aside() -> Iterator[TextIO]:
    """Put aside what libraries write to stderr past Python, which would lie across the progress bars.

    It is shown after all if the block breaks in a way that nobody foresaw.

    Yields:
        The real stderr.
    """
    with os.fdopen(os.dup(2), "w") as real, tempfile.TemporaryFile("w+", errors="replace") as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield real
        except (ScreenalyzerError, KeyboardInterrupt):
            raise
        except BaseException:
            aside.seek(0)
            shutil.copyfileobj(aside, real)
            raise
        finally:
            real.flush()
            os.dup2(real.fileno(), 2)
