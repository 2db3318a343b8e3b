"""Analytics: who is on screen when, for how long, with whom; of an episode and of its show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from review_ui import charts
from review_ui.answers import Episode, Totals
from review_ui.context import Context
from review_ui.palette import SOURCES
from review_ui.parts import Column, clock, empty, exact_clock, plain, table, title
from review_ui.state import section

_FIGURES: Final = ("Screen time", "Seconds", "Of the episode", "Appearances", "First", "Last")
_COLUMNS: Final = (Column("Person"), *(Column(f, figures=True) for f in _FIGURES))
_SEASON: Final = (Column("Person"), Column("All episodes", figures=True), Column("Seconds", figures=True))
_UNNAMED: Final = (Column("Episode"), Column("People", figures=True), Column("Screen time", figures=True))
_LEGEND: Final = "".join(
    f'<span class="source"><i data-source="{name}"></i>{words}</span>' for name, words in SOURCES.items()
)


@dataclass
class _Seen:
    """Which revision the page shows."""

    episode_id: str = ""
    revision: int = 0


def render(ctx: Context) -> None:
    """Show it."""
    episode = ctx.need_episode()
    title("Analytics", f"{episode['title']}, as of the last edit.")
    _note_revision(ctx, episode)
    part = st.segmented_control(
        "View",
        list(_PARTS),
        default="Timeline",
        required=True,
        label_visibility="collapsed",
        key="analytics-part",
    )
    _PARTS[part](ctx, episode)
    _follow(ctx, episode["id"])


def _note_revision(ctx: Context, episode: Episode) -> None:
    seen = section(_Seen)
    newest, _ = ctx.client.edits(episode["id"], limit=1)
    seen.episode_id, seen.revision = episode["id"], newest[0]["number"] if newest else 0


@st.fragment(run_every=2.0)
def _follow(ctx: Context, episode_id: str) -> None:
    """Show the page anew once somebody has edited."""
    seen = section(_Seen)
    with ctx.guard():
        if (
            seen.episode_id == episode_id
            and ctx.client.changes(episode_id, seen.revision)["revision"] > seen.revision
        ):
            st.rerun(scope="app")


def _timeline(ctx: Context, episode: Episode) -> None:
    totals, line = ctx.client.totals(episode["id"]), ctx.client.timeline(episode["id"])
    _head(totals)
    if not totals["items"]:
        _nobody()
        return
    cuts = ctx.client.cuts(episode["id"])
    stretch = charts.Stretch(line["start_ms"], line["duration_ms"])
    chart = charts.timeline(line["items"], totals["items"], cuts, stretch, ctx.dark)
    st.vega_lite_chart(chart, width="stretch", theme=None)
    st.html(_LEGEND)
    st.caption(
        "Thin lines are cuts between scenes. Scroll over the chart to look closer, drag to move, "
        f"double-click to see all of it again. {_rules(totals)}"
    )


def _totals(ctx: Context, episode: Episode) -> None:
    found = ctx.client.totals(episode["id"])
    _head(found)
    if not found["items"]:
        _nobody()
        return
    start = found["start_ms"]
    rows = [
        (
            t["person"], clock(t["total_ms"]), f"{t['total_ms'] / 1000:.3f}", f"{t['percent']:.2f} %",
            str(t["appearances"]), exact_clock(t["first_ms"] - start), exact_clock(t["last_ms"] - start),
        )
        for t in found["items"]
    ]  # fmt: skip
    table("Screen time", _COLUMNS, rows)
    st.caption(_rules(found))


def _together(ctx: Context, episode: Episode) -> None:
    found = ctx.client.coappearance(episode["id"])
    if len(found["people"]) < 2:
        empty("Fewer than two people are on screen.", "Name people on the page All Faces.")
        return
    st.markdown("How long each two are on screen at the same time, in minutes and seconds.")
    st.vega_lite_chart(charts.together(found["people"], found["ms"], ctx.dark), width="content", theme=None)
    if found["left_out"]:
        st.caption(f"{found['left_out']} more people, who are on screen least, are left out.")


def _season(ctx: Context, episode: Episode) -> None:
    found = ctx.client.show_totals(episode["show_id"])
    episodes, people = found["episodes"], found["people"]
    unnamed = [e for e in episodes if e["unnamed"]]
    if people:
        st.markdown("Screen time of everybody who has a name, in every episode, in minutes and seconds.")
        titles = [e["title"] for e in episodes]
        chart = charts.season([p["person"] for p in people], titles, [p["ms"] for p in people], ctx.dark)
        st.vega_lite_chart(chart, width="content", theme=None)
        rows = [(p["person"], clock(p["total_ms"]), f"{p['total_ms'] / 1000:.3f}") for p in people]
        table("Screen time in the season", _SEASON, rows)
    else:
        empty(
            "Nobody of this show has a name yet.", "Name people on the page All Faces.", ":material/person:"
        )
    if unnamed:
        st.header("Still without a name", anchor=False)
        left = [(e["title"], str(e["unnamed"]), clock(e["unnamed_ms"])) for e in unnamed]
        table("People without a name", _UNNAMED, left)
    if found["waiting"]:
        waiting = ", ".join(plain(w["title"]) for w in found["waiting"])
        st.caption(f"Without results yet: {waiting}.")


def _pictures(ctx: Context, episode: Episode) -> None:
    theme = "dark" if ctx.dark else "light"
    picture = ctx.client.plot(episode["id"], "svg", theme)
    st.image(picture.decode(), width="stretch")
    with st.container(horizontal=True):
        name = f"{episode['name']}-timeline"
        st.download_button("SVG", picture, f"{name}.svg", "image/svg+xml", icon=":material/download:")
        png = ctx.client.plot(episode["id"], "png", "light")
        st.download_button("PNG", png, f"{name}.png", "image/png", icon=":material/download:")


def _head(totals: Totals) -> None:
    named = [t for t in totals["items"] if not t["person"].startswith("Person ")]
    with st.container(horizontal=True, key="figures"):
        st.metric("People", len(totals["items"]), border=True)
        st.metric("With a name", len(named), border=True)
        st.metric("Screen time of all", clock(sum(t["total_ms"] for t in totals["items"])), border=True)
        st.metric("Length of the episode", clock(totals["duration_ms"]), border=True)


def _rules(totals: Totals) -> str:
    text = totals["rules_text"]
    return f"{plain(text[:1].upper() + text[1:])}\\."


def _nobody() -> None:
    empty(
        "Nobody is on screen.",
        "If somebody should be, add them on the page Manual Add.",
        ":material/person_off:",
    )


_PARTS: Final[dict[str, Callable[[Context, Episode], None]]] = {
    "Timeline": _timeline,
    "Totals": _totals,
    "Together": _together,
    "Season": _season,
    "Pictures": _pictures,
}
