"""The one way from ticks of a stream's clock to milliseconds."""

from fractions import Fraction


def to_ms(pts: int, time_base: Fraction) -> int:
    """Presentation time in whole milliseconds of the source's own clock, exact halves rounded up.

    Args:
        pts: ticks.
        time_base: seconds a tick.
    """
    doubled = pts * time_base * 2000
    return (doubled.numerator // doubled.denominator + 1) // 2


def to_ticks(seconds: float | Fraction, time_base: Fraction) -> int:
    """Seconds in whole ticks, rounded."""
    return round(Fraction(seconds) / time_base)
