"""Looking for texts in every column of every table, and making the database forget what it has deleted."""

import re
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Column, Engine, LargeBinary, MetaData, String, Table, select, text

from screenalyzer.errors import ScreenalyzerError
from services.db.engine import Database
from services.db.models import Base

_CHECKPOINT_S = 10.0
_PAUSE_S = 0.1


@dataclass(frozen=True)
class Hit:
    """A place in the database that holds one of the texts.

    Attributes:
        table: its name.
        column: likewise.
        key: of the row, as text.
    """

    table: str
    column: str
    key: str


@dataclass(frozen=True)
class DatabaseScan:
    """What a scan has seen.

    Attributes:
        rows: that were read.
        found: hits.
    """

    rows: int
    found: tuple[Hit, ...]


class Needles:
    """Texts to look for, each as a whole word: a name within a longer word is another word."""

    def __init__(self, words: Collection[str]) -> None:
        """Take the texts; blank ones are left out."""
        known = sorted({w for w in words if w.strip()}, key=len, reverse=True)
        inner = "|".join(re.escape(w) for w in known)
        self._pattern = re.compile(rf"(?<!\w)(?:{inner})(?!\w)") if known else None

    def within(self, value: object) -> bool:
        """Whether a column's value holds one of them, however deep."""
        return self._pattern is not None and any(self._pattern.search(t) for t in texts(value))

    def without(self, value: Any, instead: str) -> Any:
        """The value with each of them replaced."""
        if isinstance(value, str):
            return self._pattern.sub(instead, value) if self._pattern else value
        if isinstance(value, dict):
            return {self.without(k, instead): self.without(v, instead) for k, v in value.items()}
        return [self.without(v, instead) for v in value] if isinstance(value, list) else value


def texts(value: object) -> Iterator[str]:
    """Every text in a value of a column: of plain text, JSON, or bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray | memoryview):
        yield bytes(value).decode("utf-8", errors="replace")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(key)
            yield from texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from texts(inner)


def scan(
    database: Database, needles: Needles, skip: Collection[tuple[str, str]] = (), own_job: str = ""
) -> DatabaseScan:
    """Look through every column of text, JSON or bytes of every table there is.

    Args:
        database: of the service.
        needles: what to look for.
        skip: tables and columns, or tables and "*", in which they may stand for something else.
        own_job: the job that looks; its own row says what it was asked.

    Returns:
        What was seen; the same on SQLite and PostgreSQL.
    """
    found, rows = list[Hit](), 0
    tables = MetaData()
    tables.reflect(database.engine)
    with database.read() as session:
        for table in tables.sorted_tables:
            columns = [c for c in table.columns if _holds_text(c) and not _skipped(table, c, skip)]
            keys = list(table.primary_key.columns)
            query = select(*keys, *columns).execution_options(yield_per=1000)
            for row in session.execute(query) if columns else ():
                rows += 1
                key = "/".join(str(v) for v in row[: len(keys)])
                if table.name == "jobs" and key == own_job:
                    continue
                found += [
                    Hit(table.name, c.name, key)
                    for c, value in zip(columns, row[len(keys) :], strict=True)
                    if needles.within(value)
                ]
    return DatabaseScan(rows, tuple(found))


def compact(database: Database) -> None:
    """Make the database's files forget what was deleted, as far as it can; see docs/adr/0009-erasure.md.

    Raises:
        ScreenalyzerError: others read for so long that SQLite could not empty its log.
    """
    engine = database.engine
    if engine.dialect.name == "sqlite":
        _compact_sqlite(engine)
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in Base.metadata.tables:
            connection.execute(text(f"VACUUM {name}"))


def _compact_sqlite(engine: Engine) -> None:
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("VACUUM")
        deadline = time.monotonic() + _CHECKPOINT_S
        while cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                raise ScreenalyzerError(
                    "the database's log could not be emptied since others read it all the time. Try again."
                )
            time.sleep(_PAUSE_S)


def _holds_text(column: Column[Any]) -> bool:
    return isinstance(column.type, String | JSON | LargeBinary)


def _skipped(table: Table, column: Column[Any], skip: Collection[tuple[str, str]]) -> bool:
    return (table.name, column.name) in skip or (table.name, "*") in skip
