"""Deleting for good: an episode, a person of a show, or a whole show, each confirmed by typing its name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from review_ui.answers import Job
from review_ui.context import Context
from review_ui.parts import empty, plain

_KINDS: Final = ("Episode", "Person", "Show")
_WHAT: Final = {
    "Episode": "Its video, crops, faces, decisions and figures go, and its entries in the facebank.",
    "Person": "Their faces, crops, embeddings, name and screen time go from every episode of the show.",
    "Show": "Every episode of it goes, with videos, faces, decisions, figures and the facebank.",
}


@dataclass(frozen=True)
class _Target:
    """What may be deleted: what is typed to confirm, and what does it."""

    name: str
    purge: Callable[[], Job]


def render(ctx: Context) -> None:
    """Show it."""
    st.markdown("What is deleted here cannot be brought back. The audit log keeps one line that says so.")
    if ctx.show is None:
        empty("There is nothing to delete.", "Upload an episode first.", ":material/delete:")
        return
    kind = st.segmented_control("What", _KINDS, default="Episode", required=True, key="delete-kind")
    target = _choose(ctx, kind)
    if target is None:
        return
    st.warning(f"**{plain(target.name)}**: {_WHAT[kind]}", icon=":material/warning:")
    with st.form("delete", clear_on_submit=True):
        typed = st.text_input("Type the name to confirm")
        sent = st.form_submit_button(f"Delete this {kind.lower()}", type="primary", icon=":material/delete:")
    if not sent:
        return
    if typed.strip() != target.name:
        st.error("That is another name. Nothing was deleted.", icon=":material/error:")
        return
    with ctx.guard():
        target.purge()
        ctx.forget_catalog()
        st.success(
            "It is being deleted. The page Status says when it is done.", icon=":material/check_circle:"
        )


def _choose(ctx: Context, kind: str) -> _Target | None:
    show = ctx.show
    assert show is not None
    if kind == "Show":
        return _Target(show["title"], lambda: ctx.client.purge_show(show["id"]))
    if kind == "Episode":
        mine = {e["id"]: e for e in ctx.episodes if e["show_id"] == show["id"]}
        found = st.selectbox("Episode to delete", list(mine), format_func=lambda i: mine[i]["title"])
        return _Target(mine[found]["title"], lambda: ctx.client.purge_episode(found)) if found else None
    people = {p["person_id"]: p for p in ctx.client.people(show["id"])}
    if not people:
        empty(f"Nobody of {show['title']} has a name yet.", "Name people on the page All Faces.")
        return None
    who = st.selectbox("Person to delete", list(people), format_func=lambda i: people[i]["name"])
    return _Target(people[who]["name"], lambda: ctx.client.purge_person(show["id"], who)) if who else None
