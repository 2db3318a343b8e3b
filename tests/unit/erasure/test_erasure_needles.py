"""Bytes are found at any offset by their hashes, and nothing else is."""

from hashlib import sha256

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from screenalyzer.erasure.needles import Needles, probe_of


def _needles(items: list[bytes], wanted: list[bytes] | None = None) -> Needles:
    probes = [p for i in items if (p := probe_of(i, _digest(i)))]
    return Needles(probes, {_digest(i) for i in (items if wanted is None else wanted)})


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


_ITEMS = st.lists(
    st.binary(min_size=8, max_size=600).filter(lambda b: len(set(b)) > 1), min_size=1, max_size=6
)


@settings(deadline=None)
@given(_ITEMS, st.binary(max_size=300), st.binary(max_size=50))
def test_it_finds_what_a_plain_search_finds(items: list[bytes], before: bytes, after: bytes) -> None:
    hay = before + items[0] + after
    assert _needles(items).find(hay) == {_digest(i) for i in items if i in hay}
    assert _needles(items).find(hay[: len(before) + len(items[0]) - 1]) == {
        _digest(i) for i in items if i in hay[: len(before) + len(items[0]) - 1]
    }


def test_many_among_much_noise() -> None:
    rng = np.random.default_rng(7)
    items = [rng.normal(size=128).astype("<f4").tobytes() for _ in range(3000)]
    hidden = items[::100]
    parts = [part for i in hidden for part in (rng.bytes(int(rng.integers(1, 5000))), i)]
    assert _needles(items).find(b"".join(parts)) == {_digest(i) for i in hidden}


def test_only_the_wanted_are_looked_for() -> None:
    one, two = b"one of the two" * 3, b"two of the two" * 3
    found = _needles([one, two], wanted=[two])
    assert found.find(one + two) == {_digest(two)}
    assert found.reach == len(two)
    assert not _needles([one], wanted=[])


def test_what_is_everywhere_has_no_probe() -> None:
    assert probe_of(bytes(512), _digest(bytes(512))) is None
    assert probe_of(b"1234567", _digest(b"1234567")) is None


def test_nothing_can_be_read_back() -> None:
    secret = np.random.default_rng(1).bytes(512)
    probe = probe_of(secret, _digest(secret))
    assert probe is not None
    assert len(probe) == 43
