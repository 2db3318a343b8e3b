"""What lies on the disk, and what is kept how long."""

from typing import Final

import streamlit as st

from review_ui.context import Context
from review_ui.parts import Column, ago, size, table

_STORED: Final = (
    Column("Kind"),
    Column("Size", figures=True),
    Column("Share", figures=True),
    Column("Files", figures=True),
)
_KEPT: Final = (Column("What"), Column("Kept for", figures=True), Column("Setting"))
_KINDS: Final = {
    "videos": "Videos", "uploads": "Unfinished uploads", "manifests": "Manifests", "crops": "Face crops",
    "chunks": "Checkpoints of the inference", "results": "Results", "exports": "Exports and pictures",
    "facebank": "Facebanks", "database": "Database", "logs": "Logs", "other": "Other",
}  # fmt: skip
_RETENTION: Final = {
    "videos_days": "Videos", "chunks_days": "Checkpoints of the inference", "crops_days": "Face crops",
    "exports_days": "Exports and pictures", "events_days": "Events of finished jobs",
    "logs_days": "Logs of libraries",
}  # fmt: skip


def render_storage(ctx: Context) -> None:
    """Bytes by kind of artifact, and what is free."""
    found = ctx.client.storage()
    with st.container(horizontal=True, key="disk"):
        st.metric("Used by the service", size(found["used_bytes"]), border=True)
        st.metric("Free", size(found["free_bytes"]), border=True)
        st.metric("Kept free from uploads", size(found["keep_free_bytes"]), border=True)
    if found["free_bytes"] <= found["keep_free_bytes"]:
        st.error(
            "**The disk is full: uploads are refused.** Delete what is not needed.", icon=":material/error:"
        )
    whole = max(1, found["used_bytes"])
    rows = [
        (_KINDS.get(k["kind"], k["kind"]), size(k["bytes"]), f"{k['bytes'] / whole:.0%}", str(k["files"]))
        for k in found["kinds"]
    ]
    table("Storage", _STORED, rows)
    st.caption(f"Measured {ago(found['measured_at'])}; measured again after a minute.")


def render_retention(ctx: Context) -> None:
    """Times to live by kind of artifact."""
    kept = ctx.client.settings()["retention"]
    rows = [
        (words, _days(kept[name]), f"SCREENALYZER_RETENTION__{name.upper()}")
        for name, words in _RETENTION.items()
        if name in kept
    ]
    table("Retention", _KEPT, rows)
    st.caption(
        "These are settings of the service, read when it starts. What is older is removed "
        f"every {kept['sweep_minutes']:g} minutes; results and decisions are never touched."
    )


def _days(days: float | None) -> str:
    return "as long as the episode" if days is None else f"{days:g} days"
