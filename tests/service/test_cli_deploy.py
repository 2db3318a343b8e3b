"""`screenalyzer migrate` and `screenalyzer ui`, as a container runs them."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import inspect, text
from support.service import Environment, cli, command, eventually, free_port, service_environment

from services.db.engine import Database
from services.db.migrate import upgrade

_NOBODY = "postgresql://screenalyzer@127.0.0.1:1/none"


@pytest.fixture
def env(tmp_path: Path, database_url: str) -> Environment:
    """The environment of a container that has a database."""
    return service_environment(tmp_path, tmp_path / "data", DATABASE_URL=database_url)


def test_an_empty_database_gets_tables_and_somebody_who_can_get_in(
    env: Environment, database_url: str
) -> None:
    before = cli(env, "migrate", "--check")
    assert (before.returncode, before.stdout) == (1, "")
    assert "has revision none, and this version needs" in before.stderr

    first = cli(env, "migrate", "--json")
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    secret = Path(found["secret"])
    assert (found["admin"], secret.stat().st_mode & 0o777) == ("admin", 0o600)
    database = Database(database_url)
    assert "stage_runs" in inspect(database.engine).get_table_names()
    database.close()

    again = cli(env, "migrate", "--json")
    assert json.loads(again.stdout) == found, "a second one changes nothing"
    after = cli(env, "migrate", "--check")
    assert (after.returncode, after.stdout) == (0, f"the database has revision {found['revision']}\n")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_newer_database_is_left_alone(env: Environment, database_url: str) -> None:
    database = Database(database_url)
    upgrade(database)
    with database.engine.execution_options(writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for words in (("migrate",), ("migrate", "--check")):
        done = cli(env, *words)
        assert done.returncode == 1
        assert "9999" in done.stderr
        assert "Traceback" not in done.stderr
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    database.close()


def test_migrations_are_taken_back_for_an_older_version(env: Environment) -> None:
    assert cli(env, "migrate").returncode == 0
    back = cli(env, "migrate", "--back-to", "0002", "--json")
    assert json.loads(back.stdout) == {"revision": "0002", "admin": None, "secret": None}
    unknown = cli(env, "migrate", "--back-to", "nowhere")
    assert (unknown.returncode, "'nowhere'" in unknown.stderr) == (1, True)
    assert "Traceback" not in unknown.stderr
    assert cli(env, "migrate").returncode == 0


def test_a_database_that_does_not_answer_is_waited_for_and_then_named(tmp_path: Path) -> None:
    env = service_environment(tmp_path, tmp_path / "data", DATABASE_URL=_NOBODY)
    for words in (("migrate", "--wait", "1.5"), ("migrate", "--check", "--wait", "1.5")):
        began = time.monotonic()
        done = cli(env, *words)
        assert done.returncode == 1
        assert time.monotonic() - began > 1.5
        assert "the database does not answer" in done.stderr
        assert "DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_head_waits_until_somebody_else_has_migrated(env: Environment) -> None:
    with subprocess.Popen(command("migrate", "--check", "--wait", "120"), env=env) as waiting:
        time.sleep(1)
        assert waiting.poll() is None
        assert cli(env, "migrate").returncode == 0
        assert waiting.wait(120) == 0


@contextmanager
def _ui(env: Environment, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(command("ui", *words), env=env, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_review_ui_alone_speaks_to_an_api_elsewhere_and_knows_nothing_else(
    env: Environment, tmp_path: Path
) -> None:
    port = free_port()
    env = {
        **env,
        "RAY_AUTH_TOKEN": "f00",
        "RAY_REDIS_PASSWORD": "f01",
        "AWS_SECRET_ACCESS_KEY": "f02",
        "SCREENALYZER_SIGNING_KEYS": '{"keys": []}',
        "SCREENALYZER_API__PUBLIC_URL": "https://api.example.com",
    }
    with _ui(env, "--api", "http://127.0.0.1:8123/", "--port", str(port)) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _answers(f"{url}/_stcore/health"), 120, "the review UI answers")
        page = httpx.get(url)
        assert page.status_code == 200
        assert "https://api.example.com" in page.headers["Content-Security-Policy"]
        seen = psutil.Process(process.pid).environ()
        ours = {k: v for k, v in seen.items() if k.startswith("SCREENALYZER_")}
        assert ours == {
            "SCREENALYZER_URL": "http://127.0.0.1:8123",
            "SCREENALYZER_PUBLIC_URL": "https://api.example.com",
            "SCREENALYZER_CA_CERT": "",
        }
        assert not [k for k in seen if k.startswith(("DATABASE_", "REDIS_", "RAY_", "AWS_"))]
        taken = cli(env, "ui", "--port", str(port))
        assert (taken.returncode, f"port {port}" in taken.stderr) == (1, True)
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
