"""The named faces of a show, and who a face is among them: open set, unknown stays unknown."""

from dataclasses import dataclass

import numpy as np

from screenalyzer.clustering.distances import cosine_to
from screenalyzer.types import Float32, Float64, Int64

_NEAREST = 5  # faces of a person that a probe is held against
_AT_ONCE = 512  # probes


@dataclass(frozen=True)
class Gallery:
    """Named faces.

    Attributes:
        names: the people, sorted.
        person: int64[k], index into names of each face.
        vectors: float32[k, d], unit length.
        episodes: how many episodes the faces of each name come from; empty where nobody asks.
    """

    names: tuple[str, ...]
    person: Int64
    vectors: Float32
    episodes: tuple[int, ...] = ()

    def distances(self, probes: Float32) -> Float64:
        """Distance of each probe [n, d] to each person: float64[n, p].

        The mean over the person's nearest faces (at most five): their other poses and ages do not count
        against them. A person without faces is infinitely far.
        """
        result = np.full((len(probes), len(self.names)), np.inf)
        own = [np.flatnonzero(self.person == p) for p in range(len(self.names))]
        vectors = self.vectors[np.concatenate([np.zeros(0, np.int64), *own])].astype(np.float64)
        ends = np.cumsum([len(rows) for rows in own])
        for start in range(0, len(probes), _AT_ONCE):
            block = slice(start, start + _AT_ONCE)
            faces = np.split(cosine_to(probes[block], vectors), ends[:-1], axis=1)
            for p, near in enumerate(faces):
                if near.shape[1]:
                    result[block, p] = np.sort(near, axis=1)[:, :_NEAREST].mean(axis=1)
        return result

    def faces_of(self, name: str) -> int:
        """Count of faces of a person; 0 for a stranger."""
        return int((self.person == self.names.index(name)).sum()) if name in self.names else 0
