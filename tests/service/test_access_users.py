import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from support.callers import admin, analyst

from screenalyzer import audit
from services.access import one_time, trail, users
from services.access.errors import LastAdminError, UserNameError
from services.access.keys import Keyring
from services.access.users import Held
from services.context import Services
from services.db.models import Job, LoginSession, Show, Upload, User, now

_Act = Callable[[Any, Held], object]
_ACTS: dict[str, _Act] = {
    "demote": lambda session, held: users.change(session, held, "analyst", None),
    "deactivate": lambda session, held: users.change(session, held, None, False),
    "remove": users.remove,
}


def _do(services: Services, user_id: str, act: _Act) -> None:
    with services.database.write() as session:
        held = users.hold(session, user_id)
        assert held is not None
        act(session, held)


def _active_admins(services: Services) -> int:
    with services.database.read() as session:
        found = select(func.count()).select_from(User).where(User.role == "admin", User.active)
        return session.scalar(found) or 0


@pytest.mark.parametrize("act", _ACTS.values(), ids=_ACTS.keys())
def test_the_last_active_admin_stays(services: Services, act: _Act) -> None:
    ada, eve = admin(services, "ada"), admin(services, "eve")
    analyst(services)
    _do(services, eve.id, _ACTS["deactivate"])
    with pytest.raises(LastAdminError, match="'ada' is the last active Admin"):
        _do(services, ada.id, act)
    assert _active_admins(services) == 1
    _do(services, eve.id, act)  # who is no active Admin may go


@pytest.mark.parametrize("act", _ACTS.values(), ids=_ACTS.keys())
def test_admins_who_remove_each_other_at_once_leave_one(services: Services, act: _Act) -> None:
    for round_number in range(4):
        people = [admin(services, f"admin-{round_number}-{n}") for n in range(4)]
        before, together, outcomes = _active_admins(services), threading.Barrier(4), []

        def one(user_id: str, start: Any = together, seen: list[str] = outcomes) -> None:
            start.wait()
            try:
                _do(services, user_id, act)
                seen.append("done")
            except LastAdminError:
                seen.append("last")

        threads = [threading.Thread(target=one, args=(p.id,)) for p in people]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(outcomes) == 4
        assert _active_admins(services) == max(1, before - 4)
        assert outcomes.count("last") == (1 if before == 4 else 0)


def test_a_change_counts_and_a_deactivation_ends_every_login(services: Services) -> None:
    admin(services)
    ben = analyst(services)
    assert _revision_after(services, ben.id, "analyst", None) == 1  # nothing changed
    assert _revision_after(services, ben.id, "admin", None) == 2
    with services.database.read() as session:
        assert session.get_one(LoginSession, ben.session_id).revoked_at is None
    assert _revision_after(services, ben.id, None, False) == 3
    with services.database.read() as session:
        assert session.get_one(LoginSession, ben.session_id).revoked_at is not None
    assert _revision_after(services, ben.id, "admin", True) == 4


def _revision_after(services: Services, user_id: str, role: Any, active: bool | None) -> int:
    _do(services, user_id, lambda session, held: users.change(session, held, role, active))
    with services.database.read() as session:
        return session.get_one(User, user_id).revision


def test_two_users_of_names_that_read_alike_cannot_be(services: Services) -> None:
    analyst(services, "Straße")
    fresh = one_time.make(services.settings.access)
    with pytest.raises(IntegrityError), services.database.write() as session:
        users.create(session, "STRASSE", "analyst", fresh)
    with pytest.raises(UserNameError), services.database.write() as session:
        users.create(session, "a\u202eb", "analyst", fresh)
    with services.database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 1


def test_what_a_removed_user_made_stays_and_is_nobodys(services: Services) -> None:
    admin(services)
    ben = analyst(services)
    with services.database.write() as session:
        show = Show(name="S", title="S")
        session.add(show)
        session.flush()
        upload = Upload(
            user_id=ben.id, length=1, file_name="a.mp4", show_id=show.id, episode_name="a", expires_at=now()
        )
        session.add_all([upload, job := Job(kind="sweep", user_id=ben.id)])
        session.flush()
        upload_id, job_id = upload.id, job.id
    _do(services, ben.id, users.remove)
    with services.database.read() as session:
        assert session.get_one(Upload, upload_id).user_id is None
        assert session.get_one(Job, job_id).user_id is None
        assert session.get(LoginSession, ben.session_id) is None
        assert session.get(User, ben.id) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_line_that_cannot_be_written_is_said_and_harms_nothing(
    services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    assert trail.record(services, "user.created", "ada", {"user": "ben"})
    with trail.path(services).open("a") as file:
        file.write('{"n": 7}\n')
    with caplog.at_level(logging.ERROR):
        assert not trail.record(services, "user.deleted", "ada", {"user": "ben"})
    assert "user.deleted by ada: {'user': 'ben'}" in caplog.text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_rotation_of_the_keys_is_told_without_the_keys(services: Services, tmp_path: Path) -> None:
    kid = trail.rotate_keys(services, "ada")
    assert Keyring(services.settings.secrets).newest("url").kid == kid
    [line] = audit.read(trail.path(services))
    assert (line["action"], line["actor"], line["details"]) == (
        "keys.rotated",
        "ada",
        {"kid": kid, "kept": 2},
    )
