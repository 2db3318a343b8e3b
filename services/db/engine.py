"""Connections to SQLite or PostgreSQL, and the transactions on them.

SQLite runs in WAL mode: readers never wait. A writing transaction takes the one write lock when it begins, so
that two writers take turns instead of failing in the middle.

PostgreSQL may be behind a network that is cut without a word. Then neither side waits long: a client gives
its connection up, and the server ends the transaction, whose locks would keep everybody else waiting.

Errors name the statement and not its parameters, which are names and hashes of passwords: errors are logged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from screenalyzer.errors import SettingsError

_BUSY_S = 30

# What a network loses without a word is noticed after 20 s, by the client and by the server.
_PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
_SERVER_PATIENCE = {
    "tcp_keepalives_idle": "10s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "20s",
    "lock_timeout": f"{_BUSY_S}s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}


class Database:
    """An engine, and how to begin on it."""

    def __init__(self, url: str) -> None:
        """Take SQLAlchemy's URL; connects when first used.

        Raises:
            SettingsError: the URL is of no database that this program speaks to.
        """
        self._engine = _engine(url)

    @property
    def engine(self) -> Engine:
        """The engine, for migrations."""
        return self._engine

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction, committed at the end of the block unless it raises."""
        with self.begin() as session, session.begin():
            yield session

    def begin(self) -> Session:
        """A session on a writing transaction, for a caller that commits or closes it itself."""
        return Session(self._engine.execution_options(writes=True), expire_on_commit=False)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as e:
        raise SettingsError(
            "DATABASE_URL is no URL of a database, such as postgresql://user@host/name."
        ) from e
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return create_engine(
            _patient(parsed).set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            hide_parameters=True,
        )
    if backend != "sqlite":
        raise SettingsError(f"DATABASE_URL names {backend}; use postgresql://… or sqlite:///….")
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_S}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _patient(url: URL) -> URL:
    """The URL with how long both sides wait for each other; what it says itself counts more."""
    server = " ".join(f"-c {name}={value}" for name, value in _SERVER_PATIENCE.items())
    own = dict(url.query)
    options = " ".join(o for o in (server, str(own.pop("options", ""))) if o)
    waits = {name: str(seconds) for name, seconds in _PATIENCE.items()}
    return url.set(query={**waits, **own, "options": options})


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
