"""Exports: files for people outside, made and fetched."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from review_ui.context import Context
from review_ui.parts import Column, Link, empty, moment, plain, size, table, title
from review_ui.state import section

_COLUMNS: Final = (Column("File"), Column("Made"), Column("Size", figures=True))
_MOVING: Final = {"queued", "running", "pausing", "cancelling"}


@dataclass
class _Asked:
    """The export that this tab has asked for and is waiting for."""

    job_id: str | None = None


def render(ctx: Context) -> None:
    """Show it."""
    episode = ctx.need_episode()
    title(
        "Exports",
        f"{episode['title']}: totals, timeline and the rules they were made by, as of the last edit.",
    )
    with st.container(horizontal=True):
        for form, label in (("xlsx", "Make an Excel file"), ("csv", "Make CSV files")):
            main = "primary" if form == "xlsx" else "secondary"
            if st.button(label, icon=":material/add:", key=f"make-{form}", type=main):  # type: ignore[arg-type]
                section(_Asked).job_id = ctx.client.make_export(episode["id"], form)["id"]
    _files(ctx, episode["id"])


@st.fragment(run_every=1.0)
def _files(ctx: Context, episode_id: str) -> None:
    with ctx.guard():
        _say_how_far(ctx)
        found = ctx.client.exports(episode_id)
        if not found:
            empty(
                "Nothing has been exported yet.",
                "Make a file with one of the buttons above.",
                ":material/download:",
            )
            return
        newest = sorted(found, key=lambda e: e["modified"], reverse=True)
        rows = [
            (Link(e["name"], f"{ctx.api_url}{e['url']}"), moment(e["modified"]), size(e["size_bytes"]))
            for e in newest
        ]
        table("Exports", _COLUMNS, rows)
        st.caption("The links are yours alone and end after a while; this page makes new ones.")


def _say_how_far(ctx: Context) -> None:
    asked = section(_Asked)
    if asked.job_id is None:
        return
    job = ctx.client.job(asked.job_id)
    if job["state"] in _MOVING:
        st.info("The file is being written; it appears below.", icon=":material/hourglass_empty:")
        return
    if job["state"] != "done":
        st.error(plain(job["error"] or f"The export was {job['state']}."), icon=":material/error:")
        return
    st.success("The file is ready.", icon=":material/check_circle:")
