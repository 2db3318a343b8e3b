"""The seven queues as Redis Streams, one consumer group each: fast delivery of what SQL says is due.

A message names a stage run and nothing else. It may be delivered twice or be lost: SQL decides who may run
it, and what was lost is put in again from there.
"""

from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from services.jobs.plans import QUEUES
from services.settings import QueueName, QueueSettings

GROUP = "workers"
DEAD = "dead.q"
_DEAD_KEPT = 10_000


def stream(queue: QueueName) -> str:
    """The stream's key."""
    return f"{queue}.q"


@dataclass(frozen=True)
class Message:
    """One delivery.

    Attributes:
        queue: where it waited.
        id: of the stream's entry.
        run_id: the stage run that is due.
    """

    queue: QueueName
    id: str
    run_id: str


class Streams:
    """Puts in, hands out, takes over from the dead. Every method may raise RedisError: Redis may be away."""

    def __init__(self, redis: "Redis", cfg: QueueSettings) -> None:
        """Take a client that decodes."""
        self._redis: Any = redis  # its answers are typed as unions over both protocols and all options
        self._lease_ms = round(cfg.lease_s * 1000)

    def put(self, queue: QueueName, run_id: str) -> None:
        """Put a run in."""
        self._redis.xadd(stream(queue), {"run": run_id})

    def take(self, queue: QueueName, consumer: str) -> Message | None:
        """The next message of a queue: first one whose consumer has died, then a new one."""
        try:
            _, claimed, *_ = self._redis.xautoclaim(
                stream(queue), GROUP, consumer, min_idle_time=self._lease_ms, count=1
            )
            if claimed:
                return self._message(queue, claimed[0])
            found = self._redis.xreadgroup(GROUP, consumer, {stream(queue): ">"}, count=1)
        except ResponseError as e:
            if "NOGROUP" not in str(e):
                raise
            self._make_group(queue)  # a new Redis, or one that was flushed
            return None
        entries = found[0][1] if found else []
        return self._message(queue, entries[0]) if entries else None

    def keep(self, message: Message, consumer: str) -> None:
        """Say that its consumer lives."""
        self._redis.xclaim(
            stream(message.queue), GROUP, consumer, min_idle_time=0, message_ids=[message.id], justid=True
        )

    def done(self, message: Message) -> None:
        """Acknowledge and remove."""
        with self._redis.pipeline() as pipe:
            pipe.xack(stream(message.queue), GROUP, message.id)
            pipe.xdel(stream(message.queue), message.id)
            pipe.execute()

    def bury(self, job_id: str, stage: str, error: str, traceback: str) -> None:
        """Show a dead letter to whoever watches the stream; the kept one is in SQL."""
        fields = {"job": job_id, "stage": stage, "error": error, "traceback": traceback}
        self._redis.xadd(DEAD, fields, maxlen=_DEAD_KEPT)

    def held(self, queue: QueueName) -> set[str]:
        """Runs that a stream holds a message of, delivered or not."""
        return {fields["run"] for _, fields in self._redis.xrange(stream(queue)) if "run" in fields}

    def depths(self) -> dict[str, int]:
        """Entries of each stream, delivered or not."""
        return {queue: int(self._redis.xlen(stream(queue))) for queue in QUEUES}

    def _message(self, queue: QueueName, entry: tuple[str, dict[str, str] | None]) -> Message:
        entry_id, fields = entry
        return Message(queue, entry_id, (fields or {}).get("run", ""))

    def _make_group(self, queue: QueueName) -> None:
        try:
            self._redis.xgroup_create(stream(queue), GROUP, id="0", mkstream=True)
        except ResponseError as e:
            if "BUSYGROUP" not in str(e):  # another worker was faster
                raise
