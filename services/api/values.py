"""Numbers that users send: Python reads NaN, Infinity and endless integers from JSON, no database does."""

import math
from collections.abc import Iterator
from typing import Any, Final

LARGEST: Final = 1 << 53  # what every reader of JSON keeps exactly


def finite(raw: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: it holds a number that is infinite, none at all, or beyond 2^53.
    """
    for number in _numbers(raw):
        if abs(number) > LARGEST or not math.isfinite(number):
            raise ValueError("a number is infinite, not a number, or beyond 2^53; send one that is finite")
    return raw


def _numbers(value: Any) -> Iterator[float]:
    """Every number in it, however deep; a recursion would end at what a sender chose."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, int | float) and not isinstance(each, bool):
            yield each
