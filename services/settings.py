"""Settings of the service, read from the environment once; a part is handed its slice.

The three addresses have the names that their programs are known by (DATABASE_URL, REDIS_URL, RAY_ADDRESS);
all else is SCREENALYZER_<GROUP>__<FIELD>, like the settings of the main job.
"""

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from screenalyzer.settings import Slice
from screenalyzer.storage import working_folder

QueueName = Literal["harvest", "inference", "tracking", "cluster", "assist", "analytics", "ops"]

_MIB = 1 << 20
_ORIGIN = r"^https?://[^/?#@\s]+$"


# A root in an object store becomes its working folder, which bears the store's address in its name.
DataRoot = Annotated[Path, BeforeValidator(lambda v: working_folder(v) if "://" in str(v) else v)]


class ApiSettings(Slice):
    """The HTTP side of the service."""

    host: str = Field("127.0.0.1", description="address that the API listens on")
    port: int = Field(8000, ge=1, le=65535)
    ui_port: int = Field(8501, ge=1, le=65535, description="port of the review UI")
    replicas: int = Field(1, ge=1, description="ingress replicas")
    desks: int = Field(
        8,
        ge=1,
        description="episodes under review that a replica keeps in memory; a two-hour one takes 100 MB",
    )
    desks_ahead: int = Field(
        4, ge=0, description="of these, loaded before somebody opens them: those worked on last; 0 for none"
    )
    public_url: str | None = Field(
        None,
        pattern=_ORIGIN,
        description="the API's address for browsers, where they come by a proxy or from outside a container",
    )
    ui_public_url: str | None = Field(
        None, pattern=_ORIGIN, description="likewise the review UI's; browsers may call the API from there"
    )
    tls_cert: Path | None = Field(
        None, description="certificate chain, PEM; with tls_key API and review UI speak HTTPS"
    )
    tls_key: Path | None = Field(None, description="private key, PEM")
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks of reverse proxies whose X-Forwarded-For is believed"
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="more origins that browsers may call from; by default the review UI's alone"
    )
    metrics_token: SecretStr | None = Field(
        None, description="bearer token that opens /v1/metrics alone, for a scraper; an Admin's opens it too"
    )


class UploadSettings(Slice):
    """Uploads by the tus protocol."""

    max_bytes: int = Field(64 << 30, ge=1, description="largest file")
    max_part_bytes: int = Field(
        16 * _MIB, ge=64 << 10, description="largest PATCH: the HTTP proxy holds a whole request in memory"
    )
    max_open: int = Field(100, ge=1, description="unfinished uploads a user")
    keep_free_bytes: int = Field(1 << 30, ge=0, description="disk that uploads never fill")
    expire_hours: float = Field(
        72, gt=0, description="an unfinished upload is removed after so long without a byte"
    )
    silence_s: float = Field(
        30, gt=0, description="a PATCH that brings no byte for so long is ended, and what came is kept"
    )


class QueueSettings(Slice):
    """Queues and workers. A queue's number is how many of its stages run at once, in the whole cluster."""

    workers: int = Field(4, ge=1, description="worker actors at least")
    max_workers: int | None = Field(
        None,
        ge=1,
        description="worker actors at most, while stages wait for one; no more than workers where unset",
    )
    idle_s: float = Field(60, ge=0, description="a worker too many ends after so long, once it is idle")
    harvest: int = Field(2, ge=1)
    inference: int = Field(
        1,
        ge=1,
        description="one alone already uses every decoder of the cluster; one worker is left to other stages",
    )
    tracking: int = Field(2, ge=1)
    cluster: int = Field(2, ge=1)
    assist: int = Field(2, ge=1)
    analytics: int = Field(2, ge=1)
    ops: int = Field(1, ge=1)
    lease_s: float = Field(6.0, ge=1, description="silence after which a worker counts as dead")
    max_attempts: int = Field(
        4, ge=1, description="attempts in a row without progress before a stage becomes a dead letter"
    )
    backoff_s: float = Field(1.0, gt=0, description="wait before the second attempt; doubles with each")

    def capacity(self, queue: QueueName) -> int:
        """How many stages of a queue run at once; inference leaves one worker to all the others."""
        asked = int(getattr(self, queue))
        return max(1, min(asked, self._most_workers - 1)) if queue == "inference" else asked

    def workers_for(self, stages: int) -> int:
        """How many workers there should be for so many stages at once."""
        return max(self.workers, min(stages, self._most_workers))

    @property
    def _most_workers(self) -> int:
        return max(self.workers, self.max_workers or 0)


