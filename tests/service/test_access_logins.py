import itertools
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from support.callers import PASSWORD, analyst
from support.databases import close_services, services_on

from screenalyzer import audit
from services.access import one_time, sessions, throttle, trail, users
from services.access.errors import LoginRefusedError, ThrottledError
from services.access.logins import check_password, log_in
from services.context import Services
from services.db.models import LoginThrottle, User, now
from services.settings import AccessSettings

_HOME = "192.0.2.7"
_USER_KEY = throttle.user_key("ben")


def _fails(services: Services, name: str = "ben", password: str = "wrong", address: str = _HOME) -> None:
    with pytest.raises(LoginRefusedError):
        log_in(services, name, password, address)


def _blocked_s(services: Services, name: str = "ben", address: str = _HOME) -> int:
    with pytest.raises(ThrottledError) as found:
        log_in(services, name, PASSWORD, address)
    return found.value.wait_s


def _counter(services: Services, key: str) -> tuple[int, float]:
    """Failures, and seconds from the last one to the end of the block."""
    with services.database.read() as session:
        row = session.get(LoginThrottle, key)
    if row is None:
        return 0, 0.0
    return row.failures, (row.blocked_until - row.failed_at).total_seconds() if row.blocked_until else 0.0


def _let_time_pass(services: Services, **shift: float) -> None:
    with services.database.write() as session:
        for row in session.query(LoginThrottle):
            row.failed_at -= timedelta(**shift)
            row.blocked_until = row.blocked_until and row.blocked_until - timedelta(**shift)


def _user(services: Services, person_id: str) -> User:
    with services.database.read() as session:
        return session.get_one(User, person_id)


def _new_user(services: Services, name: str = "ben") -> tuple[str, str]:
    """Id and one-time secret."""
    fresh = one_time.make(services.settings.access)
    with services.database.write() as session:
        return users.create(session, name, "analyst", fresh).id, fresh.text


def test_the_right_password_begins_a_login(services: Services) -> None:
    ben = analyst(services)
    given = log_in(services, " BEN ", PASSWORD, _HOME)
    assert not given.must_set_password
    with services.database.read() as session:
        caller = sessions.authenticate(session, services.keyring, given.access_token)
    assert caller is not None
    assert caller.user_id == ben.id
    assert caller.session_id != ben.session_id
    assert sessions.refresh(services, given.refresh_token) is not None


def test_anything_else_is_refused_in_the_same_words(services: Services) -> None:
    analyst(services)
    names = ("ben", "nobody", "", "a\x00b", "\ud800", "\u202eben", "x" * 500)
    passwords = ("wrong", "", "\ud800", "\x00", PASSWORD + "x", PASSWORD.upper())
    for name, password in itertools.product(names, passwords):
        with pytest.raises(LoginRefusedError, match=r"^The user name or the password is wrong\.$"):
            log_in(services, name, password, _HOME)
        _let_time_pass(services, hours=25)


def test_an_inactive_user_is_refused_in_the_same_words(services: Services) -> None:
    ben = analyst(services)
    with services.database.write() as session:
        session.execute(update(User).where(User.id == ben.id).values(active=False))
    with pytest.raises(LoginRefusedError, match=r"^The user name or the password is wrong\.$"):
        log_in(services, "ben", PASSWORD, _HOME)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_refusal_takes_as_long_whatever_the_reason(database_url: str, tmp_path: Path) -> None:
    costly = {"hash_mib": 64, "hash_rounds": 2, "free_attempts": 1000}
    services = services_on(tmp_path / "data", database_url, access=costly)
    analyst(services, "ben")
    eve = analyst(services, "eve")
    with services.database.write() as session:
        session.execute(update(User).where(User.id == eve.id).values(active=False))
    tried = [("ben", "wrong"), ("nobody", PASSWORD), ("eve", PASSWORD), ("a\x00b", PASSWORD)]
    seconds: dict[str, list[float]] = {name: [] for name, _ in tried}
    for _, (name, password) in itertools.product(range(6), tried):
        start = time.perf_counter()
        _fails(services, name, password)
        seconds[name].append(time.perf_counter() - start)
    fastest = [min(s) for s in seconds.values()]
    assert max(fastest) < 1.6 * min(fastest)
    close_services(services)


