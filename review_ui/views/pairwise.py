"""Pairwise: Two faces: one person or two?"""

from review_ui.components.desk.page import review_page
from review_ui.context import Context


def render(ctx: Context) -> None:
    """Show it."""
    review_page(ctx, "pairs", "Pairwise")
