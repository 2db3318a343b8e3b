"""Colours of charts, the same everywhere; each has a word, a shape or a label beside it."""

from typing import Final

_PEOPLE_LIGHT: Final = (
    "#3949ab", "#00796b", "#b4560c", "#8e24aa", "#00729c", "#ad1457", "#56700f", "#5d4037",
    "#455a64", "#9a6700",
)  # fmt: skip
_PEOPLE_DARK: Final = (
    "#8c9eff", "#4db6ac", "#ffab70", "#ce93d8", "#4fc3f7", "#f48fb1", "#aed581", "#bcaaa4",
    "#b0bec5", "#ffd54f",
)  # fmt: skip

SOURCES: Final = {"auto": "found by itself", "reviewed": "reviewed", "manual": "added by hand"}
"""How an interval came to be: drawn half filled, filled, and empty with a dashed line."""


def people(names: list[str], dark: bool) -> dict[str, str]:
    """A colour for everybody, by their place in the list."""
    colours = _PEOPLE_DARK if dark else _PEOPLE_LIGHT
    return {name: colours[n % len(colours)] for n, name in enumerate(names)}


def ramp(dark: bool) -> list[str]:
    """From nothing to most, in the accent's hue."""
    return ["#1c1f29", "#3f4cb5", "#c3caff"] if dark else ["#f3f4f8", "#8f9be0", "#26328c"]


def ink(dark: bool) -> str:
    """Of text and axes."""
    return "#c9cdd8" if dark else "#3b4152"


def line(dark: bool) -> str:
    """Of grids and borders."""
    return "#333847" if dark else "#d7dae3"


def page(*, dark: bool) -> str:
    """What parts of a page that Streamlit's theme does not reach are coloured by, as CSS variables."""
    accent, raised = ("#8c9eff", "#1c1f29") if dark else ("#3949ab", "#f3f4f8")
    text = "#e8eaf0" if dark else "#1b1f2a"
    return f"--ui-accent: {accent}; --ui-text: {text}; --ui-line: {line(dark)}; --ui-raised: {raised};"
