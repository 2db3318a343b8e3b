import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import select, update
from support.callers import Person, admin, analyst

from screenalyzer import audit
from services.access import sessions, tokens, trail
from services.access.keys import Keyring
from services.access.sessions import Caller, Grant
from services.access.tokens import Claims
from services.context import Services
from services.db.models import LoginSession, LoginThrottle, User, now

_GIVEN = SecretStr(json.dumps({"keys": [{"kid": "k", "secret": base64.b64encode(bytes(32)).decode()}]}))


def _who(services: Services, token: str) -> Caller | None:
    with services.database.read() as session:
        return sessions.authenticate(session, services.keyring, token)


def _change(services: Services, person: Person, **fields: Any) -> None:
    with services.database.write() as session:
        session.execute(update(User).where(User.id == person.id).values(**fields))


def _decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _hs256(key: bytes, header: object, payload: object) -> str:
    """A token by the letter of RFC 7515, without the library."""
    head = f"{_encoded(header)}.{_encoded(payload)}"
    return (
        f"{head}.{base64.urlsafe_b64encode(hmac.digest(key, head.encode(), 'sha256')).decode().rstrip('=')}"
    )


def test_an_access_token_is_an_hs256_jwt_of_this_login(services: Services) -> None:
    ben = analyst(services)
    header, payload, signature = ben.token.split(".")
    key = services.keyring.newest("access-token")
    assert _decoded(header) == {"alg": "HS256", "typ": "JWT", "kid": key.kid}
    claims = _decoded(payload)
    assert claims.keys() == {"iss", "aud", "sub", "sid", "iat", "exp"}
    assert (claims["iss"], claims["aud"]) == ("screenalyzer", "screenalyzer-api")
    assert (claims["sub"], claims["sid"]) == (ben.id, ben.session_id)
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert abs(claims["iat"] - now().timestamp()) < 60
    expected = hmac.new(key.secret, f"{header}.{payload}".encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_whoever_bears_it_is_the_user_with_the_role_of_the_moment(services: Services) -> None:
    ben = analyst(services)
    assert _who(services, ben.token) == Caller(ben.id, "ben", "analyst", ben.session_id)
    _change(services, ben, role="admin")
    assert _who(services, ben.token) == Caller(ben.id, "ben", "admin", ben.session_id)


def test_a_token_without_the_library_is_as_good(services: Services) -> None:
    ben = analyst(services)
    key = services.keyring.newest("access-token")
    payload = {
        "iss": "screenalyzer", "aud": "screenalyzer-api", "sub": ben.id, "sid": ben.session_id,
        "iat": int(now().timestamp()), "exp": int(now().timestamp()) + 60,
    }  # fmt: skip
    header = {"alg": "HS256", "kid": key.kid}
    assert _who(services, _hs256(key.secret, header, payload)) is not None


_FORGERIES: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "another audience": lambda _, p: p.update(aud="other"),
    "another issuer": lambda _, p: p.update(iss="other"),
    "no audience": lambda _, p: p.pop("aud"),
    "no issuer": lambda _, p: p.pop("iss"),
    "no end": lambda _, p: p.pop("exp"),
    "no subject": lambda _, p: p.pop("sub"),
    "no session": lambda _, p: p.pop("sid"),
    "expired": lambda _, p: p.update(exp=int(now().timestamp()) - 1),
    "expires now": lambda _, p: p.update(exp=int(now().timestamp())),
    "end is no number": lambda _, p: p.update(exp="never"),
    "not yet": lambda _, p: p.update(nbf=int(now().timestamp()) + 60),
    "another user's session": lambda _, p: p.update(sub="0" * 32),
    "unknown session": lambda _, p: p.update(sid="0" * 32),
    "unknown kid": lambda h, _: h.update(kid="0" * 16),
    "no kid": lambda h, _: h.pop("kid"),
    "kid is no text": lambda h, _: h.update(kid=["a"]),
    "kid is a path": lambda h, _: h.update(kid="../../dev/null"),
    "critical extension": lambda h, _: h.update(crit=["b64"], b64=False),
}


