"""Bringing a database to the tables of this version."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from services.db.engine import Database

_LOCK = 0x5C4EE4  # PostgreSQL's advisory lock: two starting services take turns


def config() -> Config:
    """Alembic's settings, which need no file."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return found


def upgrade(database: Database) -> None:
    """Run what migrations are missing, all in one transaction."""
    found = config()
    with database.engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            for limit in ("statement_timeout", "lock_timeout"):  # a large table takes as long as it takes
                connection.execute(text(f"SET LOCAL {limit} = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found.attributes["connection"] = connection
        command.upgrade(found, "head")
