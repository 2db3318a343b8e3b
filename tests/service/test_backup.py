"""Backups that are made while the service is there, and services that are set up from them."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import time_machine
from sqlalchemy import MetaData, inspect, select
from support.api import add_show
from support.databases import close_services
from support.object_store import BUCKET, ObjectStore
from support.purging import furnish

from screenalyzer import artifacts
from screenalyzer.errors import ServiceError
from screenalyzer.settings import Settings
from services.backup import rows
from services.backup.copy import back_up, restore
from services.backup.vault import Vault
from services.context import Services
from services.db.migrate import upgrade
from services.db.models import Event, Job
from services.jobs import lifecycle
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


_TOTALS = "outputs/Ægir/one/totals.csv"


def _quiet(_: str) -> None:
    """Tell nobody."""


def _services(root: Path | str, url: str) -> Services:
    settings = ServiceSettings(data_root=root, database_url=url, redis_url="redis://127.0.0.1:1/0")
    settings.root.mkdir(parents=True, exist_ok=True)
    return Services(settings, Settings())


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> "Iterator[Services]":
    """A service with two episodes, and a row in every table that matters."""
    made = _services(tmp_path / "data", database_url)
    upgrade(made.database)
    show = add_show(made, "Ægir")
    for n, name in enumerate(("one", "two")):
        furnish(made, show, "Ægir", name, n)
    with made.database.write() as session:
        job = lifecycle.create(session, "sweep", user_id=None)
        session.add(Event(job_id=job.id, kind="x", data={"text": "Zoë", "n": [1, None, 2.5]}))
    (made.settings.root / "logs").mkdir()
    (made.settings.root / "logs" / "service.log").write_text("of this machine")
    made.keyring.rotate()
    yield made
    close_services(made)


@pytest.fixture
def empty_url(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> "Iterator[str]":
    """An empty database of the same kind."""
    if database_url.startswith("sqlite"):
        yield f"sqlite:///{tmp_path / 'other.db'}"
        return
    from support.databases import named_database  # noqa: PLC0415 - only PostgreSQL has names

    with named_database(request.getfixturevalue("postgres_url")) as url:
        yield url


def _rows(services: Services) -> dict[str, list[str]]:
    tables = MetaData()
    tables.reflect(services.database.engine)
    with services.database.read() as session:
        return {
            name: sorted(repr(tuple(row)) for row in session.execute(select(table)))
            for name, table in tables.tables.items()
        }


def _files(root: Path) -> dict[str, bytes]:
    kinds = ("harvest", "outputs", "facebank", "videos", "diagnostics")
    files = [p for kind in kinds for p in (root / kind).rglob("*") if p.is_file() and p.suffix != ".lock"]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}


def _check(target: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli.main", "backup", str(target), "--check", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_what_is_restored_is_what_was_there(world: Services, empty_url: str, tmp_path: Path) -> None:
    done = back_up(world, tmp_path / "kept", secrets=False, keep=None, report=_quiet)
    assert done.copied == done.files > 10
    other = _services(tmp_path / "other", empty_url)
    again = restore(other, tmp_path / "kept", None, _quiet)
    assert (again.rows, again.files) == (done.rows, done.files)
    assert _rows(other) == _rows(world)
    assert _files(other.settings.root) == _files(world.settings.root)
    assert not (other.settings.root / "logs").exists()
    assert not (other.settings.root / "secrets").exists()
    with other.database.write() as session:  # counted keys go on
        job = session.scalars(select(Job)).first()
        session.add(Event(job_id=job.id, kind="y", data={}))
    close_services(other)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_unchanged_files_are_not_copied_again(world: Services, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    first = back_up(world, target, secrets=False, keep=None, report=_quiet)
    path = world.settings.root / _TOTALS
    artifacts.write_bytes(path, b"new")
    second = back_up(world, target, secrets=False, keep=None, report=_quiet)
    assert (second.copied, second.files) == (1, first.files + 1)
    assert len(Vault(target).names()) == 2
    path.unlink()
    third = back_up(world, target, secrets=False, keep=1, report=_quiet)
    assert (third.copied, third.files) == (0, first.files)
    assert Vault(target).names() == [third.name]
    held = {s.sha256 for s in Vault(target).manifest(third.name).files.values()}
    contents = {p.name for p in (target / "contents").glob("*/*")}
    assert contents == held | {Vault(target).manifest(third.name).rows}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_keys_come_along_only_where_asked(world: Services, tmp_path: Path) -> None:
    done = back_up(world, tmp_path / "kept", secrets=True, keep=None, report=_quiet)
    assert done.secrets
    other = _services(tmp_path / "other", f"sqlite:///{tmp_path / 'other.db'}")
    restore(other, tmp_path / "kept", done.name, _quiet)
    keys = other.settings.secrets / "keys.json"
    assert keys.read_bytes() == (world.settings.secrets / "keys.json").read_bytes()
    assert keys.stat().st_mode & 0o077 == 0
    close_services(other)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_nothing_is_written_over_and_damage_is_found_first(world: Services, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    back_up(world, target, secrets=False, keep=None, report=_quiet)
    with pytest.raises(ServiceError, match="is not empty"):
        restore(world, target, None, _quiet)
    with pytest.raises(ServiceError, match="lies in the data root"):
        back_up(world, world.settings.root / "kept", secrets=False, keep=None, report=_quiet)
    content = next((target / "contents").glob("*/*"))
    content.write_bytes(content.read_bytes() + b"!")
    other = _services(tmp_path / "other", f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(ServiceError, match="missing or damaged"):
        restore(other, target, None, _quiet)
    assert not _files(other.settings.root)
    assert not (tmp_path / "other.db").exists()


def test_a_database_with_tables_is_refused_before_anything_is_written(
    world: Services, empty_url: str, tmp_path: Path
) -> None:
    back_up(world, tmp_path / "kept", secrets=True, keep=None, report=_quiet)
    other = _services(tmp_path / "other", empty_url)
    upgrade(other.database)
    before = _rows(other)
    with pytest.raises(ServiceError, match="the database holds tables already"):
        restore(other, tmp_path / "kept", None, _quiet)
    assert not list(other.settings.root.iterdir())
    vault = Vault(tmp_path / "kept")
    manifest = vault.find(None)
    with pytest.raises(ServiceError, match="the database holds tables already"):
        rows.load(other.database, vault.place(manifest.rows), manifest.revision)
    assert _rows(other) == before
    close_services(other)


def test_a_backup_of_a_later_version_is_refused_before_anything_is_written(
    world: Services, empty_url: str, tmp_path: Path
) -> None:
    done = back_up(world, tmp_path / "kept", secrets=True, keep=None, report=_quiet)
    vault = Vault(tmp_path / "kept")
    vault.finish(replace(vault.manifest(done.name), revision="9999"))
    other = _services(tmp_path / "other", empty_url)
    with pytest.raises(ServiceError, match=r"does not know \(tables 9999\)"):
        restore(other, tmp_path / "kept", None, _quiet)
    assert not list(other.settings.root.iterdir())
    assert not (tmp_path / "other.db").exists()
    assert not inspect(other.database.engine).get_table_names()
    close_services(other)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_next_backup_copies_again_what_is_missing_or_cut(world: Services, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    first = back_up(world, target, secrets=True, keep=None, report=_quiet)
    vault = Vault(target)
    manifest = vault.manifest(first.name)
    missing, cut = sorted({s.sha256 for s in manifest.files.values()})[:2]
    vault.place(missing).unlink()
    vault.place(cut).write_bytes(b"")
    vault.place(manifest.rows).write_bytes(b"rotten")
    vault.place(manifest.secrets["keys.json"].sha256).write_bytes(b"rotten")
    assert len(list(vault.damaged(manifest))) == 4
    second = back_up(world, target, secrets=True, keep=None, report=_quiet)
    assert second.copied == sum(s.sha256 in {missing, cut} for s in manifest.files.values())
    for name in (first.name, second.name):
        vault.check(vault.manifest(name))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_check_finds_what_kept_its_size(world: Services, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    nothing = _check(target)
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "there is no backup" in nothing.stderr
    first = back_up(world, target, secrets=False, keep=None, report=_quiet)
    artifacts.write_bytes(world.settings.root / _TOTALS, b"new")
    second = back_up(world, target, secrets=False, keep=None, report=_quiet)
    whole = _check(target)
    assert (whole.returncode, whole.stdout) == (0, f"{second.name}: all as it was written\n")
    content = Vault(target).place(Vault(target).manifest(second.name).files[_TOTALS].sha256)
    content.write_bytes(b"nEw")
    found = _check(target, "--json")
    assert found.returncode == 1
    assert json.loads(found.stdout)["damaged"] == [str(content)]
    assert f"{content} is missing or damaged" in found.stderr
    assert _check(target, "--name", first.name).returncode == 0
    content.unlink()
    back_up(world, target, secrets=False, keep=None, report=_quiet)
    assert _check(target, "--name", second.name).returncode == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_newest_is_the_newest_though_the_clock_was_set_back(world: Services, tmp_path: Path) -> None:
    target, vault = tmp_path / "kept", Vault(tmp_path / "kept")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400), tick=False):
        former = [back_up(world, target, secrets=False, keep=None, report=_quiet).name for _ in range(2)]
    assert vault.names() == former
    done = back_up(world, target, secrets=False, keep=1, report=_quiet)
    assert done.name > former[-1]
    assert vault.names() == [done.name]
    vault.finish(replace(vault.manifest(done.name), name="kept by hand"))
    last = back_up(world, target, secrets=False, keep=1, report=_quiet)
    assert vault.names() == [last.name, "kept by hand"]
    vault.check(vault.manifest(last.name))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_marker_is_kept_only_with_what_it_vouches_for(world: Services, tmp_path: Path) -> None:
    folder = world.settings.root / "outputs/Ægir/one"
    artifacts.write_bytes(folder / "tracks.json", b"1")
    artifacts.mark_done(folder / "stages/tracking.json", "x", [folder / "tracks.json"])
    (folder / "tracks.json").write_bytes(b"2")
    done = back_up(world, tmp_path / "kept", secrets=False, keep=None, report=_quiet)
    files = Vault(tmp_path / "kept").manifest(done.name).files
    assert "outputs/Ægir/one/tracks.json" in files
    assert "outputs/Ægir/one/stages/tracking.json" not in files


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_one_that_is_killed_leaves_the_former_whole(world: Services, tmp_path: Path) -> None:
    target, before = tmp_path / "kept", _files(world.settings.root)
    first = back_up(world, target, secrets=False, keep=None, report=_quiet)
    for n in range(60):
        artifacts.write_bytes(
            world.settings.root / f"outputs/Ægir/two/detections/part-{n}.parquet", os.urandom(9999)
        )
    words = [
        sys.executable,
        "-m",
        "services.cli.main",
        "backup",
        str(target),
        "--data-root",
        str(world.settings.root),
    ]
    environment = {**os.environ, "DATABASE_URL": world.settings.database}
    had = len(list((target / "contents").glob("*/*")))
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) as process:
        while len(list((target / "contents").glob("*/*"))) < had + 5:
            assert process.poll() is None, "it was over before it could be killed"
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert Vault(target).names() == [first.name]
    other = _services(tmp_path / "other", f"sqlite:///{tmp_path / 'other.db'}")
    restore(other, target, None, _quiet)
    assert _files(other.settings.root) == before
    close_services(other)
    done = subprocess.run(
        [*words, "--keep", "1", "--json"], env=environment, check=True, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["files"] == first.files + 60
    assert not [p for p in target.rglob(".*") if p.name.endswith(".tmp")]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_folder_is_restored_into_a_store_and_backed_up_from_there(
    world: Services, s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(world, tmp_path / "kept", secrets=False, keep=None, report=_quiet)
    monkeypatch.setenv("SCREENALYZER_WORK_DIR", str(tmp_path / "a"))
    other = _services(f"s3://{BUCKET}/moved", f"sqlite:///{tmp_path / 'other.db'}")
    restore(other, tmp_path / "kept", None, _quiet)
    there = {k: v for k, v in s3.objects("moved").items() if not k.startswith("uploads/")}
    assert there == _files(world.settings.root)
    monkeypatch.setenv("SCREENALYZER_WORK_DIR", str(tmp_path / "b"))
    fresh = _services(f"s3://{BUCKET}/moved", f"sqlite:///{tmp_path / 'other.db'}")
    done = back_up(fresh, tmp_path / "again", secrets=False, keep=None, report=_quiet)
    assert done.copied == done.files == len(s3.keys("moved"))
    assert not _files(fresh.settings.root)
    s3.requests.clear()
    assert back_up(fresh, tmp_path / "again", secrets=False, keep=None, report=_quiet).copied == 0
    assert not [p for m, p in s3.requests if m == "GET" and "list-type" not in p]
    for each in (other, fresh):
        close_services(each)
