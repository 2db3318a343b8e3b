"""Low-Confidence Queue: What is least sure and matters most, first."""

from review_ui.components.desk.page import review_page
from review_ui.context import Context


def render(ctx: Context) -> None:
    """Show it."""
    review_page(ctx, "doubts", "Low-Confidence Queue")
