"""The service's audit log: who logged in, who changed what about users and keys, who deleted what.

It names users by their user names and everything else by ids: a secret or a person's name is never in it.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from screenalyzer import audit
from screenalyzer.errors import ArtifactError, StoreError
from services.context import Services
from services.db.models import now

SYSTEM = "system"

log = logging.getLogger(__name__)


def path(services: Services) -> Path:
    """Where it lies."""
    return services.settings.root / "diagnostics" / "audit.jsonl"


def record(services: Services, action: str, actor: str, details: Mapping[str, Any]) -> bool:
    """Add a line and flush it to disk. Call it after the commit of what it tells of.

    Args:
        services: of the process.
        action: a short word with dots, such as user.created.
        actor: name of the user who did it, or SYSTEM.
        details: plain JSON.

    Returns:
        False where the log is damaged or the disk is full; then the line is in the service's own log instead.
    """
    try:
        audit.append(path(services), action, actor, details, now())
    except (ArtifactError, StoreError, OSError):
        log.exception("no line was added to the audit log for %s by %s: %s", action, actor, dict(details))
        return False
    return True


def rotate_keys(services: Services, actor: str, keep: int = 2) -> str:
    """Rotate the signing keys and say so in the audit log.

    Returns:
        The new key's kid.

    Raises:
        KeysError: see `Keyring.rotate`.
    """
    kid = services.keyring.rotate(keep)
    record(services, "keys.rotated", actor, {"kid": kid, "kept": keep})
    return kid
