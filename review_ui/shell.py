"""What goes around every page: the login, the choice of an episode, the look."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import streamlit as st

from review_ui.answers import Episode, Show
from review_ui.client import Client
from review_ui.components import source
from review_ui.context import Context
from review_ui.logins import LOGINS, Login
from review_ui.palette import page
from review_ui.parts import plain, problem
from review_ui.state import Catalog, State, forget_all, section, state
from review_ui.views.login import change_password
from review_ui.web import BEGIN, cookie_name
from review_ui.wire import LoginEndedError, ServiceError, address

Render = Callable[[Context], None]

_CATALOG_S: Final = 10.0
_KEEP = "screenalyzer_keep_login"
_WAITING = "screenalyzer_waiting"


def icon() -> Path:
    """The picture of the browser's tab."""
    return Path(__file__).parent / "components" / "icon.svg"


def style() -> None:
    """What the theme cannot say."""
    colours = page(dark=st.context.theme.type == "dark")
    st.html(f"<style>:root {{ {colours} }} {source('shell.css')}</style>")


def find_login() -> Login | None:
    """The login of this tab: made in it, or known by the browser's cookie."""
    found = LOGINS.find(state().login_id) or LOGINS.find(_cookie())
    if found is None:
        if state().login_id:
            forget_all()
            state().notice = "Your login has ended. Log in again; everything that was saved is kept."
        return None
    state().login_id = found.id
    return found


def keep_login(login: Login) -> None:
    """Let the browser exchange a ticket for its cookie, so that the login outlives a reload of the page."""
    if _cookie() == login.id:
        return
    kept = section(_Ticket)
    if kept.login_id != login.id:
        kept.login_id, kept.ticket = login.id, LOGINS.ticket(login)
    mount = st.components.v2.component(_KEEP, js=source("keep_login.js"))
    mount(data={"ticket": kept.ticket, "path": BEGIN}, key=_KEEP, height=1)


class _Ticket:
    """The ticket of this tab."""

    def __init__(self) -> None:
        self.login_id, self.ticket = "", ""


def log_out(login: Login) -> None:
    """End the login here and at the service."""
    with suppress(ServiceError):  # its tokens are forgotten in any case, and end by themselves
        Client(login).log_out()
    LOGINS.end(login)
    forget_all()
    state().notice = "You are logged out."


def context(login: Login) -> Context | None:
    """What pages are given; None where the service cannot be asked, which is said."""
    client, kept = Client(login), state()
    try:
        catalog = _catalog(client, kept)
    except LoginEndedError:
        st.rerun()
    except ServiceError as e:
        problem(e)
        st.button("Try again", icon=":material/refresh:")
        return None
    episode = _chosen(catalog, kept)
    show = catalog.show(episode["show_id"] if episode else kept.show_id)
    return Context(
        client=client,
        me=login.user,  # type: ignore[arg-type]
        state=kept,
        api_url=address().public_url,
        dark=st.context.theme.type == "dark",
        shows=catalog.shows,
        episodes=catalog.episodes,
        show=show,
        episode=episode,
    )


def sidebar(ctx: Context, login: Login, *, at_desk: bool) -> None:
    """The choice of show and episode, what waits in the browser, and who is logged in.

    Args:
        ctx: of the page.
        login: whose it is.
        at_desk: the page shows a desk of the chosen episode, which sends what waits for it.
    """
    st.logo(source("logo-dark.svg" if ctx.dark else "logo.svg"), icon_image=source("icon.svg"), size="large")
    with st.sidebar:
        _pick_show(ctx)
        _pick_episode(ctx)
        _waiting(ctx, at_desk=at_desk)
        with st.container(key="who"):
            name = ctx.me["name"]
            with st.popover(plain(name), icon=":material/account_circle:", width="stretch"):
                st.caption(f"{'Admin' if ctx.is_admin else 'Analyst'} at {ctx.api_url}")
                if st.button("Change password", icon=":material/key:", width="stretch"):
                    change_password(login)
                st.button(
                    "Log out", icon=":material/logout:", on_click=log_out, args=(login,), width="stretch"
                )
    if ctx.state.notice:
        st.toast(ctx.state.notice)
        ctx.state.notice = ""


def _waiting(ctx: Context, *, at_desk: bool) -> None:
    mount = st.components.v2.component(_WAITING, css=source("waiting.css"), js=source("waiting.js"))
    here = ctx.episode["id"] if at_desk and ctx.episode else None
    mount(data={"user": ctx.me["id"], "here": here}, key=_WAITING)


def _pick_show(ctx: Context) -> None:
    if not ctx.shows:
        st.caption("No shows yet: upload an episode.")
        return
    names = {s["id"]: s["title"] for s in ctx.shows}
    here = ctx.show["id"] if ctx.show else next(iter(names))
    st.session_state["pick-show"] = here
    st.selectbox(
        "Show", list(names), format_func=lambda i: names.get(i, "?"), key="pick-show", on_change=_on_show
    )


def _pick_episode(ctx: Context) -> None:
    show_id = ctx.show["id"] if ctx.show else None
    mine = {e["id"]: e for e in ctx.episodes if e["show_id"] == show_id}
    if not mine:
        return
    st.session_state["pick-episode"] = ctx.episode["id"] if ctx.episode else None
    st.selectbox(
        "Episode", list(mine), format_func=lambda i: _label(mine.get(i)), key="pick-episode",
        on_change=_on_episode, placeholder="Choose an episode",
    )  # fmt: skip


def _label(episode: Episode | None) -> str:
    if episode is None:
        return "?"
    return episode["title"] if episode["state"] == "done" else f"{episode['title']} ({episode['state']})"


def _on_show() -> None:
    kept = state()
    kept.show_id = st.session_state["pick-show"]
    first = next((e for e in _of_show(kept)), None)
    kept.episode_id = first["id"] if first else None
    _write_query(kept)


def _on_episode() -> None:
    kept = state()
    kept.episode_id = st.session_state["pick-episode"]
    _write_query(kept)


def _of_show(kept: State) -> list[Episode]:
    return [e for e in kept.catalog.episodes if e["show_id"] == kept.show_id] if kept.catalog else []


def _catalog(client: Client, kept: State) -> Catalog:
    found = kept.catalog
    if found is None or time.monotonic() - found.read_at > _CATALOG_S:
        found = kept.catalog = Catalog(client.shows(), client.episodes())
    return found


def _chosen(catalog: Catalog, kept: State) -> Episode | None:
    """The episode of the address, where somebody has followed one; else the one that was chosen last."""
    asked = st.query_params.get("episode")
    if asked and asked != kept.written and catalog.find(asked):
        kept.episode_id = asked
    episode = catalog.find(kept.episode_id)
    if episode is None:
        candidates: list[Episode] = [e for e in catalog.episodes if kept.show_id in {None, e["show_id"]}]
        done = [e for e in candidates if e["state"] == "done"]
        episode = next(iter(done or candidates), None)
    show: Show | None = catalog.show(episode["show_id"]) if episode else None
    kept.episode_id = episode["id"] if episode else None
    kept.show_id = show["id"] if show else kept.show_id
    _write_query(kept)
    return episode


def _write_query(kept: State) -> None:
    kept.written = kept.episode_id
    if kept.episode_id:
        if st.query_params.get("episode") != kept.episode_id:
            st.query_params["episode"] = kept.episode_id
    elif "episode" in st.query_params:
        del st.query_params["episode"]


def _cookie() -> str | None:
    return st.context.cookies.get(cookie_name(st.context.headers.get("Host", "")))
