"""Erasing a person or an episode from the artifacts, and finding what is left of them."""
