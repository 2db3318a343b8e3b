"""The line-up: people found so surely that a few of their faces are enough to confirm them all at once.

Every track must surely belong to the rest, and the rest must surely be whom the facebank knows: a stranger
may be grouped without a doubt and yet bear somebody else's name. The more episodes have confirmed somebody,
the fewer faces are shown.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from screenalyzer.review.likeness import Likeness
from screenalyzer.review.model import Base

SURE: Final = 0.99  # beyond it, a track or a name needs no look of its own
_MOST, _LEAST = 4, 2


def looks(least_sure: float, known_from: int) -> int:
    """How many of a person's faces to show, those that fit least; 0 where the whole wall needs a look.

    Args:
        least_sure: 0..1, of their name and of their least sure track, the lesser.
        known_from: episodes that the facebank knows them from; 0 for nobody it knows.
    """
    return max(_LEAST, _MOST + 1 - known_from) if known_from and least_sure >= SURE else 0


def sureness_of_name(name: str, pieces: Iterable[str], base: Base, like: Likeness) -> float:
    """Probability that pieces show whom the gallery knows by a name; 1 where it keeps no face of theirs."""
    if base.gallery is None or name not in base.gallery.names:
        return 1.0
    rows = np.array([like.row_of[p] for p in pieces], dtype=np.int64)
    away = like.to_kept(rows)[:, base.gallery.names.index(name)]
    mean = np.asarray(np.average(away, weights=like.weight[rows]))
    return float(base.metric.probability(mean)) if np.isfinite(mean) else 1.0
