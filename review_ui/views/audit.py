"""Audit: what was edited by whom, whether the log is whole, and a sample of what nobody has looked at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import streamlit as st

from review_ui.answers import Episode, LoggedEdit
from review_ui.answers_service import AuditLine
from review_ui.context import Context
from review_ui.parts import Column, empty, moment, plain, table, title
from review_ui.state import section
from review_ui.views import audit_sample

_EDITS: Final = (Column("No.", figures=True), Column("When"), Column("Who"), Column("What"))
_LINES: Final = (Column("No.", figures=True), Column("When"), Column("Who"), Column("What"), Column("Facts"))
_DIGEST: Final = 64
_DID: Final = {"edit": "", "undo": "Undone: ", "redo": "Done again: "}


@dataclass
class _Shown:
    """How far the tab has read, by what it reads; cursors of the pages before."""

    cursors: dict[str, list[str]] = field(default_factory=dict)


def render(ctx: Context) -> None:
    """Show it."""
    episode = ctx.need_episode()
    title("Audit", f"{episode['title']}: every edit is kept, with who made it.")
    part = st.segmented_control(
        "View", list(_PARTS), default="Edits", required=True, label_visibility="collapsed", key="audit-part"
    )
    _PARTS[part](ctx, episode)


def _edits(ctx: Context, episode: Episode) -> None:
    cursor = _cursor(f"edits {episode['id']}")
    found, more = ctx.client.edits(episode["id"], limit=100, cursor=cursor)
    if not found:
        empty(
            "Nobody has edited this episode yet.", "Name people on the page All Faces.", ":material/history:"
        )
        return
    table("Edits", _EDITS, [_edit(e) for e in found])
    _pager(f"edits {episode['id']}", more)


def _edit(entry: LoggedEdit) -> tuple[str, str, str, str]:
    what = f"{_DID[entry['kind']]}{entry['label']}"
    about = f" (no. {entry['of']})" if entry["of"] else ""
    return str(entry["number"]), moment(entry["at"]), entry["actor"], what + about


def _log(ctx: Context, episode: Episode) -> None:
    key = f"log {episode['id']}"
    found = ctx.client.audit(episode["id"], cursor=_cursor(key))
    verdict = found["verdict"]
    if verdict["kind"] == "torn":
        st.info(f"The last line is being written. {plain(verdict['detail'])}", icon=":material/edit:")
    elif verdict["whole"]:
        st.success(
            f"The chain holds. Lines: {verdict['lines']}, each bound to the one before it.",
            icon=":material/verified:",
        )
    else:
        st.error(f"**The log was changed.** {plain(verdict['detail'])}", icon=":material/gpp_bad:")
    if not found["items"]:
        empty("The log is empty.", "It is written when the episode is processed and edited.")
        return
    table("Audit log", _LINES, [_line(x) for x in found["items"]])
    _pager(key, found["next"])


def _line(line: AuditLine) -> tuple[str, str, str, str, str]:
    facts = ", ".join(f"{k}: {_short(str(v))}" for k, v in line["details"].items())
    return str(line["n"]), moment(line["at"]), line["actor"], line["action"], facts


def _short(value: str) -> str:
    """A digest by its beginning; anything else whole."""
    return f"{value[:10]}…" if len(value) == _DIGEST and value.isalnum() else value


def _cursor(key: str) -> str | None:
    read = section(_Shown).cursors.get(key)
    return read[-1] if read else None


def _pager(key: str, more: str | None) -> None:
    read = section(_Shown).cursors.setdefault(key, [])
    with st.container(horizontal=True):
        if read and st.button("Newer", icon=":material/arrow_back:", key=f"newer {key}"):
            read.pop()
            st.rerun()
        if more and st.button("Older", icon=":material/arrow_forward:", key=f"older {key}"):
            read.append(more)
            st.rerun()


_PARTS: Final[dict[str, Callable[[Context, Episode], None]]] = {
    "Edits": _edits,
    "Sample": audit_sample.render,
    "Log": _log,
}
