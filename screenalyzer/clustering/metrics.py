"""How well a grouping of faces agrees with the truth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from screenalyzer.types import Float64, Int64


class BCubed(NamedTuple):
    """Precision, recall and their harmonic mean, each 0..1."""

    precision: float
    recall: float
    f1: float


def _codes(labels: ArrayLike) -> Int64:
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64).ravel()


def _contingency(
    true: ArrayLike, found: ArrayLike, weights: ArrayLike | None
) -> tuple[Int64, Int64, Float64, Float64]:
    t, f = _codes(true), _codes(found)
    if len(t) != len(f):
        raise ValueError(f"{len(t)} true labels and {len(f)} found labels: there must be one each an item")
    w = np.ones(len(t)) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(w) != len(t) or (w < 0).any():
        raise ValueError("weights must be one an item and not negative")
    table = np.zeros((t.max(initial=-1) + 1, f.max(initial=-1) + 1))
    np.add.at(table, (t, f), w)
    return t, f, w, table


def bcubed(true: ArrayLike, found: ArrayLike, weights: ArrayLike | None = None) -> BCubed:
    """B-cubed precision, recall and F1 (Bagga and Baldwin 1998), of items that may weigh differently.

    Args:
        true: label[n], who each item is.
        found: label[n], the group each item was put in.
        weights: float[n], for example seconds of each track; equal where not given.

    Returns:
        All ones for no items.

    Raises:
        ValueError: lengths differ, or a weight is negative.
    """
    t, f, w, table = _contingency(true, found, weights)
    total = w.sum()
    if total == 0:
        return BCubed(1.0, 1.0, 1.0)
    both = table[t, f]
    rows, columns = table.sum(axis=1)[t], table.sum(axis=0)[f]
    precision = float((w * np.divide(both, columns, out=np.zeros_like(w), where=columns > 0)).sum() / total)
    recall = float((w * np.divide(both, rows, out=np.zeros_like(w), where=rows > 0)).sum() / total)
    return BCubed(precision, recall, 2 * precision * recall / (precision + recall))


def wcp(true: ArrayLike, found: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted clustering purity: the share of weight that lies in its group's most frequent label, 0..1.

    Raises:
        ValueError: lengths differ, or a weight is negative.
    """
    _, _, w, table = _contingency(true, found, weights)
    total = w.sum()
    return float(table.max(axis=0).sum() / total) if total else 1.0
