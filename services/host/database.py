"""The database before anything else starts: the tables of this version, and somebody who can administer."""

import logging
import time
from dataclasses import dataclass

from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from screenalyzer.errors import ServiceError
from services.access.first_admin import FirstAdmin, ensure_first_admin
from services.context import Services
from services.db.engine import Database
from services.db.migrate import config, upgrade

log = logging.getLogger(__name__)

_TRY_EVERY_S = 1.0


@dataclass(frozen=True)
class Revisions:
    """Of a database's tables.

    Attributes:
        found: what the database has; None where it is empty.
        wanted: what this version of the program needs.
    """

    found: str | None
    wanted: str | None


def prepare_database(services: Services, patience_s: float = 0) -> FirstAdmin:
    """Bring the tables to this version, and see that there is an Admin who can get in.

    Args:
        services: of the process.
        patience_s: how long to wait for a database that does not answer yet.

    Raises:
        ServiceError: it does not answer, or is of another version of the program.
        OSError: the folder of the secrets cannot be written.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            upgrade(services.database)
            return ensure_first_admin(services)
        except OperationalError as e:
            _wait(e, deadline)
        except CommandError as e:
            raise ServiceError(f"the database is of another version of Screenalyzer: {e}") from e


def await_revision(database: Database, patience_s: float = 0) -> Revisions:
    """Which tables the database has, once it answers and has those of this version.

    Args:
        database: of the process.
        patience_s: how long to wait for both. Somebody else migrates it meanwhile.

    Returns:
        What was found last; with another `found` than `wanted` where the time was not enough.

    Raises:
        ServiceError: it does not answer.
    """
    wanted = ScriptDirectory.from_config(config()).get_current_head()
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with database.engine.connect() as connection:
                found = MigrationContext.configure(connection).get_current_revision()
        except OperationalError as e:
            _wait(e, deadline)
            continue
        if found == wanted or time.monotonic() > deadline:
            return Revisions(found, wanted)
        time.sleep(_TRY_EVERY_S)


def take_back(database: Database, revision: str) -> None:
    """Take migrations back, all in one transaction, so that an older version can start.

    Args:
        database: of the process; nobody else should be using it.
        revision: the newest that the older version knows.

    Raises:
        ServiceError: there is no such revision, or the database does not answer.
    """
    found = config()
    try:
        with database.engine.execution_options(writes=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL statement_timeout = 0"))
            found.attributes["connection"] = connection
            command.downgrade(found, revision)
    except CommandError as e:
        raise ServiceError(f"the database cannot be taken back to {revision!r}: {e}") from e
    except OperationalError as e:
        _wait(e, time.monotonic() - 1)


def _wait(e: OperationalError, deadline: float) -> None:
    """Pause before the next try.

    Raises:
        ServiceError: the time is over.
    """
    said = str(e.orig).strip().splitlines()[:1]
    if time.monotonic() > deadline:
        raise ServiceError(f"the database does not answer: {''.join(said)}. Look at DATABASE_URL.") from e
    log.info("the database does not answer yet: %s", "".join(said))
    time.sleep(_TRY_EVERY_S)
