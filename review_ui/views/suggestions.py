"""Merge Suggestions: Groups that may be one person, by the screen time at stake."""

from review_ui.components.desk.page import review_page
from review_ui.context import Context


def render(ctx: Context) -> None:
    """Show it."""
    review_page(ctx, "merges", "Merge Suggestions")
