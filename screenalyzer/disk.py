"""Telling a full disk from other trouble: it passes by itself once somebody has made room."""

import errno
import os
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
# As an error says it that has crossed a process or a library: the system's own words, and SQLite's.
_WORDS: Final = (*(os.strerror(n) for n in sorted(_FULL)), "disk is full")


def is_full(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is that of a full disk or an exhausted quota."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.errno in _FULL:
            return True
        if any(w in str(found) for w in _WORDS):
            return True
        found = found.__cause__
    return False
