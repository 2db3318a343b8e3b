"""All Faces: Everybody who was found: name, check and correct them."""

from review_ui.components.desk.page import review_page
from review_ui.context import Context


def render(ctx: Context) -> None:
    """Show it."""
    review_page(ctx, "faces", "All Faces")