class AccessSettings(Slice):
    """Who may do what, and for how long."""

    access_minutes: float = Field(15, gt=0, description="life of an access token")
    refresh_days: float = Field(14, gt=0, description="life of a refresh token; each use gives a new one")
    secret_hours: float = Field(72, gt=0, description="life of a one-time secret")
    url_minutes: float = Field(60, gt=0, description="life of a signed URL")
    free_attempts: int = Field(5, ge=1, description="failed logins before they are slowed down")
    max_block_s: float = Field(900, ge=1, description="longest wait between two failed logins")
    hash_mib: int = Field(64, ge=1, le=4096, description="memory that hashing one password takes")
    hash_rounds: int = Field(3, ge=1, le=100, description="passes over that memory")


class RetentionSettings(Slice):
    """Days that artifacts are kept; unset keeps them as long as their episode."""

    sweep_minutes: float = Field(60, gt=0, description="time between two sweeps")
    videos_days: float | None = Field(None, ge=0, description="video files; results stay")
    chunks_days: float | None = Field(
        90,
        ge=0,
        description="checkpoints of the inference, with every face's crop; only another run needs them",
    )
    crops_days: float | None = Field(365, ge=0, description="face crops of the selected samples")
    exports_days: float | None = Field(30, ge=0, description="exports and pictures; made again at any time")
    events_days: float | None = Field(90, ge=0, description="events of finished jobs")
    logs_days: float | None = Field(30, ge=0, description="files in logs/ that nothing writes to any more")


class DeadlineSettings(Slice):
    """When a job over an episode is late, for those who watch; nothing is done to it."""

    ratio: float = Field(
        4.0, gt=0, description="hours from arrival to results for an hour of video, waiting included"
    )
    grace_minutes: float = Field(30.0, ge=0, description="beside that, whatever the length")


class ServiceSettings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        env_prefix="SCREENALYZER_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )

    data_root: DataRoot = Field(
        Path("data"), description="folder of all artifacts, or s3://bucket/prefix or gs://bucket/prefix"
    )
    secrets_dir: Path | None = Field(None, description="folder of the keys; data_root/secrets where unset")
    signing_keys: SecretStr | None = Field(
        None, description="the content of keys.json, where no file may hold it; then rotation is up to you"
    )
    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="SQLAlchemy's URL; SQLite in the data root where unset",
    )
    redis_url: str | None = Field(
        None, validation_alias="REDIS_URL", description="a Redis of the service's own where unset"
    )
    api: ApiSettings = ApiSettings()
    uploads: UploadSettings = UploadSettings()
    queues: QueueSettings = QueueSettings()
    access: AccessSettings = AccessSettings()
    retention: RetentionSettings = RetentionSettings()
    deadline: DeadlineSettings = DeadlineSettings()

    @cached_property
    def root(self) -> Path:
        """The data root as an absolute path."""
        return self.data_root.absolute()

    @cached_property
    def secrets(self) -> Path:
        """The folder of the keys."""
        return (self.secrets_dir or self.root / "secrets").absolute()

    @cached_property
    def redis(self) -> str:
        """Redis's URL; of the service's own where none is set: a socket that only this user can open."""
        return self.redis_url or f"unix://{self.redis_socket}"

    @cached_property
    def redis_socket(self) -> Path:
        """The socket of the service's own Redis, in /tmp since its path may have 107 characters at most."""
        root = hashlib.sha256(str(self.root).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"screenalyzer-redis-{os.getuid()}-{root}" / "redis.sock"

    @cached_property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.root / 'service.db'}"
