"""Arithmetic of vectors that everyone shares."""

import numpy as np

from screenalyzer.types import Float32, Float64


def unit(vectors: Float32 | Float64) -> Float32:
    """Scale rows to length one; a row of zeros stays zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return np.asarray(scaled, dtype=np.float32)