def test_a_login_renews_a_hash_of_another_cost(database_url: str, tmp_path: Path) -> None:
    old = services_on(tmp_path / "data", database_url, access={"hash_mib": 1})
    ben = analyst(old)
    new = services_on(tmp_path / "data", database_url, access={"hash_mib": 2})
    before = _user(new, ben.id)
    log_in(new, "ben", PASSWORD, _HOME)
    after = _user(new, ben.id)
    assert before.password_hash is not None
    assert after.password_hash is not None
    assert "m=1024" in before.password_hash
    assert "m=2048" in after.password_hash
    assert after.revision == before.revision
    log_in(new, "ben", PASSWORD, _HOME)
    assert _user(new, ben.id).password_hash == after.password_hash
    close_services(old)
    close_services(new)


def test_a_one_time_secret_logs_in_once(services: Services) -> None:
    ben, secret = _new_user(services)
    given = log_in(services, "ben", secret.upper().replace("-", ""), _HOME)
    assert given.must_set_password
    assert _user(services, ben).secret_hash is None
    _fails(services, password=secret)
    again = sessions.refresh(services, given.refresh_token)
    assert again is not None
    assert again.must_set_password


def test_a_one_time_secret_that_has_expired_is_none(services: Services) -> None:
    ben, secret = _new_user(services)
    with services.database.write() as session:
        session.execute(update(User).where(User.id == ben).values(secret_until=now() - timedelta(seconds=1)))
    _fails(services, password=secret)


def test_a_password_is_not_read_as_loosely_as_a_secret(services: Services) -> None:
    analyst(services)
    _fails(services, password=PASSWORD.replace(" ", "-"))


def test_a_secret_in_place_of_a_password_ends_the_password_and_the_logins(services: Services) -> None:
    ben = analyst(services)
    fresh = one_time.make(services.settings.access)
    with services.database.write() as session:
        users.reset_secret(session, session.get_one(User, ben.id), fresh)
    with services.database.read() as session:
        assert sessions.authenticate(session, services.keyring, ben.token) is None
    _fails(services, password=PASSWORD)
    assert log_in(services, "ben", fresh.text, _HOME).must_set_password


def test_of_many_logins_with_one_secret_at_once_one_gets_in(services: Services) -> None:
    _, secret = _new_user(services)
    got_in = _at_once(4, lambda _: log_in(services, "ben", secret, _HOME))
    assert [type(x).__name__ for x in got_in].count("Grant") == 1
    assert {type(x) for x in got_in if isinstance(x, Exception)} == {LoginRefusedError}


def test_free_attempts_then_a_wait_that_doubles_up_to_the_longest(services: Services) -> None:
    analyst(services)
    for n in range(1, 5):
        _fails(services)
        assert _counter(services, _USER_KEY) == (n, 0)
    waits = []
    for n in range(5, 17):
        _fails(services)
        failures, wait = _counter(services, _USER_KEY)
        assert failures == n
        assert _blocked_s(services) == pytest.approx(wait, abs=1.01)
        waits.append(wait)
        _let_time_pass(services, seconds=wait)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_an_attempt_during_the_wait_is_not_looked_at_and_not_counted(services: Services) -> None:
    analyst(services)
    for _ in range(5):
        _fails(services)
    before = _counter(services, _USER_KEY)
    assert _blocked_s(services) == 1
    assert _blocked_s(services, address="198.51.100.1") == 1
    assert _counter(services, _USER_KEY) == before
    _let_time_pass(services, seconds=1)
    log_in(services, "ben", PASSWORD, _HOME)


def test_success_clears_the_users_counter_and_not_the_addresses(services: Services) -> None:
    analyst(services)
    for _ in range(4):
        _fails(services)
    log_in(services, "ben", PASSWORD, _HOME)
    assert _counter(services, _USER_KEY) == (0, 0)
    assert _counter(services, throttle.address_key(_HOME)) == (4, 0)
    for _ in range(4):
        _fails(services)
    log_in(services, "ben", PASSWORD, _HOME)


def test_a_name_that_nobody_has_is_slowed_down_alike(services: Services) -> None:
    for _ in range(5):
        _fails(services, name="nobody")
    assert _blocked_s(services, name="NoBody ") == 1
    with services.database.read() as session:
        assert "nobody" not in str([r.key for r in session.query(LoginThrottle)])


def test_an_address_that_tries_many_names_is_blocked_for_all(services: Services) -> None:
    analyst(services)
    for n in range(50):
        _fails(services, name=f"guess{n}")
    assert _blocked_s(services) == 1
    log_in(services, "ben", PASSWORD, "198.51.100.1")
    _let_time_pass(services, seconds=1)
    log_in(services, "ben", PASSWORD, _HOME)
    assert _counter(services, throttle.address_key(_HOME)) == (50, 0)
    _fails(services, name="guess51")
    assert _blocked_s(services) == 2


