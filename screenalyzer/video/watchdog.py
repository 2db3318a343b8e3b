"""Ending a process whose decoder has hung; nothing within the process could be asked to.

A damaged file may send a decoder round in circles, in C and with Python's lock held. So it is the system's
own timer that is set: it ends the process, which then counts as one that has died.
"""

import signal
from types import TracebackType

HUNG_S = 120.0  # for one packet, which takes a second at most


class Watchdog:
    """Guards the block; `feed` it within that time, again and again. One a process."""

    def __init__(self, hung_s: float = HUNG_S) -> None:
        """Take the seconds without food after which the process ends, by SIGALRM."""
        self._hung_s = hung_s

    def feed(self) -> None:
        """Say that it goes on."""
        signal.setitimer(signal.ITIMER_REAL, self._hung_s)

    def __enter__(self) -> "Watchdog":
        """Begin to guard."""
        self.feed()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Guard no more."""
        signal.setitimer(signal.ITIMER_REAL, 0)
