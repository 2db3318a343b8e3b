"""What the service answers about itself: audit logs, the disk, settings."""

from typing import Any, TypedDict


class AuditLine(TypedDict):
    """Something that was done."""

    n: int
    at: str
    actor: str
    action: str
    details: dict[str, Any]


class Verdict(TypedDict):
    """Whether a log is as it was written."""

    whole: bool
    kind: str
    lines: int
    broken_line: int | None
    detail: str


class Audit(TypedDict):
    """Lines of an episode's audit log, newest first."""

    items: list[AuditLine]
    next: str | None
    verdict: Verdict


class StoredKind(TypedDict):
    """What one kind of thing takes."""

    kind: str
    files: int
    bytes: int


class Storage(TypedDict):
    """What lies on the disk."""

    kinds: list[StoredKind]
    used_bytes: int
    free_bytes: int
    total_bytes: int
    keep_free_bytes: int
    measured_at: str


class Settings(TypedDict):
    """Settings of the service that are no secret, by group."""

    retention: dict[str, float | None]
    uploads: dict[str, float]
    access: dict[str, float]
