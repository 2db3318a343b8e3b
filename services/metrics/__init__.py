"""Figures for whoever watches: counted when something happens, read from SQL and Redis at each scrape."""
