"""What a page is given."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from review_ui.answers import Episode, Show, User
from review_ui.client import Client
from review_ui.parts import empty, problem
from review_ui.state import State
from review_ui.wire import LoginEndedError, ServiceError


@dataclass(frozen=True)
class Context:
    """What a page is given.

    Attributes:
        client: asks the service.
        me: who is logged in.
        state: what the tab remembers.
        api_url: the service's address for browsers, without a slash at the end.
        dark: whether the page is shown dark.
        shows: to choose from.
        episodes: of all shows, newest first.
        show: the one that is chosen; None where there is none.
        episode: the one that is chosen; None where there is none.
    """

    client: Client
    me: User
    state: State
    api_url: str
    dark: bool
    shows: list[Show]
    episodes: list[Episode]
    show: Show | None
    episode: Episode | None

    @property
    def is_admin(self) -> bool:
        """Whether they may do what only Admins may."""
        return self.me["role"] == "admin"

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Show what goes wrong in the block as an error for people; fragments need one of their own."""
        try:
            yield
        except LoginEndedError:
            st.rerun(scope="app")
        except ServiceError as e:
            if e.code == "not-ready" and self.episode and self.episode["state"] != "done":
                empty(*why_no_results(self.episode), ":material/hourglass_empty:")
            else:
                problem(e)

    def forget_catalog(self) -> None:
        """Read shows and episodes again at the next run, since they have changed."""
        self.state.catalog = None

    def need_episode(self) -> Episode:
        """The chosen episode; where there is none, the page says what to do and ends."""
        if self.episode is None:
            what = "There is no episode yet." if not self.episodes else "No episode is chosen."
            empty(what, "Upload one, or choose one on the left.", ":material/movie:")
            st.stop()
        return self.episode


def why_no_results(episode: Episode) -> tuple[str, str]:
    """What to say where an episode has no results yet: what is the matter, and what to do."""
    title, found = episode["title"], episode["state"]
    if found == "new":
        return f"{title} has no video yet.", "Upload it on the page Upload."
    if found == "failed":
        return f"Processing {title} has failed.", "The page Status says why, and lets you try again."
    if found in {"paused", "cancelled"}:
        return f"Processing {title} was {found}.", "Resume it on the page Status."
    return (
        f"{title} is still being processed.",
        "The page Status shows how far it is. This page is ready then.",
    )
