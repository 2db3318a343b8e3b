import re
import threading
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.access import names, one_time, passwords
from services.access.errors import CrowdedError, PasswordError, UserNameError
from services.access.passwords import Passwords
from services.db.models import now
from services.settings import AccessSettings

_CHEAP = AccessSettings(hash_mib=1, hash_rounds=1)


def test_a_hash_is_argon2id_at_the_cost_of_the_settings_and_never_the_same() -> None:
    ours = passwords.passwords(AccessSettings(hash_mib=2, hash_rounds=2))
    first, second = ours.hash("four words nobody guesses"), ours.hash("four words nobody guesses")
    assert first.startswith("$argon2id$v=19$m=2048,t=2,p=1$")
    assert first != second
    assert ours.verify(first, "four words nobody guesses")
    assert not ours.verify(first, "four words nobody guesse")


def test_the_default_cost_is_what_rfc_9106_advises() -> None:
    assert (AccessSettings().hash_mib, AccessSettings().hash_rounds) == (64, 3)


def test_a_hash_of_another_cost_is_verified_and_known_as_outdated() -> None:
    old, new = Passwords(1, 1), Passwords(2, 1)
    stored = old.hash("four words nobody guesses")
    assert new.verify(stored, "four words nobody guesses")
    assert new.outdated(stored)
    assert not old.outdated(stored)


@pytest.mark.parametrize("stored", [None, "", "no hash", "$argon2id$v=19$m=1024,t=1,p=1$AAAA"])
def test_nothing_stored_is_nobodys_password_also_not_the_empty_one(stored: str | None) -> None:
    assert not passwords.passwords(_CHEAP).verify(stored, "")
    assert not passwords.passwords(_CHEAP).verify(stored, "x")


def test_checking_against_nobody_takes_as_long_as_against_somebody() -> None:
    ours = Passwords(32, 2)
    stored = ours.hash("four words nobody guesses")

    def seconds(against: str | None) -> float:
        start = time.perf_counter()
        ours.verify(against, "another guess of somebody")
        return time.perf_counter() - start

    pairs = [(seconds(stored), seconds(None)) for _ in range(7)]
    somebody, nobody = min(a for a, _ in pairs), min(b for _, b in pairs)
    assert nobody > somebody / 2


@given(st.text(min_size=1, max_size=40))
def test_a_password_is_the_same_however_its_letters_are_composed(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    ours = passwords.passwords(_CHEAP)
    assert ours.verify(ours.hash(unicodedata.normalize("NFC", text)), unicodedata.normalize("NFD", text))


@pytest.mark.parametrize(
    "good",
    [
        "four words nobody guesses", "tr0mbone-Lake-77", "zażółć gęślą jaźń",
        "パスワードではない長い言葉です",
        "839201847561", "x" * 3 + "lantern orbit mule", "my kettle is on the roof",
    ],
)  # fmt: skip
def test_length_is_enough(good: str) -> None:
    passwords.check(good, "ada")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("short words", "at least 12"),
        ("", "at least 12"),
        ("a" * 12, "tried first"),
        ("abababababab", "tried first"),
        ("123456789012", "tried first"),
        ("987654321098", "tried first"),
        ("abcdefghijklm", "tried first"),
        ("passwordpassword", "tried first"),
        ("Password12345!", "tried first"),
        ("P@ssw0rd-2026!", "tried first"),
        ("screenalyzer1", "tried first"),
        ("Screenalyzer-Admin", "tried first"),
        ("qwertyuiop12", "tried first"),
        ("correct horse battery staple", "tried first"),
        ("changeme-changeme", "tried first"),
        ("Ada-Lovelace-1", "user's name"),
        ("adalovelaceadalovelace", "user's name"),
        ("é" * 600 + "abcdef", "at most 1024 bytes"),
        ("half a character \ud800", "half a character"),
    ],
)
def test_what_is_tried_first_is_refused(bad: str, why: str) -> None:
    with pytest.raises(PasswordError, match=why):
        passwords.check(bad, "Ada Lovelace")


def test_looking_at_a_long_password_takes_no_longer_than_its_length() -> None:
    start = time.perf_counter()
    passwords.check("qazwsxedcabcdefqwerty" * 45 + "!z", "ada")
    assert time.perf_counter() - start < 0.5


def test_too_many_checks_at_once_are_refused_and_no_place_is_lost() -> None:
    slow = Passwords(1, 1)
    outcomes: list[str] = []
    everyone = [threading.Thread(target=_hold_a_turn, args=(outcomes,)) for _ in range(4)]
    for t in everyone:
        t.start()
    while outcomes.count("in") < 4:
        time.sleep(0.01)
    start = time.perf_counter()
    with pytest.raises(CrowdedError, match="Try again"):
        slow.hash("x")
    assert 4 < time.perf_counter() - start < 30
    outcomes.append("go")
    for t in everyone:
        t.join()
    slow.hash("x")


def _hold_a_turn(outcomes: list[str]) -> None:
    with passwords._Turn():
        outcomes.append("in")
        while "go" not in outcomes:
            time.sleep(0.01)


def test_a_one_time_secret_is_long_random_and_forgiving() -> None:
    fresh = one_time.make(_CHEAP)
    assert re.fullmatch(r"([0-9a-hjkmnp-tv-z]{4}-){6}[0-9a-hjkmnp-tv-z]{4}", fresh.text)
    assert len({one_time.make(_CHEAP).text for _ in range(20)}) == 20
    assert fresh.text not in repr(fresh)
    assert fresh.hash not in repr(fresh)
    typed = f" {fresh.text.upper().replace('0', 'O').replace('1', 'l').replace('-', ' ')} \n"
    ours = passwords.passwords(_CHEAP)
    assert ours.verify(fresh.hash, one_time.normal(typed))
    assert not ours.verify(fresh.hash, one_time.normal(typed[:-4]))
    assert 71.9 < (fresh.until - now()).total_seconds() / 3600 <= 72


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("ada", "ada"), ("  Ada  Lovelace ", "Ada Lovelace"), ("Zoe\u0301", "Zoé"), ("田中", "田中")],
)
def test_a_name_is_shown_as_it_was_typed(raw: str, shown: str) -> None:
    assert names.clean(raw) == shown


@pytest.mark.parametrize(
    "raw",
    [
        "", "   ", "a\x00b", "a\nb", "a\x1bb", "\u202eadmin", "ad\u200bmin", "a\u2066b", "a\ud800", "x" * 65,
        "\ufeffada", "a\x7fb", "\ue000", "a\u2028b", "\ufdfa" * 20,
    ],
)  # fmt: skip
def test_a_name_with_what_cannot_be_seen_is_refused(raw: str) -> None:
    with pytest.raises(UserNameError):
        names.clean(raw)
    assert names.lookup_key(raw) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ada", "aDA"), ("Straße", "STRASSE"), ("Zoé", "Zoe\u0301"), ("ａｄａ", "ada"), ("ﬁn", "fin")],
)
def test_names_that_read_alike_are_one(one: str, other: str) -> None:
    assert names.lookup_key(one) == names.lookup_key(other)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused_and_its_key_fits(raw: str) -> None:
    key = names.lookup_key(raw)
    if key is None:
        return
    assert 1 <= len(key) <= 240
    assert names.key(key) == key
    assert names.clean(names.clean(raw)) == names.clean(raw)
