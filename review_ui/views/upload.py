"""Upload: videos straight from the browser to the service, many at once, resumed wherever they broke off."""

import streamlit as st

from review_ui.components import source
from review_ui.context import Context
from review_ui.parts import ago, empty, plain, size, title
from review_ui.web import TOKEN

_NAME = "screenalyzer_uploader"


def render(ctx: Context) -> None:
    """Show it."""
    title("Upload", "Episodes are processed as soon as they have arrived; you may leave this page meanwhile.")
    show, replace = _ask(ctx)
    mount = st.components.v2.component(
        _NAME,
        html=source("uploader.html"),
        css=source("uploader.css"),
        js=f"{source('tus.js')}\n{source('uploader.js')}",
    )
    data = {"api_url": ctx.api_url, "token_path": TOKEN, "show": show, "replace": replace}
    found = mount(data=data, key=_NAME, on_uploaded_change=lambda: None)
    if found.uploaded:
        ctx.forget_catalog()
        ctx.state.episode_id = ctx.state.episode_id or found.uploaded
        st.rerun()
    _unfinished(ctx)


def _ask(ctx: Context) -> tuple[str, bool]:
    """The show that files belong to, and whether they replace what is there."""
    titles = [s["title"] for s in ctx.shows]
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    show = left.selectbox(
        "Show that the files belong to",
        titles,
        index=titles.index(ctx.show["title"]) if ctx.show else None,
        accept_new_options=True,
        placeholder="Choose a show, or type the title of a new one",
    )
    replace = right.checkbox(
        "Replace episodes of the same title that have other content",
        help="Without this, such a file is refused, and nothing is lost.",
    )
    return (show or "").strip(), replace


def _unfinished(ctx: Context) -> None:
    """What was begun and is not whole, also from another browser."""
    with ctx.guard():
        waiting = ctx.client.uploads("receiving")
        if not waiting and not ctx.episodes:
            empty("Nothing is here yet.", "Type a show's title above, and choose its first episodes.")
        if not waiting:
            return
        st.header("Unfinished", anchor=False)
        st.caption("Choose the same file again to go on. What gets no bytes for long is removed by itself.")
        for each in waiting[:20]:
            share = each["offset"] / max(1, each["length"])
            text = (
                f"{each['file_name']}: {share:.0%} of {size(each['length'])}, begun {ago(each['created_at'])}"
            )
            st.progress(min(1.0, share), plain(text))
