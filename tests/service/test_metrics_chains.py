"""What each sweep finds: whether the audit logs are as they were written, and what takes how much room."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete
from support.api import add_episode, add_job, add_show

from screenalyzer import audit
from screenalyzer.artifacts import EpisodePaths
from services.access import trail
from services.db.figures import EpisodeFigures, Finding
from services.db.models import Episode, Job, now
from services.metrics import chains, occupied
from services.metrics.collector import ServiceCollector
from services.privacy import retention

if TYPE_CHECKING:
    from services.context import Services


@pytest.fixture
def log(services: "Services") -> Path:
    """The audit log of an episode, with three lines, beside that of the service, with one."""
    add_episode(services, add_show(services, "Show"), "ep", b"a video")
    path = EpisodePaths(services.settings.root, "Show", "ep").audit
    for number in range(3):
        audit.append(path, "test", "ada", {"number": number}, now())
    trail.record(services, "test", "ada", {})
    return path


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _told(services: "Services") -> dict[tuple[str, ...], float]:
    found = {f.name.removeprefix("screenalyzer_"): f for f in ServiceCollector(services).collect()}
    return {
        (name, *s.labels.values()): s.value
        for name in ("audit_logs", "audit_lines", "storage_bytes", "storage_files")
        if name in found
        for s in found[name].samples
    }


def test_a_sweep_tells_of_good_logs_and_of_storage(services: "Services", log: Path) -> None:
    assert _told(services) == {}  # nobody has looked yet
    assert retention.sweep(services)["audit_logs"] == {"ok": 2, "torn": 0, "tampered": 0}
    found = _told(services)
    assert found["audit_logs", "ok"] == 2
    assert found["audit_lines",] == 4
    assert found["storage_files", "videos"] == 1
    assert found["storage_bytes", "videos"] == len(b"a video")


def test_a_line_that_was_changed_is_found(services: "Services", log: Path) -> None:
    log.write_bytes(log.read_bytes().replace(b'"number":1', b'"number":7'))
    assert chains.verify_chains(services)["tampered"] == 1
    assert _told(services)["audit_logs", "tampered"] == 1


@pytest.mark.parametrize("kept", [0, 2])
def test_a_log_that_was_cut_off_at_its_end_is_found(services: "Services", log: Path, kept: int) -> None:
    assert chains.verify_chains(services)["ok"] == 2
    whole = log.read_bytes()
    log.write_bytes(b"".join(_lines(log)[:kept]))
    assert audit.verify(log).ok  # it cannot tell by itself
    for _ in range(2):  # it is not forgotten by looking
        assert chains.verify_chains(services)["tampered"] == 1
    log.write_bytes(whole)
    assert chains.verify_chains(services) == {"ok": 2, "torn": 0, "tampered": 0}


def test_a_log_that_was_written_anew_is_found(services: "Services", log: Path) -> None:
    chains.verify_chains(services)
    log.unlink()
    for number in range(5):
        audit.append(log, "test", "ada", {"another": number}, now())
    assert audit.verify(log).ok
    assert chains.verify_chains(services)["tampered"] == 1


def test_the_services_own_log_is_watched_likewise(services: "Services", log: Path) -> None:
    own = trail.path(services)
    chains.verify_chains(services)
    trail.record(services, "another", "ada", {})
    assert chains.verify_chains(services)["ok"] == 2
    own.write_bytes(_lines(own)[0])
    assert chains.verify_chains(services)["tampered"] == 1


def test_a_log_that_grows_or_is_torn_is_no_broken_one(services: "Services", log: Path) -> None:
    chains.verify_chains(services)
    audit.append(log, "test", "ada", {}, now())
    with log.open("ab") as file:
        file.write(b'{"n":5,"a')  # a writer was killed
    assert chains.verify_chains(services) == {"ok": 1, "torn": 1, "tampered": 0}
    audit.append(log, "test", "ada", {}, now())
    assert chains.verify_chains(services)["ok"] == 2


def test_the_log_of_an_episode_that_is_purged_is_missed_by_nobody(services: "Services", log: Path) -> None:
    chains.verify_chains(services)
    with services.database.read() as session:
        episode_id = session.query(Episode.id).scalar()
    job_id = add_job(services, episode_id, "purge")
    log.unlink()  # its files go before its rows
    assert chains.verify_chains(services) == {"ok": 1, "torn": 0, "tampered": 0}
    with services.database.write() as session:
        session.execute(delete(Job).where(Job.id == job_id))
    assert chains.verify_chains(services)["tampered"] == 1
    with services.database.write() as session:
        session.execute(delete(Episode))
    assert chains.verify_chains(services) == {"ok": 1, "torn": 0, "tampered": 0}
    with services.database.read() as session:
        assert session.query(EpisodeFigures).count() == 0  # they go with their episode


def test_what_was_found_bears_no_names(services: "Services", log: Path) -> None:
    retention.sweep(services)
    with services.database.read() as session:
        for finding in session.query(Finding):
            assert "Show" not in str(finding.data)
            assert finding.name in {chains.NAME, occupied.NAME}
