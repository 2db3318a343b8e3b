"""A live line an episode: stage, bar, speed as a multiple of real time, and the time left."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from pipelines.stage import STAGE_NAMES
from screenalyzer.results import clock

# Share of an episode's work, for one bar over all stages: the models are nearly all of it.
_INFERENCE_SHARE = 0.95
_REPORT_EVERY_S = 10.0


class _Pace(ProgressColumn):
    """`2.4x  0:41 left`, from the video read in this run alone."""

    def render(self, task: Task) -> Text:
        return Text(str(task.fields.get("pace", "")), style="cyan")


class ProgressScreen:
    """An observer that draws; where there is no terminal it prints a line now and then instead."""

    def __init__(self, console: Console, keys: list[str]) -> None:
        """Make a line for each key."""
        self._console, self._live = console, console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[stage]:<10}"), _Pace(), console=console, disable=not self._live,
        )  # fmt: skip
        self._tasks = {k: self._progress.add_task(k, total=1.0, stage="waiting", pace="") for k in keys}
        self._began: dict[str, tuple[float, int]] = {}
        self._spoke: dict[str, float] = {}

    def __enter__(self) -> "ProgressScreen":
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Stop drawing."""
        self._progress.stop()

    def stage_started(self, key: str, stage: str) -> None:
        """Show the stage."""
        self._progress.update(self._tasks[key], stage=stage)

    def advanced(self, key: str, done_ms: int, total_ms: int) -> None:
        """Move the bar and say how fast it goes."""
        now = time.monotonic()
        start, first_ms = self._began.setdefault(key, (now, done_ms))
        pace = ""
        if now > start and done_ms > first_ms:
            speed = (done_ms - first_ms) / 1000 / (now - start)
            pace = f"{speed:.1f}x real time, {clock(round((total_ms - done_ms) / speed))} left"
        share = _INFERENCE_SHARE * done_ms / max(1, total_ms)
        self._progress.update(self._tasks[key], completed=share, pace=pace)
        if not self._live and pace and now - self._spoke.get(key, 0.0) >= _REPORT_EVERY_S:
            self._spoke[key] = now
            self._console.print(f"{key}: {clock(done_ms)} of {clock(total_ms)}, {pace}")

    def stage_done(self, key: str, stage: str) -> None:
        """Move the bar to the stage's end."""
        if not stage:
            self._progress.update(self._tasks[key], completed=1.0, stage="done", pace="")
            if not self._live:
                self._console.print(f"{key}: done")
        elif stage in STAGE_NAMES:
            share = _INFERENCE_SHARE + (1 - _INFERENCE_SHARE) * (STAGE_NAMES.index(stage) + 1) / len(
                STAGE_NAMES
            )
            self._progress.update(self._tasks[key], completed=share)

    def failed(self, key: str, message: str) -> None:  # noqa: ARG002
        """Mark the line; the message is printed by the command, once, at the end."""
        self._progress.update(self._tasks[key], stage="[red]failed[/red]", pace="")
        if not self._live:
            self._console.print(f"{key}: failed")
