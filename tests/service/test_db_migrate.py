"""Migrations make the tables of the models, on both databases, also when two services start at once."""

import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from screenalyzer.errors import SettingsError
from services.db.engine import Database
from services.db.migrate import config, upgrade
from services.db.models import Base, Episode


def test_migrations_lead_to_the_models(database_url: str) -> None:
    database = Database(database_url)
    upgrade(database)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []
        kept = {i["name"] for i in inspect(connection).get_indexes("jobs")}
    assert "ix_jobs_live_episode" in kept
    database.close()


def test_a_second_upgrade_changes_nothing_and_two_at_once_take_turns(database_url: str) -> None:
    database = Database(database_url)
    failed: list[Exception] = []

    def go() -> None:
        try:
            upgrade(database)
        except Exception as e:  # noqa: BLE001 - told to the test
            failed.append(e)

    threads = [threading.Thread(target=go) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    upgrade(database)
    database.close()


def test_what_an_older_version_kept_stays(database_url: str) -> None:
    database, found = Database(database_url), config()
    with database.engine.execution_options(writes=True).begin() as connection:
        found.attributes["connection"] = connection
        command.upgrade(found, "0001")
        connection.execute(
            text(
                "INSERT INTO shows (id, name, title, weight, created_at, revision)"
                " VALUES ('s', 'S', 'S', 1, '2026-01-01', 1)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO episodes (id, show_id, name, title, created_at, revision)"
                " VALUES ('e', 's', 'E', 'E', '2026-01-01', 1)"
            )
        )
    upgrade(database)
    with database.read() as session:
        episode = session.get_one(Episode, "e")
        assert (episode.published_revision, episode.show.people_revision) == (0, 0)
    with database.engine.execution_options(writes=True).begin() as connection:
        found.attributes["connection"] = connection
        command.downgrade(found, "0001")
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM episodes")).all() == [("E",)]
    database.close()


def test_sqlite_is_in_wal_mode_and_holds_foreign_keys(tmp_path: object) -> None:
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "no url at all"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Database(url)


def test_the_plain_engine_is_not_needed_for_reading(database_url: str) -> None:
    database = Database(database_url)
    upgrade(database)
    engine = create_engine(database.engine.url)
    assert "users" in inspect(engine).get_table_names()
    engine.dispose()
    database.close()
