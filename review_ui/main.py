"""The script that Streamlit runs for every tab: who is there, which episode, which page."""

from collections.abc import Callable

import streamlit as st
from streamlit.navigation.page import Page

from review_ui import shell
from review_ui.context import Context
from review_ui.views import (
    admin,
    analytics,
    audit,
    exports,
    faces,
    lineup,
    login,
    manual,
    pairwise,
    queue,
    status,
    suggestions,
    upload,
)

_PAGES = {
    "Episodes": [
        ("Upload", "upload", ":material/upload:", upload.render),
        ("Status", "status", ":material/monitoring:", status.render),
    ],
    "Review": [
        ("All Faces", "faces", ":material/face:", faces.render),
        ("Line-up", "lineup", ":material/groups:", lineup.render),
        ("Pairwise", "pairwise", ":material/compare:", pairwise.render),
        ("Low-Confidence Queue", "queue", ":material/help:", queue.render),
        ("Merge Suggestions", "suggestions", ":material/merge:", suggestions.render),
        ("Manual Add", "manual", ":material/add_box:", manual.render),
    ],
    "Results": [
        ("Analytics", "analytics", ":material/bar_chart:", analytics.render),
        ("Exports", "exports", ":material/download:", exports.render),
        ("Audit", "audit", ":material/history:", audit.render),
    ],
}
_ADMIN = ("Admin", "admin", ":material/settings:", admin.render)


def main() -> None:
    """Show the login, or the page that was asked for."""
    st.set_page_config("Screenalyzer", shell.icon(), layout="wide", initial_sidebar_state="expanded")
    shell.style()
    found = shell.find_login()
    if found is None:
        _gate(login.render)
        return
    if found.must_set_password:
        _gate(lambda: login.render_first_password(found))
        return
    ctx = shell.context(found)
    if ctx is None:
        return
    pages = {name: [_page(ctx, *p) for p in each] for name, each in _PAGES.items()}
    if ctx.is_admin:
        pages["Service"] = [_page(ctx, *_ADMIN)]
    home = st.Page(lambda: _go_on(ctx, pages), title="Screenalyzer", default=True, visibility="hidden")
    chosen = st.navigation({"": [home], **pages}, position="sidebar", expanded=True)
    shell.sidebar(ctx, found, at_desk=chosen in pages["Review"])
    chosen.run()
    shell.keep_login(found)


def _go_on(ctx: Context, pages: dict[str, list[Page]]) -> None:
    """Show the page that is most likely wanted."""
    if ctx.episode is None:
        st.switch_page(pages["Episodes"][0])
    done = ctx.episode["state"] == "done"
    st.switch_page(pages["Review"][0] if done else pages["Episodes"][1])


def _gate(render: Callable[[], None]) -> None:
    """Show something in the place of every page, at whatever address."""
    named = [p for each in (*_PAGES.values(), [_ADMIN]) for p in each]
    pages = [st.Page(render, title=title, url_path=path) for title, path, *_ in named]
    home = st.Page(render, title="Log in", default=True, url_path="login")
    st.navigation([home, *pages], position="hidden").run()


def _page(ctx: Context, title: str, path: str, icon: str, render: shell.Render) -> Page:
    def run() -> None:
        with ctx.guard():
            render(ctx)

    return st.Page(run, title=title, icon=icon, url_path=path)


main()
