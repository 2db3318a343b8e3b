"""Progress as events: what a screen, a log or an API shows of a run."""

from dataclasses import dataclass
from typing import Any, Protocol


class Observer(Protocol):
    """Is told what happens to each episode, by its key `{show}/{episode}`."""

    def stage_started(self, key: str, stage: str) -> None:
        """A stage began."""

    def advanced(self, key: str, done_ms: int, total_ms: int) -> None:
        """So much of the video has been read."""

    def stage_done(self, key: str, stage: str) -> None:
        """A stage ended well."""

    def failed(self, key: str, message: str) -> None:
        """The episode ends here; the message is for the user."""


class Silent:
    """An observer that shows nothing."""

    def stage_started(self, key: str, stage: str) -> None:
        """Nothing."""

    def advanced(self, key: str, done_ms: int, total_ms: int) -> None:
        """Nothing."""

    def stage_done(self, key: str, stage: str) -> None:
        """Nothing."""

    def failed(self, key: str, message: str) -> None:
        """Nothing."""


class Board:
    """An actor that collects the milliseconds read from every decoder, for the driver to look at."""

    def __init__(self) -> None:
        """Start empty."""
        self._read_ms: dict[str, int] = {}

    def advance(self, key: str, ms: int) -> None:
        """Add to an episode's count."""
        self._read_ms[key] = self._read_ms.get(key, 0) + ms

    def read_ms(self) -> dict[str, int]:
        """Milliseconds read in this run, by episode."""
        return dict(self._read_ms)


@dataclass(frozen=True)
class Reporter:
    """Reports to the board without waiting for it."""

    board: Any

    def __call__(self, key: str, ms: int) -> None:
        """Add to an episode's count."""
        self.board.advance.remote(key, ms)
