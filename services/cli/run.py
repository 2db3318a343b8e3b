"""Running the main job under a live screen, as `process` and `demo` do."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

from pipelines.progress import Silent
from screenalyzer.errors import ScreenalyzerError, SettingsError
from screenalyzer.settings import Settings
from services.cli.console import err
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
        SettingsError: RAY_ADDRESS names a cluster that does not answer.
        SystemExit: with 143, when told to stop by SIGTERM.
    """
    from services.main_job import plan_jobs, run_main_job  # noqa: PLC0415 - seconds that only this needs

    jobs = plan_jobs(videos, show, root, replace)
    with _library_output_aside() as (stderr, aside):
        screen = (
            nullcontext(Silent()) if quiet else ProgressScreen(Console(file=stderr), [j.key for j in jobs])
        )
        with screen as observer, _ray_explained():
            outcomes = run_main_job(jobs, settings, observer)
        log = _keep(aside, root) if any("unexpectedly" in (o.error or "") for o in outcomes) else None
    if log:
        err.print(f"what the libraries said is kept in {log}", markup=False, soft_wrap=True)
    return outcomes


@contextmanager
def _ray_explained() -> Iterator[None]:
    """Turn what Ray does to a program into what ours promises."""
    import ray  # noqa: PLC0415 - seconds that only this needs

    try:
        yield
    except ConnectionError as e:
        address = os.environ.get("RAY_ADDRESS")
        if not address or ray.is_initialized():  # a connection to something else
            raise
        raise SettingsError(
            f"no Ray cluster answers at RAY_ADDRESS={address}: "
            "start it, or unset RAY_ADDRESS for a local one."
        ) from e
    except SystemExit:
        # Nothing but SIGTERM ends a run so; Ray's handler takes the place of ours and has codes of its own.
        raise SystemExit(128 + signal.SIGTERM) from None


def _keep(aside: TextIO, root: Path) -> Path | None:
    """Save what libraries wrote, if anything, as a log of this process."""
    aside.seek(0)
    if not (said := aside.read()):
        return None
    log = root / "logs" / f"process-{os.getpid()}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(said, errors="replace")
    return log


@contextmanager
def _library_output_aside() -> Iterator[tuple[TextIO, TextIO]]:
    """Put aside what libraries write to stderr past Python, which would lie across the progress bars.

    It is shown after all if the block breaks in a way that nobody foresaw.

    Yields:
        The real stderr, and the file of what was put aside.
    """
    with os.fdopen(os.dup(2), "w") as real, tempfile.TemporaryFile("w+", errors="replace") as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield real, aside
        except (ScreenalyzerError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            aside.seek(0)
            shutil.copyfileobj(aside, real)
            raise
        finally:
            real.flush()
            os.dup2(real.fileno(), 2)
