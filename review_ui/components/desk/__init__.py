"""The review desk in the browser: one component, of which each review page shows another side."""

from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import streamlit as st

from review_ui.components import source
from review_ui.components.assets import fetched
from review_ui.components.modules import joined

Mode = Literal["lineup", "faces", "pairs", "doubts", "merges", "manual"]

_NAME: Final = "screenalyzer_desk"
_PULSE: Final = "screenalyzer_pulse"
_HERE: Final = Path(__file__).parent


@cache
def _desk() -> str:
    return fetched("desk", joined(_HERE / "js", "main.js"))


def mount(key: str, data: dict[str, Any]) -> None:
    """Put the desk on the page; what it tells is `up` of st.session_state[key] at the next run.

    Args:
        key: of the desk; it keeps its state while it is mounted under the same one.
        data: mode, user and episode, and what `Mailbox.delivery` gives.
    """
    component = st.components.v2.component(_NAME, css=source("desk/desk.css"), js=_desk())
    component(key=key, data=data, on_up_change=lambda: None)


def mount_pulse(key: str, data: dict[str, Any]) -> None:
    """Tell the desks of this page how things are: the newest revision, and whether the service answers."""
    component = st.components.v2.component(_PULSE, js=source("desk/pulse.js"))
    component(key=key, data=data, height=1)