@pytest.mark.parametrize("change", _FORGERIES.values(), ids=_FORGERIES.keys())
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_token_that_is_signed_but_says_something_else_is_nobodys(
    services: Services, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> None:
    ben = analyst(services)
    header, payload = map(_decoded, ben.token.split(".")[:2])
    key = services.keyring.newest("access-token")
    assert _who(services, _hs256(key.secret, header, payload)) is not None
    change(header, payload)
    assert _who(services, _hs256(key.secret, header, payload)) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", "", None, 7])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_other_algorithm_is_taken(services: Services, algorithm: object) -> None:
    ben = analyst(services)
    header, payload = map(_decoded, ben.token.split(".")[:2])
    key = services.keyring.newest("access-token")
    header["alg"] = algorithm
    head = f"{_encoded(header)}.{_encoded(payload)}"
    assert _who(services, f"{head}.") is None
    assert _who(services, _hs256(key.secret, header, payload)) is None
    if algorithm in {"HS384", "HS512"}:
        real = jwt.encode(payload, key.secret * 2, str(algorithm), headers={"kid": key.kid})
        assert _who(services, real) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_signature_for_another_purpose_or_by_another_service_is_none(services: Services) -> None:
    ben = analyst(services)
    header, payload = map(_decoded, ben.token.split(".")[:2])
    assert _who(services, _hs256(services.keyring.newest("url").secret, header, payload)) is None
    elsewhere = Keyring(services.settings.root / "elsewhere").newest("access-token")
    assert _who(services, _hs256(elsewhere.secret, header, payload)) is None
    changed = ben.token[:-2] + ("A" if ben.token[-2] != "A" else "B") + ben.token[-1]
    assert _who(services, changed) is None


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a", "a.b.c", "é.é.é", "\x00", "x" * 100_000, "." * 2000, "null.null.null",
        base64.b64encode(b"[" * 3000).decode() + ".e30.", base64.b64encode(b"[" * 180).decode() + ".e30.",
        _encoded([]) + ".e30.x", _encoded("HS256") + ".e30.x", _encoded({"alg": {}}) + ".e30.x",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused_quietly(tmp_path_factory: pytest.TempPathFactory, token: str) -> None:
    assert tokens.read(Keyring(tmp_path_factory.mktemp("keys")), token) is None


@given(st.text(max_size=200))
def test_any_text_is_refused_quietly(text: str) -> None:
    keyring = Keyring(Path("x"), _GIVEN)
    assert tokens.read(keyring, text) is None
    assert tokens.read(keyring, f"{_encoded({'alg': text})}.{text}.{text}") is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_tokens_outlive_one_rotation_of_the_keys_and_not_two(services: Services) -> None:
    ben = analyst(services)
    services.keyring.rotate()
    assert _who(services, ben.token) is not None
    services.keyring.rotate()
    assert _who(services, ben.token) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_node_whose_clock_is_behind_takes_a_fresh_token(services: Services) -> None:
    ben = analyst(services)
    ahead = now() + timedelta(seconds=30)
    claims = Claims(ben.id, ben.session_id)
    token = tokens.issue(services.keyring, claims, timedelta(minutes=15), ahead)
    assert _who(services, token) is not None


def test_a_revocation_takes_hold_at_once(services: Services) -> None:
    ben = analyst(services)
    with services.database.write() as session:
        sessions.revoke(session, ben.session_id)
    assert _who(services, ben.token) is None
    assert sessions.refresh(services, ben.refresh_token) is None


def test_an_inactive_user_is_nobody_at_once_and_cannot_refresh(services: Services) -> None:
    ben = analyst(services)
    _change(services, ben, active=False)
    assert _who(services, ben.token) is None
    assert sessions.refresh(services, ben.refresh_token) is None
    _change(services, ben, active=True)
    assert sessions.refresh(services, ben.refresh_token) is not None


def test_a_login_ends_with_its_refresh_token(services: Services) -> None:
    ben = analyst(services)
    with services.database.write() as session:
        session.get_one(LoginSession, ben.session_id).expires_at = now() - timedelta(seconds=1)
    assert _who(services, ben.token) is None
    assert sessions.refresh(services, ben.refresh_token) is None


def test_revoking_all_spares_the_one_that_goes_on_and_other_users(services: Services) -> None:
    ada, ben = admin(services), analyst(services)
    with services.database.write() as session:
        row, _ = sessions.begin(session, session.get_one(User, ben.id), services.settings.access)
        sessions.revoke_all(session, ben.id, but=row.id)
    other = tokens.issue(services.keyring, Claims(ben.id, row.id), timedelta(minutes=1), now())
    assert [_who(services, t) is not None for t in (ben.token, other, ada.token)] == [False, True, True]
    with services.database.write() as session:
        sessions.revoke_all(session, ben.id)
    assert _who(services, other) is None


def test_a_refresh_gives_new_tokens_of_the_same_login_and_a_longer_life(services: Services) -> None:
    ben = analyst(services)
    with services.database.write() as session:
        session.get_one(LoginSession, ben.session_id).expires_at = now() + timedelta(hours=1)
    seen = {ben.refresh_token}
    token = ben.refresh_token
    for _ in range(3):
        given_now = sessions.refresh(services, token)
        assert given_now is not None
        token = given_now.refresh_token
        assert token not in seen
        seen.add(token)
        found = _who(services, given_now.access_token)
        assert found is not None
        assert found.session_id == ben.session_id
        assert (given_now.expires_in_s, given_now.must_set_password) == (900, False)
        assert token not in repr(given_now)
    with services.database.read() as session:
        left = session.get_one(LoginSession, ben.session_id).expires_at - now()
    assert timedelta(days=13.9) < left <= timedelta(days=14)


def test_a_refresh_token_is_random_and_only_its_hash_is_stored(services: Services) -> None:
    ben = analyst(services)
    halves = ben.refresh_token.split(".")
    assert [len(base64.urlsafe_b64decode(h + "=")) for h in halves] == [32, 32]
    with services.database.read() as session:
        row = session.get_one(LoginSession, ben.session_id)
    assert row.refresh_hash == hashlib.sha256(ben.refresh_token.encode()).hexdigest()
    assert ben.refresh_token not in str(vars(row))
    assert halves[0] not in str(vars(row))


@pytest.mark.parametrize("uses", [1, 3])
def test_a_spent_refresh_token_ends_the_login_however_old_it_is(services: Services, uses: int) -> None:
    ben = analyst(services)
    newest: Grant | None = None
    token = ben.refresh_token
    for _ in range(uses):
        newest = sessions.refresh(services, token)
        assert newest is not None
        token = newest.refresh_token
    assert sessions.refresh(services, ben.refresh_token) is None
    assert newest is not None
    assert _who(services, newest.access_token) is None
    assert sessions.refresh(services, token) is None
    lines = [x for x in audit.read(trail.path(services)) if x["action"] == "session.refresh-reused"]
    assert [(x["actor"], x["details"]) for x in lines] == [("ben", {"session": ben.session_id})]
    assert ben.refresh_token not in trail.path(services).read_text()


def test_a_made_up_refresh_token_ends_nothing(services: Services) -> None:
    ben = analyst(services)
    made_up = [
        "",
        ".",
        "a.b",
        ben.session_id,
        f"{ben.session_id}.x",
        "é",
        "x" * 10_000,
        "\x00",
        "A" * 43 + "." + "B" * 43,
    ]
    for token in made_up:
        assert sessions.refresh(services, token) is None
    assert _who(services, ben.token) is not None
    assert sessions.refresh(services, ben.refresh_token) is not None


def test_of_two_refreshes_at_once_exactly_one_wins_and_the_login_ends(services: Services) -> None:
    people = [analyst(services, f"user{n}") for n in range(5)]
    for person in people:
        outcomes: list[Grant | None] = []
        together = threading.Barrier(4)

        def once(token: str = person.refresh_token, seen: list[Any] = outcomes, at: Any = together) -> None:
            at.wait()
            seen.append(sessions.refresh(services, token))

        threads = [threading.Thread(target=once) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        winners = [g for g in outcomes if g is not None]
        assert len(outcomes) == 4
        assert len(winners) == 1
        assert _who(services, winners[0].access_token) is None  # two that use one token: one may be a thief


def test_tidying_removes_what_has_ended_and_nothing_else(services: Services) -> None:
    ada, ben, eve = admin(services), analyst(services), analyst(services, "eve")
    with services.database.write() as session:
        session.get_one(LoginSession, ben.session_id).expires_at = now() - timedelta(seconds=1)
        sessions.revoke(session, eve.session_id)
        old, young = now() - timedelta(hours=25), now() - timedelta(hours=23)
        session.add(LoginThrottle(key="old", failures=3, failed_at=old))
        session.add(LoginThrottle(key="young", failures=3, failed_at=young))
    with services.database.write() as session:
        sessions.tidy(session)
    with services.database.read() as session:
        assert list(session.scalars(select(LoginSession.id))) == [ada.session_id]
        assert list(session.scalars(select(LoginThrottle.key))) == ["young"]
    assert _who(services, ada.token) is not None
    assert sessions.refresh(services, eve.refresh_token) is None
