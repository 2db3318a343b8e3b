"""Small parts that many pages show: times in words, empty states, errors that say what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from zoneinfo import ZoneInfo

import streamlit as st

from review_ui.wire import ServiceError


def clock(ms: float) -> str:
    """A time or length as `0:07`, `12:34`, `1:02:03`."""
    seconds = round(ms / 1000)
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    hours, minutes = divmod(seconds // 60, 60)
    tail = f"{minutes:02d}:{seconds % 60:02d}" if hours else f"{minutes}:{seconds % 60:02d}"
    return f"{sign}{hours}:{tail}" if hours else sign + tail


def exact_clock(ms: float) -> str:
    """A time with tenths of a second, as `12:34.5`."""
    tenths = round(ms / 100)
    return f"{clock(tenths // 10 * 1000)}.{tenths % 10}"


def span_of_time(seconds: float) -> str:
    """A length of waiting in words, as `40 s`, `12 min`, `2 h 05 min`."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def ago(moment: str) -> str:
    """How long a moment of the service is past, in words."""
    then = datetime.fromisoformat(moment)
    seconds = (datetime.now(UTC) - then).total_seconds()
    if seconds < 45:
        return "just now"
    if seconds < 36 * 3600:
        return f"{span_of_time(seconds)} ago"
    return then.strftime("%d %b %Y")


def title(text: str, about: str = "") -> None:
    """The head of a page."""
    st.title(text, anchor=False)
    if about:
        st.caption(plain(about))


def empty(what: str, to_do: str, icon: str = ":material/info:") -> None:
    """An empty state: what is missing, and what to do about it."""
    with st.container(border=True, key=f"empty-{abs(hash(what))}"):
        st.markdown(f"{icon} **{plain(what)}**")
        st.markdown(plain(to_do))


def problem(e: ServiceError) -> None:
    """An error: what happened, what to do, and where for whoever wants to know."""
    text = f"**{plain(e.what)}**"
    if e.to_do and e.to_do not in e.what:
        text += f"\n\n{plain(e.to_do)}"
    for wrong in e.errors[:5]:
        text += f"\n- {plain('.'.join(str(p) for p in wrong['where']))}: {plain(str(wrong['what']))}"
    st.error(text, icon=":material/error:")
    st.caption(f"{e.where} answered {e.status or 'nothing'} ({e.code}).")


@dataclass(frozen=True)
class Link:
    """A cell that is a link to somewhere else, or to a file."""

    text: str
    url: str


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        head: what it is.
        figures: whether it holds figures, which stand at the right.
    """

    head: str
    figures: bool = False


def table(name: str, columns: Sequence[Column], rows: Sequence[Sequence[str | Link]]) -> None:
    """A table that screen readers can read; `name` says of what."""
    kinds = [' class="figures"' if c.figures else "" for c in columns]
    head = "".join(f'<th scope="col"{k}>{escape(c.head)}</th>' for c, k in zip(columns, kinds, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{_cell(v)}</td>' for v, k in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    called = f'aria-label="{escape(name)}"'
    st.html(
        f'<div class="table" tabindex="0" role="region" {called}><table {called}>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(value: str | Link) -> str:
    if isinstance(value, Link):
        return f'<a href="{escape(value.url)}" download>{escape(value.text)}</a>'
    return escape(value)


def moment(text: str) -> str:
    """A moment of the service in the browser's own time, to the minute."""
    zone = st.context.timezone
    then = datetime.fromisoformat(text)
    then = then.astimezone(ZoneInfo(zone)) if zone else then
    return then.strftime("%d %b %Y, %H:%M")


def plain(text: str) -> str:
    """A text as Markdown that shows it as it is."""
    found = "".join(f"\\{c}" if c in r"\`*_{}[]<>()#+-!|~$:" else c for c in text)
    return " ".join(found.split())
