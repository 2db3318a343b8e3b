"""Progress as events: what a screen, a log or an API shows of a run."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.exceptions import RayError

_ASK_S = 10.0


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
    """An actor that collects what decoders read, for the driver to look at, and what they began."""

    def __init__(self) -> None:
        """Start empty."""
        self._read_ms: dict[str, int] = {}
        self._begun: Counter[str] = Counter()

    def advance(self, key: str, ms: int) -> None:
        """Add to an episode's count."""
        self._read_ms[key] = self._read_ms.get(key, 0) + ms

    def read_ms(self) -> dict[str, int]:
        """Milliseconds read in this run, by episode."""
        return dict(self._read_ms)

    def begin(self, what: str) -> int:
        """Count that a piece of work begins; returns how often it has."""
        self._begun[what] += 1
        return self._begun[what]


@dataclass(frozen=True)
class Reporter:
    """Reports to the board, without waiting for it where nothing is asked."""

    board: Any

    def __call__(self, key: str, ms: int) -> None:
        """Add to an episode's count."""
        self.board.advance.remote(key, ms)

    def begin(self, what: str) -> int:
        """How often a piece of work has begun, with this time; 1 where the board cannot be asked."""
        try:
            return int(ray.get(self.board.begin.remote(what), timeout=_ASK_S))
        except (RayError, TimeoutError):
            return 1
