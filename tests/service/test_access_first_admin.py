import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from support.callers import PASSWORD, admin, analyst
from support.databases import close_services, services_on

from screenalyzer import audit
from services.access import one_time, sessions, trail, users
from services.access.errors import LoginRefusedError
from services.access.first_admin import SECRET_FILE, FirstAdmin, ensure_first_admin
from services.access.logins import log_in
from services.access.passwords import passwords
from services.context import Services
from services.db.models import LoginSession, User, now

_HOME = "192.0.2.7"


@pytest.fixture
def replicas(database_url: str, tmp_path: Path) -> Iterator[list[Services]]:
    """Processes of one service, as far as one process can have them."""
    made = [services_on(tmp_path / "data", database_url) for _ in range(4)]
    yield made
    for each in made:
        close_services(each)


def _secret(services: Services) -> str:
    return (services.settings.secrets / SECRET_FILE).read_text().strip()


def _users(services: Services) -> list[User]:
    with services.database.read() as session:
        return list(session.scalars(select(User).order_by(User.created_at)))


def test_an_empty_service_gets_an_admin_with_a_secret_that_only_this_user_reads(services: Services) -> None:
    first = ensure_first_admin(services)
    file = services.settings.secrets / SECRET_FILE
    assert first == FirstAdmin("admin", file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    [user] = _users(services)
    assert (user.name, user.role, user.active, user.password_hash) == ("admin", "admin", True, None)
    assert user.secret_hash is not None
    assert user.secret_hash.startswith("$argon2id$")
    assert one_time.normal(_secret(services)) not in str(vars(user))
    assert user.secret_until is not None
    assert 71.9 < (user.secret_until - now()).total_seconds() / 3600 <= 72
    given = log_in(services, "admin", _secret(services), _HOME)
    assert given.must_set_password
    assert not file.exists()


def test_a_restart_before_the_first_login_changes_nothing(services: Services) -> None:
    first = ensure_first_admin(services)
    before, row = _secret(services), _users(services)[0]
    assert ensure_first_admin(services) == first
    assert _secret(services) == before
    assert _users(services)[0].secret_hash == row.secret_hash
    assert [x["action"] for x in audit.read(trail.path(services))] == ["user.first-admin"]


@pytest.mark.parametrize("loss", ["missing", "empty", "another", "expired"])
def test_a_secret_that_is_lost_or_has_expired_is_replaced(services: Services, loss: str) -> None:
    first = ensure_first_admin(services)
    before = _secret(services)
    file = services.settings.secrets / SECRET_FILE
    if loss == "missing":
        file.unlink()
    elif loss == "expired":
        with services.database.write() as session:
            session.execute(update(User).values(secret_until=now() - timedelta(seconds=1)))
    else:
        file.write_text("" if loss == "empty" else one_time.make(services.settings.access).text)
    assert ensure_first_admin(services) == first
    after = _secret(services)
    assert after != before
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(LoginRefusedError):
        log_in(services, "admin", before, _HOME)
    assert log_in(services, "admin", after, _HOME).must_set_password
    assert len(_users(services)) == 1


def test_an_admin_who_is_in_but_has_set_no_password_is_left_alone_until_the_login_ends(
    services: Services,
) -> None:
    ensure_first_admin(services)
    log_in(services, "admin", _secret(services), _HOME)
    assert ensure_first_admin(services) == FirstAdmin("admin", None)
    with services.database.write() as session:
        session.execute(delete(LoginSession))
    again = ensure_first_admin(services)
    assert again.secret_path is not None
    assert log_in(services, "admin", _secret(services), _HOME).must_set_password


def test_nothing_is_made_once_an_admin_has_a_password_and_an_old_file_goes(services: Services) -> None:
    first = ensure_first_admin(services)
    assert first.secret_path is not None
    [user] = _users(services)
    with services.database.write() as session:
        row = session.get_one(User, user.id)
        users.set_password(session, row, passwords(services.settings.access).hash(PASSWORD), "")
    assert ensure_first_admin(services) == FirstAdmin("admin", None)
    assert not first.secret_path.exists()
    log_in(services, "admin", PASSWORD, _HOME)
    with services.database.write() as session:
        session.execute(delete(LoginSession))
    assert ensure_first_admin(services) == FirstAdmin("admin", None)


def test_any_admin_with_a_password_will_do(services: Services) -> None:
    ensure_first_admin(services)
    admin(services)
    assert ensure_first_admin(services) == FirstAdmin("ada", None)


def test_an_analyst_is_not_enough(services: Services) -> None:
    analyst(services)
    assert ensure_first_admin(services).name == "admin"
    assert [u.name for u in _users(services)] == ["ben", "admin"]


def test_an_admin_who_was_taken_away_in_the_database_comes_back_without_the_old_password(
    services: Services,
) -> None:
    old = admin(services, "Admin")
    with services.database.write() as session:
        session.execute(update(User).values(active=False, role="analyst"))
    assert ensure_first_admin(services).name == "Admin"
    with pytest.raises(LoginRefusedError):
        log_in(services, "admin", PASSWORD, _HOME)
    with services.database.read() as session:
        assert sessions.authenticate(session, services.keyring, old.token) is None
    assert log_in(services, "admin", _secret(services), _HOME).must_set_password


def test_processes_that_start_at_once_make_one_admin_with_the_secret_in_the_file(
    replicas: list[Services],
) -> None:
    together, found = threading.Barrier(len(replicas)), []

    def start(each: Services) -> None:
        together.wait()
        found.append(ensure_first_admin(each))

    threads = [threading.Thread(target=start, args=(r,)) for r in replicas]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == len(replicas)
    assert len(set(found)) == 1
    assert len(_users(replicas[0])) == 1
    assert log_in(replicas[0], "admin", _secret(replicas[0]), _HOME).must_set_password
    assert [x["action"] for x in audit.read(trail.path(replicas[0]))].count("user.first-admin") == 1


def test_another_users_secret_leaves_the_file_alone(services: Services) -> None:
    first = ensure_first_admin(services)
    fresh = one_time.make(services.settings.access)
    with services.database.write() as session:
        users.create(session, "ben", "analyst", fresh)
    log_in(services, "ben", fresh.text, _HOME)
    assert first.secret_path is not None
    assert first.secret_path.exists()


def test_a_file_that_cannot_be_removed_does_not_lose_the_login(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    first = ensure_first_admin(services)
    assert first.secret_path is not None
    secret = _secret(services)
    first.secret_path.unlink()
    first.secret_path.mkdir()  # no file: it can neither be read nor removed
    with caplog.at_level(logging.WARNING):
        assert log_in(services, "admin", secret, _HOME).must_set_password
        assert ensure_first_admin(services) == FirstAdmin("admin", None)
    assert "cannot be removed" in caplog.text
    assert secret not in caplog.text
