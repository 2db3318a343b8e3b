"""Copies of all that a service knows, from which it can be set up again elsewhere."""
