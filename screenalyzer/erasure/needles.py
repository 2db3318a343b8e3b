"""Byte strings to be looked for at any offset, known by their hashes alone.

Of each, 40 bits of a multiplicative hash of one 8-byte window are kept (the probe), with its place, and the
sha256 of the whole. A search hashes the window at every offset and computes a sha256 only where a probe
agrees, so it is never wrong. Nothing can be read back from what is kept.

Windows are chosen among those whose hash begins with four zero bits: of what is searched only one window in
sixteen has to be looked up, however many strings there are.
"""

from collections.abc import Collection, Iterator
from hashlib import sha256
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_UInt64 = NDArray[np.uint64]

_WINDOW: Final = 8
_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio (Knuth, TAOCP 6.4)
_PROBE_SHIFT: Final = np.uint64(24)
_SIEVED_BITS: Final = 60
_SIEVE: Final = np.uint64(1 << _SIEVED_BITS)
_REGION: Final = 256  # bytes around the middle among which the window is chosen
_CHOICES: Final = 8
_LEAST_BITS: Final = 16
_AT_ONCE: Final = 1 << 15  # windows: what is computed of them stays in the cache
_HEAD: Final = 16  # hexadecimal digits of a digest that a probe repeats


class _Needle(NamedTuple):
    probe: int
    at: int
    size: int
    sieved: bool
    digest: str


def probe_of(data: bytes | memoryview, digest: str) -> str | None:
    """How to find some bytes within others, as a short text.

    Args:
        data: the bytes.
        digest: their sha256 in hexadecimal.

    Returns:
        None for less than 8 bytes, and for the same byte all along: these are everywhere.
    """
    if len(data) < _WINDOW or len(set(data)) < 2:
        return None
    low = max(0, len(data) // 2 - _REGION // 2)
    region = np.frombuffer(data, np.uint8)[low : low + _REGION]
    windows = np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(region, _WINDOW))
    hashed = windows.view("<u8").ravel() * _FACTOR
    through = np.flatnonzero(hashed < _SIEVE)[:_CHOICES]
    # Of several the one of the most different bytes: one of a plain area would be found often.
    chosen = max(through.tolist(), key=lambda n: len(set(windows[n].tolist())), default=0)
    probe = int(hashed[chosen] >> _PROBE_SHIFT)
    return f"{digest[:_HEAD]}{probe:010x}{low + chosen:08x}{len(data):08x}{int(len(through) > 0)}"


class Needles:
    """What a search looks for."""

    def __init__(self, probes: Collection[str], wanted: Collection[str]) -> None:
        """Take the probes, and the digests that are looked for; probes of others are left out.

        Raises:
            ValueError: a probe is not what `probe_of` gave.
        """
        by_head = {d[:_HEAD]: d for d in wanted}
        known = [_parsed(p, by_head[p[:_HEAD]]) for p in sorted(probes) if p[:_HEAD] in by_head]
        groups = ([n for n in known if n.sieved == sieved] for sieved in (True, False))
        self._searches = [_Search(g) for g in groups if g]
        self.reach = max((n.size for n in known), default=0)

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._searches)

    def find(self, haystack: bytes) -> set[str]:
        """The digests of all that lie in some bytes in full, at whatever offset."""
        found = set[str]()
        for shift in range(_WINDOW) if self._searches else ():
            count = max(0, len(haystack) - shift) // _WINDOW
            windows = np.frombuffer(haystack, "<u8", count, shift) if count else np.empty(0, np.uint64)
            for first in range(0, count, _AT_ONCE):
                hashed = windows[first : first + _AT_ONCE] * _FACTOR
                for search in self._searches:
                    for window, needle in search.through(hashed):
                        start = (first + window) * _WINDOW + shift - needle.at
                        if needle.digest not in found and _is_at(haystack, start, needle):
                            found.add(needle.digest)
        return found


class _Search:
    """Looks up hashes of windows: a table of bits first, then the probes themselves."""

    def __init__(self, needles: list[_Needle]) -> None:
        self._needles = sorted(needles)
        self._probes = np.array([n.probe for n in self._needles], dtype=np.uint64)
        self._sieved = self._needles[0].sieved
        bits = max(_LEAST_BITS, (16 * len(needles)).bit_length())
        self._drop = np.uint64((_SIEVED_BITS if self._sieved else 64) - bits)
        self._table = np.zeros(1 << bits, dtype=np.bool_)
        self._table[self._probes >> (self._drop - _PROBE_SHIFT)] = True

    def through(self, hashed: _UInt64) -> Iterator[tuple[int, _Needle]]:
        """Positions of hashes whose probe agrees, each with what may lie there."""
        sifted = np.flatnonzero(hashed < _SIEVE) if self._sieved else np.arange(len(hashed))
        kept = sifted[self._table[(hashed[sifted] >> self._drop).view(np.int64)]]
        probes = hashed[kept] >> _PROBE_SHIFT
        first = np.searchsorted(self._probes, probes, "left")
        last = np.searchsorted(self._probes, probes, "right")
        for n in np.flatnonzero(last > first):
            for needle in self._needles[first[n] : last[n]]:
                yield int(kept[n]), needle


def _parsed(text: str, digest: str) -> _Needle:
    places = [int(text[a:b], 16) for a, b in ((16, 26), (26, 34), (34, 42), (42, 43))]
    return _Needle(places[0], places[1], places[2], bool(places[3]), digest)


def _is_at(haystack: bytes, start: int, needle: _Needle) -> bool:
    end = start + needle.size
    inside = start >= 0 and end <= len(haystack)
    return inside and sha256(memoryview(haystack)[start:end]).hexdigest() == needle.digest
