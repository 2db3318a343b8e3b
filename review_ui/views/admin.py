"""Admin: users, what is kept how long, what lies on the disk, and deleting for good."""

from collections.abc import Callable
from typing import Final

import streamlit as st

from review_ui.context import Context
from review_ui.parts import title
from review_ui.views import admin_delete, admin_storage, admin_users

_PARTS: Final[dict[str, Callable[[Context], None]]] = {
    "Users": admin_users.render,
    "Retention": admin_storage.render_retention,
    "Storage": admin_storage.render_storage,
    "Delete": admin_delete.render,
}


def render(ctx: Context) -> None:
    """Show it."""
    title("Admin", "Users, and what the service keeps.")
    part = st.segmented_control(
        "Part", list(_PARTS), default="Users", required=True, label_visibility="collapsed", key="admin-part"
    )
    _PARTS[part](ctx)
