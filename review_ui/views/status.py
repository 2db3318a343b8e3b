"""Status: what the service is working on, how far it is, and how to steer it."""

from dataclasses import dataclass
from html import escape
from typing import Final, Literal

import streamlit as st

from review_ui.answers import Job, Stage
from review_ui.context import Context
from review_ui.parts import ago, empty, plain, span_of_time, title
from review_ui.state import section

_LIVE: Final = {"queued", "running", "pausing", "cancelling"}
_WORDS: Final = {
    "queued": ("waiting for a worker", "schedule"),
    "running": ("running", "play_arrow"),
    "pausing": ("stopping at the next checkpoint", "pause"),
    "paused": ("paused", "pause"),
    "cancelling": ("being cancelled", "cancel"),
    "cancelled": ("cancelled", "cancel"),
    "failed": ("failed", "error"),
    "done": ("done", "check_circle"),
}
_KINDS: Final = {
    "process": "Processing", "export": "Export", "purge": "Purge", "sweep": "Cleaning up",
    "publish": "Publishing the review",
}  # fmt: skip
_MARKS: Final = {"done": "✓", "running": "▶", "failed": "✕"}
_PAGE: Final = 10


@dataclass
class _Shown:
    """What the tab shows of the jobs."""

    count: int = _PAGE
    alone: bool = False


def render(ctx: Context) -> None:
    """Show it."""
    title("Status", "Looked at again every other second.")
    shown = section(_Shown)
    if ctx.episode:
        shown.alone = st.toggle(f"Only {plain(ctx.episode['title'])}", value=shown.alone)
    _live(ctx)


@st.fragment(run_every=2.0)
def _live(ctx: Context) -> None:
    with ctx.guard():
        shown = section(_Shown)
        alone = ctx.episode["id"] if shown.alone and ctx.episode else None
        jobs, more = ctx.client.jobs(limit=shown.count, episode_id=alone)
        if not jobs:
            empty("Nothing has been processed yet.", "Upload an episode; it appears here at once.")
            return
        if not jobs[0]["live"]:
            st.warning(
                "Live progress is away for a moment; what is shown is a little old.", icon=":material/sync:"
            )
        for job in sorted(jobs, key=lambda j: j["state"] not in _LIVE):
            _card(ctx, job)
        if more and st.button("Show more", icon=":material/expand_more:"):
            shown.count += _PAGE
            st.rerun(scope="fragment")


def _card(ctx: Context, job: Job) -> None:
    words, icon = _WORDS[job["state"]]
    with st.container(border=True, key=f"job-{job['id']}"):
        left, right = st.columns([3, 2], vertical_alignment="center")
        what = job["episode"] or job["show"] or "The service"
        left.markdown(
            f"**{plain(what)}** · {_KINDS.get(job['kind'], job['kind'])}  \n{_when(job, words, icon)}"
        )
        with right:
            _buttons(ctx, job)
        if job["kind"] == "process" or job["state"] in _LIVE:
            st.html(_stages(job))
        if job["error"]:
            st.error(plain(job["error"]), icon=":material/error:")
        for letter in job["dead_letters"]:
            with st.expander(f"{letter['stage']} was given up after {letter['attempts']} attempts"):
                st.markdown(plain(letter["error"]))
                if letter["traceback"]:
                    st.code(letter["traceback"], language=None)
                else:
                    st.caption("An Admin sees the traceback.")


def _when(job: Job, words: str, icon: str) -> str:
    said = [f":material/{icon}: {words}"]
    running = next((s for s in job["stages"] if s["state"] == "running"), None)
    if running and running["speed"]:
        said.append(f"{running['speed']:.1f} x real time")
    if job["state"] in _LIVE and job["eta_s"] is not None:
        said.append(f"about {span_of_time(job['eta_s'])} left")
    said.append(ago(job["finished_at"]) if job["finished_at"] else f"begun {ago(job['created_at'])}")
    return ", ".join(said)


def _stages(job: Job) -> str:
    """Bars of the stages, as HTML."""
    return f'<div class="stages">{"".join(_stage(s) for s in job["stages"])}</div>'


def _stage(stage: Stage) -> str:
    name, found = escape(stage["stage"]), stage["state"]
    share = (
        1.0
        if found == "done"
        else min(1.0, stage["done_ms"] / stage["total_ms"])
        if stage["total_ms"]
        else 0.0
    )
    words = f"{share:.0%}" if found == "running" else found
    if stage["failures"]:
        words += f", tried {stage['attempt']} times"
    return (
        f'<div class="stage" data-state="{escape(found)}"><span>{_MARKS.get(found, "·")} {name}</span>'
        f'<progress max="1" value="{share:.4f}" aria-label="{name}"></progress>'
        f"<small>{escape(words)}</small></div>"
    )


def _buttons(ctx: Context, job: Job) -> None:
    """What can be done with a job in its state."""
    if job["kind"] in {"purge", "sweep"} and not ctx.is_admin:
        return
    with st.container(horizontal=True, horizontal_alignment="right", key=f"act-{job['id']}"):
        if job["state"] in {"queued", "running"} and job["kind"] == "process":
            _action(ctx, job, "pause", "Pause", ":material/pause:")
        if job["state"] in {"paused", "cancelled", "failed"}:
            _action(ctx, job, "resume", "Resume", ":material/play_arrow:")
        if job["state"] in {"queued", "running", "paused", "pausing"}:
            _action(ctx, job, "cancel", "Cancel", ":material/cancel:")
        if job["kind"] == "process" and job["state"] in {"paused", "cancelled", "failed", "done"}:
            _retry(ctx, job)


def _action(
    ctx: Context, job: Job, action: Literal["pause", "resume", "cancel"], label: str, icon: str
) -> None:  # fmt: skip
    if st.button(label, icon=icon, key=f"{action}-{job['id']}"):
        with ctx.guard():
            ctx.client.act_on_job(ctx.client.job(job["id"]), action)
            ctx.forget_catalog()
            st.rerun(scope="fragment")


def _retry(ctx: Context, job: Job) -> None:
    with st.popover("Do again", icon=":material/replay:", key=f"again-{job['id']}"):
        st.caption("Everything from this stage on is done again. Decisions of people are kept.")
        names = [s["stage"] for s in job["stages"]]
        stage = st.selectbox("From stage", names, key=f"from-{job['id']}")
        if st.button("Do again", type="primary", key=f"retry-{job['id']}") and stage:
            with ctx.guard():
                ctx.client.retry_stage(ctx.client.job(job["id"]), stage)
                ctx.forget_catalog()
                st.rerun(scope="fragment")
