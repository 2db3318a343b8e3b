"""Manual Add: who is on screen though not found, or is not though found; frame by frame."""

from review_ui.components.desk.page import review_page
from review_ui.context import Context


def render(ctx: Context) -> None:
    """Show it."""
    review_page(ctx, "manual", "Manual Add")
