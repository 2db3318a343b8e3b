"""What a browser tab remembers between runs of the script, typed."""

import time
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from review_ui.answers import Episode, Show

T = TypeVar("T")


@dataclass
class Catalog:
    """Shows and episodes, as they were a moment ago.

    Attributes:
        shows: by name.
        episodes: newest first.
        read_at: time.monotonic of the reading.
    """

    shows: list[Show]
    episodes: list[Episode]
    read_at: float = field(default_factory=time.monotonic)

    def find(self, episode_id: str | None) -> Episode | None:
        """An episode by its id."""
        return next((e for e in self.episodes if e["id"] == episode_id), None)

    def show(self, show_id: str | None) -> Show | None:
        """A show by its id."""
        return next((s for s in self.shows if s["id"] == show_id), None)


@dataclass
class State:
    """What all pages share.

    Attributes:
        login_id: which login this tab belongs to; see `logins`.
        show_id: chosen show.
        episode_id: chosen episode.
        catalog: shows and episodes to choose from; None where they must be read again.
        notice: said once, on the next page that is shown.
        written: the episode that was last put into the page's address.
    """

    login_id: str | None = None
    show_id: str | None = None
    episode_id: str | None = None
    catalog: Catalog | None = None
    notice: str = ""
    written: str | None = None


def section(kind: type[T]) -> T:
    """The tab's one instance of a dataclass that can be made without arguments; a page may have its own."""
    key = f"screenalyzer.{kind.__module__}.{kind.__qualname__}"
    if key not in st.session_state:
        st.session_state[key] = kind()
    found: T = st.session_state[key]
    return found


def state() -> State:
    """The tab's."""
    return section(State)


def forget_all() -> None:
    """Begin anew, as after a logout."""
    st.session_state.clear()
