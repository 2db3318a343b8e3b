"""What every part of the running service shares, made once a process."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from screenalyzer.settings import Settings
from services.access.keys import Keyring
from services.db.engine import Database
from services.jobs.board import JobBoard
from services.jobs.streams import Streams
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.review.desks import Desks


@dataclass(frozen=True)
class Services:
    """Settings, and the three stores.

    Attributes:
        settings: of the service.
        main_job: settings of the main job.
    """

    settings: ServiceSettings
    main_job: Settings

    @classmethod
    def from_environment(cls) -> "Services":
        """Read both groups of settings."""
        return cls(ServiceSettings(), Settings())

    @cached_property
    def database(self) -> Database:
        """SQL: the truth."""
        return Database(self.settings.database)

    @cached_property
    def redis(self) -> "Redis":
        """Redis: queues and a mirror; may be away at any moment."""
        return connect(self.settings)

    @cached_property
    def streams(self) -> Streams:
        """The queues."""
        return Streams(self.redis, self.settings.queues)

    @cached_property
    def board(self) -> JobBoard:
        """Live progress of jobs."""
        return JobBoard(self.redis)

    @cached_property
    def desks(self) -> "Desks":
        """Reviews in memory."""
        from services.review.desks import Desks  # noqa: PLC0415 - most programs need none, and it imports much

        return Desks(self)

    @cached_property
    def keyring(self) -> Keyring:
        """Keys that tokens and URLs are signed with."""
        return Keyring(self.settings.secrets, self.settings.signing_keys)


def connect(settings: ServiceSettings) -> "Redis":
    """A client of the service's Redis that gives up quickly: SQL is the truth, nobody needs to wait."""
    return Redis.from_url(
        settings.redis,
        socket_timeout=5,
        socket_connect_timeout=1,
        decode_responses=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),  # once, for a pooled connection that an old server has closed
    )
