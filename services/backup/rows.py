"""Every row of the database as JSON lines, the same from SQLite and from PostgreSQL, and back again.

All tables are read in one transaction that sees one moment, so no row names another that is not there.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Engine,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    select,
    text,
)

from screenalyzer.errors import ServiceError
from services.db.engine import Database
from services.db.migrate import config, upgrade

_AT_ONCE: Final = 1000  # rows
_FILLED: Final = "the database holds tables already. Restore into an empty one."


def dump(database: Database, target: Path) -> tuple[str, int]:
    """Write all rows into a file.

    Returns:
        The revision of the tables, and how many rows there are.
    """
    engine = database.engine
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    count = 0
    with engine.connect() as connection, connection.begin(), target.open("w", encoding="utf-8") as file:
        if connection.dialect.name == "postgresql":  # a large table takes as long as it takes
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None:
            raise ServiceError("the database has no tables of a service. Name the right one in DATABASE_URL.")
        for table in _tables(connection).sorted_tables:
            for row in connection.execution_options(yield_per=_AT_ONCE).execute(select(table)).mappings():
                values = {c.name: _plain(row[c.name]) for c in table.columns}
                file.write(json.dumps({"table": table.name, "row": values}, ensure_ascii=False) + "\n")
                count += 1
    return revision, count


def check(database: Database, revision: str) -> None:
    """See whether rows of that revision can be loaded into the database.

    Raises:
        ServiceError: the database is not empty, or the rows are of a later version than this program.
    """
    if _has_tables(database.engine):
        raise ServiceError(_FILLED)
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if revision not in known:
        raise ServiceError(
            f"the backup is of a version that this one does not know (tables {revision}). "
            "Restore it with the version that made it, or a later one."
        )


def load(database: Database, source: Path, revision: str) -> int:
    """Make the tables as they were, fill them, and bring them to this version; returns how many rows.

    `check` says beforehand whether that can be.

    Raises:
        ServiceError: the database is not empty any more.
    """
    found = config()
    with database.engine.execution_options(writes=True).begin() as connection:
        if inspect(connection).get_table_names():
            raise ServiceError(_FILLED)
        found.attributes["connection"] = connection
        command.upgrade(found, revision)
        count = _fill(connection, source)
    upgrade(database)
    return count


def _has_tables(engine: Engine) -> bool:
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        return False  # a connection would make the file
    return bool(inspect(engine).get_table_names())


def _fill(connection: Connection, source: Path) -> int:
    count, last, rows = 0, "", list[dict[str, Any]]()
    tables = _tables(connection).tables
    for name, row in _lines(source):
        if rows and (name != last or len(rows) == _AT_ONCE):
            connection.execute(insert(tables[last]), rows)
            rows = []
        last = name
        rows.append({k: _typed(tables[name].columns[k], v) for k, v in row.items()})
        count += 1
    if rows:
        connection.execute(insert(tables[last]), rows)
    if connection.dialect.name == "postgresql":
        for table in tables.values():
            _advance(connection, table)
    return count


def _tables(connection: Connection) -> MetaData:
    """The tables as they are in the database, whatever this version of the program makes of them."""
    found = MetaData()
    found.reflect(connection)
    found.remove(found.tables["alembic_version"])
    return found


def _advance(connection: Connection, table: Table) -> None:
    """Let a counted key go on after the rows that were brought."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
    newest = connection.scalar(select(func.max(column)))
    if sequence and newest is not None:
        connection.execute(select(func.setval(sequence, newest)))


def _lines(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with source.open(encoding="utf-8") as file:
        for line in file:
            found = json.loads(line)
            yield found["table"], found["row"]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _typed(column: Column[Any], value: Any) -> Any:
    if value is None or not isinstance(column.type, DateTime):
        return value
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
