"""A season with known answers, drawn from synthetic people, to try the whole program on."""

from screenalyzer.demo.cast import CAST, HARD_CAST, NAMES, portraits
from screenalyzer.demo.season import DemoEpisode, DemoFormat, build_season

__all__ = ["CAST", "HARD_CAST", "NAMES", "DemoEpisode", "DemoFormat", "build_season", "portraits"]
