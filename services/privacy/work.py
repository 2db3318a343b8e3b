"""What the parts of a purge share: the job, its ledger, and how to tell and ask the worker."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.context import Services
from services.privacy.ledger import Ledger
from services.work.control import Stopped

Report = Callable[[int, int], None]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Work:
    """A purge.

    Attributes:
        services: of the process.
        job_id: of the purge.
        params: of the job.
        report: told how much of how much is done.
        stop: asked often whether to stop.
        ledger: its memory.
    """

    services: Services
    job_id: str
    params: Mapping[str, Any]
    report: Report
    stop: Stop
    ledger: Ledger

    @property
    def root(self) -> Path:
        """The data root."""
        return self.services.settings.root

    def check(self) -> None:
        """Give up if told to; whoever runs the job again goes on from here.

        Raises:
            Stopped: it should end.
        """
        if self.stop():
            raise Stopped
