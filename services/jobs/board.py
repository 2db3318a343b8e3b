"""The live progress of jobs, mirrored in Redis; whatever is here is also, a little later, in SQL."""

import json
from typing import TypedDict

from redis import Redis
from redis.exceptions import RedisError

_KEEP_S = 3600


class Progress(TypedDict):
    """Of the stage that runs."""

    stage: str
    done_ms: int
    total_ms: int
    speed: float | None  # milliseconds of video a second, divided by 1000: a multiple of real time
    eta_s: float | None  # of the whole job
    at: float  # seconds since the epoch


class JobBoard:
    """Writes and reads progress; an absent Redis is no error, only no news."""

    def __init__(self, redis: "Redis") -> None:
        """Take a client that decodes."""
        self._redis = redis

    def post(self, job_id: str, progress: Progress) -> None:
        """Replace what is known of a job."""
        try:
            self._redis.set(_key(job_id), json.dumps(progress), ex=_KEEP_S)
        except RedisError:
            return

    def read(self, job_ids: list[str]) -> tuple[dict[str, Progress], bool]:
        """What is known of some jobs, and whether Redis answered at all."""
        if not job_ids:
            return {}, self.there()
        try:
            found = self._redis.mget([_key(j) for j in job_ids])
        except RedisError:
            return {}, False
        return {j: json.loads(raw) for j, raw in zip(job_ids, found, strict=True) if raw}, True

    def clear(self, job_id: str) -> None:
        """Forget a job that has ended or paused."""
        try:
            self._redis.delete(_key(job_id))
        except RedisError:
            return

    def there(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False


def _key(job_id: str) -> str:
    return f"job:{job_id}"
