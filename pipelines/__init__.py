"""Stages over the domain, and the wiring that lays them on a Ray cluster."""
