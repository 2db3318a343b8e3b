"""The charts of an episode and of a season, drawn by the browser. Nothing is told by colour alone."""

from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from review_ui.answers import Interval, Total
from review_ui.palette import SOURCES, ink, line, people, ramp
from review_ui.parts import clock, exact_clock

Spec = dict[str, Any]  # of Vega-Lite
Rows = list[dict[str, Any]]

# Vega's words for a clock, of milliseconds.
_CLOCK: Final = (
    "floor(datum.value / 60000) + ':' + pad('' + floor((datum.value % 60000) / 1000), 2, '0', 'left')"
)
_ROW_PX: Final = 30
_FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"


@dataclass(frozen=True)
class Stretch:
    """What of an episode a timeline shows: its first frame's time and its length, in milliseconds."""

    start_ms: int
    duration_ms: int

    @property
    def scale(self) -> alt.Scale:
        """Of the axis, which begins with the first frame."""
        return alt.Scale(domain=[0, self.duration_ms], nice=False)


def timeline(
    intervals: list[Interval], totals: list[Total], cuts_ms: list[int], stretch: Stretch, dark: bool
) -> Spec:
    """Everybody's intervals over the scenes; who is on screen longest is at the top."""
    names = [t["person"] for t in totals]
    scenes = (
        alt.Chart(alt.NamedData("scenes"))
        .mark_rule(color=line(dark), strokeWidth=1)
        .encode(x=alt.X("cut:Q", scale=stretch.scale))
    )
    both = alt.layer(scenes, _bars(names, stretch, dark)).properties(
        height=alt.Step(_ROW_PX), width="container"
    )
    cuts = [{"cut": c - stretch.start_ms} for c in cuts_ms]
    return _dressed(both, dark, {"scenes": cuts, "bars": [_bar(i, stretch.start_ms) for i in intervals]})


def _bar(i: Interval, start_ms: int) -> dict[str, Any]:
    begin, end = i["start_ms"] - start_ms, i["end_ms"] - start_ms
    return {
        "person": i["person"],
        "from": begin,
        "to": end,
        "source": SOURCES.get(i["source"], i["source"]),
        "span": f"{exact_clock(begin)} – {exact_clock(end)}",
        "length": f"{(end - begin) / 1000:.1f} s",
        "sure": f"{i['confidence']:.0%}",
    }


def _bars(names: list[str], stretch: Stretch, dark: bool) -> alt.Chart:
    colours = people(names, dark)
    by_person = alt.Scale(domain=names, range=[colours[n] for n in names])
    sources = list(SOURCES.values())
    axis = alt.Axis(labelExpr=_CLOCK, grid=False, orient="top", tickCount=10)
    rows = alt.Axis(labelLimit=220, ticks=False, domain=False)
    drawn: alt.Chart = (
        alt.Chart(alt.NamedData("bars"))
        .mark_bar(cornerRadius=2, height=_ROW_PX * 0.55)
        .encode(
            x=alt.X("from:Q", title=None, scale=stretch.scale, axis=axis),
            x2="to:Q",
            y=alt.Y("person:N", sort=names, title=None, axis=rows),
            color=alt.Color("person:N", legend=None, scale=by_person),
            stroke=alt.Stroke("person:N", legend=None, scale=by_person),
            fillOpacity=alt.FillOpacity(
                "source:O",
                sort=sources,
                scale=alt.Scale(domain=sources, range=[0.45, 0.95, 0.15]),
                legend=None,
            ),
            strokeDash=alt.StrokeDash(
                "source:N", scale=alt.Scale(domain=sources, range=[[1, 0], [1, 0], [4, 2]]), legend=None
            ),
            tooltip=[
                alt.Tooltip("person:N", title="Person"),
                alt.Tooltip("span:N", title="On screen"),
                alt.Tooltip("length:N", title="Length"),
                alt.Tooltip("source:N", title="How"),
                alt.Tooltip("sure:N", title="Confidence"),
            ],
        )
        .add_params(alt.selection_interval(bind="scales", encodings=["x"]))
    )
    return drawn


def together(names: list[str], ms: list[list[int]], dark: bool) -> Spec:
    """How long each two are on screen at the same time; on the diagonal, how long each one is."""
    cells = [_square(a, b, ms[i][j]) for i, a in enumerate(names) for j, b in enumerate(names)]
    return _matrix(cells, (names, names), ("Person", "Together with"), dark)


def season(names: list[str], episodes: list[str], ms: list[list[int]], dark: bool) -> Spec:
    """Everybody's screen time in every episode; `ms` by person, then episode."""
    cells = [_square(a, b, ms[i][j]) for i, a in enumerate(names) for j, b in enumerate(episodes)]
    return _matrix(cells, (names, episodes), ("Person", "Episode"), dark)


def _square(row: str, column: str, ms: int) -> dict[str, Any]:
    return {"row": row, "column": column, "ms": ms, "time": clock(ms) if ms else "·"}


def _matrix(cells: Rows, names: tuple[list[str], list[str]], titles: tuple[str, str], dark: bool) -> Spec:
    most = max((int(c["ms"]) for c in cells), default=1) or 1
    left = alt.Axis(labelLimit=200, ticks=False, domain=False)
    above = alt.Axis(labelLimit=140, labelAngle=-40, orient="top", ticks=False, domain=False)
    base = alt.Chart(alt.NamedData("cells")).encode(
        y=alt.Y("row:N", sort=names[0], title=None, axis=left),
        x=alt.X("column:N", sort=names[1], title=None, axis=above),
        tooltip=[
            alt.Tooltip("row:N", title=titles[0]),
            alt.Tooltip("column:N", title=titles[1]),
            alt.Tooltip("time:N", title="Time"),
        ],
    )
    scale = alt.Scale(domain=[0, most / 2, most], range=ramp(dark))
    squares = base.mark_rect(cornerRadius=2, stroke=line(dark), strokeWidth=0.5).encode(
        color=alt.Color("ms:Q", scale=scale, legend=None)
    )
    on_strong = alt.value("#12141b" if dark else "#ffffff")
    words = base.mark_text(fontSize=12).encode(
        text="time:N", color=alt.condition(alt.datum.ms > most * 0.6, on_strong, alt.value(ink(dark)))
    )
    both = alt.layer(squares, words).properties(height=alt.Step(34), width=alt.Step(76))
    return _dressed(both, dark, {"cells": cells}, right_px=80)  # the last column's name stands aslant


def _dressed(
    chart: alt.LayerChart | alt.FacetChart, dark: bool, data: dict[str, Rows], right_px: int = 4
) -> Spec:
    """The chart as it is sent; Altair checks none of its rows, as that takes longest."""
    dressed = (
        chart.configure(
            background="transparent",
            font=_FONT,
            padding={"left": 4, "top": 4, "right": right_px, "bottom": 4},
        )
        .configure_axis(labelColor=ink(dark), labelFontSize=13, tickColor=line(dark), domainColor=line(dark))
        .configure_view(stroke=None)
    )
    return {**dressed.to_dict(validate=False), "datasets": data}
