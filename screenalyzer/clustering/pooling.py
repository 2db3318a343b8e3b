"""Means over groups of tracks, as products with sparse membership matrices."""

import numpy as np
from scipy.sparse import csr_array

from screenalyzer.types import Bool, Float64, Int64


def membership(group: Int64, count: int, weights: Float64 | None = None) -> csr_array:
    """One row a group, one column an item: sparse [count, n] of the items' weights, or ones."""
    values = np.ones(len(group)) if weights is None else weights
    return csr_array((values, (group, np.arange(len(group)))), shape=(count, len(group)))


def pooled(
    distances: Float64, weights: Float64, rows: Int64, columns: Int64, shape: tuple[int, int]
) -> Float64:
    """Weighted mean distance of every group of rows to every group of columns.

    The pair of an item with itself is not counted.

    Args:
        distances: float64[n, n], zeros on the diagonal.
        weights: float64[n], positive.
        rows: int64[n], group of each item.
        columns: int64[n], likewise, of another grouping or the same.
        shape: count of groups of either.

    Returns:
        float64[shape], NaN where there is no pair.
    """
    a, b = membership(rows, shape[0], weights), membership(columns, shape[1], weights)
    total = (b @ (a @ distances).T).T
    everyone = np.outer(a.sum(axis=1), b.sum(axis=1))
    pairs = everyone - (a @ b.T).toarray()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 1e-9 * everyone, total / pairs, np.nan)


def any_apart(apart: Bool, rows: Int64, columns: Int64, shape: tuple[int, int]) -> Bool:
    """Whether any pair of two groups is apart: bool[shape]; arguments as in `pooled`."""
    a, b = membership(rows, shape[0]), membership(columns, shape[1])
    return np.asarray((b @ (a @ apart.astype(np.float64)).T).T > 0)
