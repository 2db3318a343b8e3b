"""Paths of faces, thinned out to the boxes between which they move straight. Many at once."""

from functools import lru_cache
from typing import Final

import numpy as np

from screenalyzer.tracking.geometry import aligned_overlap, boxes_at
from screenalyzer.types import Bool, Float64, Int64

_MOST_SAMPLES: Final = 200
_FEWEST_SAMPLES: Final = 8
_TRUE_TO: Final = 0.9  # intersection over union that the path keeps with every box that was left out of it


def thinned(ts_ms: Int64, boxes: Float64, count: Int64) -> Bool:
    """Which boxes to keep so that the straight way between them stays true to all: bool[n].

    The worst one is added until none is bad, beginning with the ends and some between (after Douglas and
    Peucker 1973, with the overlap of boxes for the distance). A path does not depend on the others.

    Args:
        ts_ms: int64[n], times of one path after another, each ascending.
        boxes: float64[n, 4].
        count: int64[paths], boxes of each; at least one.
    """
    owner = np.repeat(np.arange(len(count)), count)
    starts = np.cumsum(count) - count
    kept = np.zeros(len(ts_ms), dtype=bool)
    kept[
        np.concatenate(
            [start + _first_kept(n) for start, n in zip(starts.tolist(), count.tolist(), strict=True)]
        )
    ] = True
    # Times of different paths never meet: so one line through all kept boxes is a line a path.
    apart = int(ts_ms.max() - ts_ms.min()) + 1
    times = ts_ms - ts_ms.min() + owner * apart
    open_ = np.ones(len(count), dtype=bool)
    while True:
        rows = np.flatnonzero(open_[owner])
        if not len(rows):
            return kept
        bad, overlap = _worst(times[rows], boxes[rows], kept[rows])
        whose = owner[rows[bad]]
        order = np.lexsort((bad, overlap, whose))
        bad, whose = bad[order], whose[order]
        rank = np.arange(len(whose)) - np.searchsorted(whose, whose)
        room = _MOST_SAMPLES - np.bincount(owner[kept], minlength=len(count))
        chosen = rank < room[whose]
        open_[:] = False
        open_[whose[chosen]] = True
        kept[rows[bad[chosen]]] = True


def _worst(times: Int64, boxes: Float64, kept: Bool) -> tuple[Int64, Float64]:
    """Of each stretch between kept boxes the one that the straight way is worst for, where that is bad.

    Returns:
        Their positions int64[k], and the overlap of each float64[k].
    """
    knots = np.flatnonzero(kept)
    overlap = aligned_overlap(boxes, boxes_at(times, times[knots], boxes[knots]))
    overlap[knots] = 1.0
    least = np.minimum.reduceat(overlap, knots)
    stretch = np.cumsum(kept) - 1
    found = np.flatnonzero((overlap == least[stretch]) & (least[stretch] < _TRUE_TO))
    first = found[np.unique(stretch[found], return_index=True)[1]]
    return first, overlap[first]


@lru_cache(maxsize=1024)
def _first_kept(n: int) -> Int64:
    spread = np.linspace(0, n - 1, min(n, _FEWEST_SAMPLES)).round().astype(np.int64)
    return np.asarray(np.unique(spread), dtype=np.int64)
