"""Which stages a job of each kind goes through, and on which queue each waits."""

from typing import Final

from services.db.models import JobKind
from services.settings import QueueName

# Stage, queue. The stages of a process job are those of the main job.
PLANS: Final[dict[JobKind, tuple[tuple[str, QueueName], ...]]] = {
    "process": (
        ("harvest", "harvest"),
        ("inference", "inference"),
        ("tracking", "tracking"),
        ("cluster", "cluster"),
        ("assist", "assist"),
        ("analytics", "analytics"),
    ),
    "export": (("export", "analytics"),),
    "publish": (("publish", "assist"),),
    "purge": (("purge", "ops"),),
    "sweep": (("sweep", "ops"),),
}

# As a worker looks for work. First what keeps the models busy and what reviews wait for, then late stages: an
# episode that is nearly done is finished before another is begun.
QUEUES: Final[tuple[QueueName, ...]] = (
    "inference", "cluster", "ops", "analytics", "assist", "tracking", "harvest",
)  # fmt: skip