def test_a_day_without_failures_begins_anew(services: Services) -> None:
    analyst(services)
    for _ in range(5):
        _fails(services)
    _let_time_pass(services, hours=24.1)
    _fails(services)
    assert _counter(services, _USER_KEY) == (1, 0)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "address:2001:db8:1:2::/64"),
    ],
)
def test_one_client_is_one_address(address: str, key: str) -> None:
    assert throttle.address_key(address) == key


def test_what_is_no_address_is_counted_too_and_fits_the_column() -> None:
    odd = {throttle.address_key(a) for a in ("testclient", "unknown", "", "x" * 5000, "\ud800")}
    assert len(odd) == 5
    assert max(map(len, odd)) < 300


def test_guesses_that_are_sent_at_once_are_all_counted(services: Services) -> None:
    analyst(services)
    outcomes = _at_once(16, lambda n: log_in(services, "ben", f"guess {n}", f"192.0.2.{n}"))
    refused = [x for x in outcomes if isinstance(x, LoginRefusedError)]
    assert len(refused) == 5
    assert sum(isinstance(x, ThrottledError) for x in outcomes) == 11
    assert _counter(services, _USER_KEY) == (5, 1)


def test_guesses_at_once_from_one_address_are_all_counted(services: Services) -> None:
    outcomes = _at_once(16, lambda n: log_in(services, f"name{n}", "guess", _HOME))
    assert all(isinstance(x, LoginRefusedError) for x in outcomes)
    assert _counter(services, throttle.address_key(_HOME)) == (16, 0)


def test_right_and_wrong_at_once_lose_no_count(services: Services) -> None:
    for n in range(6):
        analyst(services, f"user{n}")

    def attempt(n: int) -> Any:
        return log_in(services, f"user{n % 6}", PASSWORD if n < 6 else "wrong", _HOME)

    outcomes = _at_once(12, attempt)
    assert sum(isinstance(x, LoginRefusedError) for x in outcomes) == 6
    assert _counter(services, throttle.address_key(_HOME)) == (6, 0)


def test_the_settings_say_how_many_are_free_and_how_long_the_longest_is(services: Services) -> None:
    cfg = AccessSettings(free_attempts=1, max_block_s=3)
    waits = []
    for _ in range(40):
        with services.database.write() as session:
            until = throttle.enter(session, cfg, "user:x")["user:x"]
        assert until is not None
        waits.append(round((until - now()).total_seconds()))
        _let_time_pass(services, seconds=waits[-1] + 1)
    assert waits == [1, 2, *[3] * 38]


def test_the_current_password_cannot_be_guessed_by_who_stole_a_token(services: Services) -> None:
    ben = analyst(services)
    assert check_password(services, ben.id, "ben", PASSWORD)
    for _ in range(5):
        assert not check_password(services, ben.id, "ben", "guess")
    with pytest.raises(ThrottledError):
        check_password(services, ben.id, "ben", PASSWORD)
    assert _blocked_s(services) == 1


def test_the_audit_log_tells_of_logins_and_holds_no_secret(services: Services) -> None:
    analyst(services)
    _, secret = _new_user(services, "cy")
    log_in(services, "ben", PASSWORD, _HOME)
    _fails(services, password="hunter2 hunter2")
    _fails(services, name="my password by mistake", password="x")
    log_in(services, "cy", secret, _HOME)
    lines = audit.read(trail.path(services))
    assert [(x["action"], x["actor"], x["details"]) for x in lines] == [
        ("login", "ben", {"address": _HOME, "one_time": False}),
        ("login.failed", "ben", {"address": _HOME}),
        ("login.failed", "unknown", {"address": _HOME}),
        ("login", "cy", {"address": _HOME, "one_time": True}),
    ]
    written = trail.path(services).read_text()
    assert not any(x in written for x in (PASSWORD, secret, "hunter2", "mistake"))


def _at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """What each of so many threads returned or raised."""
    together, outcomes = threading.Barrier(count), []

    def one(n: int) -> None:
        together.wait()
        try:
            outcomes.append(act(n))
        except (LoginRefusedError, ThrottledError) as e:
            outcomes.append(e)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(outcomes) == count
    return outcomes
