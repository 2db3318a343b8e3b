"""How alike pieces and groups are, kept up to date as pieces move, exactly.

Everything is summed in integers: distances in steps of 1e-4, weights in steps of 1/64. So a sum is the same
in whatever order pieces came and went, and what was kept up to date equals what is worked out afresh.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from screenalyzer.clustering.distances import cosine_to
from screenalyzer.clustering.gallery import Gallery
from screenalyzer.clustering.links import co_visible
from screenalyzer.clustering.templates import build_templates
from screenalyzer.review.pieces import Piece
from screenalyzer.types import Bool, Float32, Float64, Int64, Observations, Track

STEPS = 10_000  # of distance, in one
_WEIGHTS = 64  # steps of weight in one
_GRAIN = 1 << 20  # vectors are rounded to such steps: products of two of them are then exact
_BLOCK = 512
_SPARE = 256  # rows of pieces that are gone, before they are cleared away

_T = TypeVar("_T", bound=np.generic)
_Moves = list[tuple[int, str | None, str | None]]


def rounded(vectors: Float32 | Float64) -> Float32:
    """Vectors in steps so coarse that products of float64 lose nothing, in whatever order they are summed."""
    return (np.rint(vectors.astype(np.float64) * _GRAIN) / _GRAIN).astype(np.float32)


class Likeness:
    """Distances of pieces, and sums of them by group. Rows are pieces, slots are groups.

    Attributes:
        row_of: piece to row, of the current ones.
        slot_of: group to slot, of the current ones.
        weight: int64[rows], of each piece.
        quality: float64[rows], mean quality of the piece's good detections.
        best: int64[rows], row of the observations that stands for the piece.
        sums: int64[rows, slots], weighted sum of the distances of a piece to a group's pieces.
        seen_with: int32[rows, slots], how many of a group's pieces are ever seen in one frame with the piece.
        between: int64[slots, slots], sums over all pairs of pieces of two groups.
        met: int64[slots, slots], how many pairs of pieces of two groups are ever seen in one frame.
        mass: int64[slots], weight of a group's pieces.
    """

    def __init__(self, obs: Observations, gallery: Gallery | None, pieces: Sequence[Piece]) -> None:
        """Measure whole tracks.

        Args:
            obs: all faces.
            gallery: kept faces of the show's people, by the same embedder.
            pieces: every track as one piece.
        """
        self._obs, self._whole = obs, list(pieces)
        self._gallery = gallery
        if gallery is not None:
            self._gallery = Gallery(gallery.names, gallery.person, rounded(gallery.vectors))
        self._start()

    def _start(self) -> None:
        tracks = [p.track for p in self._whole]
        n, room = len(tracks), len(tracks) + 16
        self._used = 0
        self._pieces: list[Piece] = []
        self._row: dict[Piece, int] = {}
        self._place: dict[int, str] = {}
        dim = self._obs.embeddings.shape[1]
        names = len(self._gallery.names) if self._gallery else 0
        self._vectors = np.zeros((room, dim), np.float32)
        self._distance: NDArray[np.uint16] = np.zeros((room, room), np.uint16)
        self._together: Bool = np.zeros((room, room), bool)
        self._to_kept = np.full((room, names), np.inf)
        self.weight, self.quality = np.zeros(room, np.int64), np.zeros(room)
        self.best = np.zeros(room, np.int64)
        self.row_of: dict[str, int] = {}
        self.slot_of: dict[str, int] = {}
        self._members: list[set[int]] = []
        self._free: list[int] = []
        self.sums: Int64 = np.zeros((room, 0), np.int64)
        self.seen_with: NDArray[np.int32] = np.zeros((room, 0), np.int32)
        self.between: Int64 = np.zeros((0, 0), np.int64)
        self.met: Int64 = np.zeros((0, 0), np.int64)
        self.mass: Int64 = np.zeros(0, np.int64)
        self._together[:n, :n] = co_visible(tracks, self._obs)
        self._track_row = np.arange(room)
        self._pieces += self._whole
        self._add(self._whole, tracks)

    def place(self, group_of: Mapping[Piece, str]) -> None:
        """Bring everything to where each current piece is now."""
        if self._used > 2 * len(group_of) + len(self._whole) + _SPARE:
            self._start()
        fresh = [p for p in group_of if p not in self._row]
        if fresh:
            self._grow_rows(len(fresh))
            self._add_parts(fresh)
        target = {self._row[p]: g for p, g in group_of.items()}
        moves: _Moves = [(r, g, target.get(r)) for r, g in self._place.items() if target.get(r) != g]
        moves += [(r, None, g) for r, g in target.items() if r not in self._place]
        self._place = target
        self.row_of = {p.piece_id: self._row[p] for p in group_of}
        if moves:
            self._move(moves)

    def distance(self, row: int, other: int) -> int:
        """Of two pieces, in steps."""
        return int(self._distance[row, other])

    def steps(self, row: int, others: Int64) -> NDArray[np.uint16]:
        """Of a piece to others, in steps: uint16[others]."""
        return np.asarray(self._distance[row, others], dtype=np.uint16)

    def to_kept(self, rows: Int64) -> Float64:
        """Of pieces to the kept faces of each name of the gallery: float64[rows, names], cosine."""
        return self._to_kept[rows]

    def vectors(self, rows: Int64) -> Float32:
        """Templates: float32[rows, d]."""
        return self._vectors[rows]

    def _move(self, moves: _Moves) -> None:
        came: dict[str, list[int]] = {}
        went: dict[str, list[int]] = {}
        for row, old, new in moves:
            if old is not None:
                went.setdefault(old, []).append(row)
            if new is not None:
                came.setdefault(new, []).append(row)
        touched = [*dict.fromkeys([*went, *came])]
        for g in touched:
            slot = self._slot(g)
            self._members[slot] -= set(went.get(g, ()))
            self._members[slot] |= set(came.get(g, ()))
            self._shift(slot, came.get(g, []), 1)
            self._shift(slot, went.get(g, []), -1)
        for g in touched:
            slot = self.slot_of[g]
            rows = np.array(sorted(self._members[slot]), dtype=np.int64)
            self.between[slot] = self.weight[rows] @ self.sums[rows]
            self.between[:, slot] = self.between[slot]
            self.met[slot] = self.seen_with[rows].sum(axis=0, dtype=np.int64)
            self.met[:, slot] = self.met[slot]
        for g in touched:
            if not self._members[self.slot_of[g]]:
                self._free.append(self.slot_of.pop(g))

    def _shift(self, slot: int, rows: list[int], sign: int) -> None:
        if not rows:
            return
        # Sums stay far below 2 ** 53, so products in float64, which are fast, are exact.
        weight = self.weight[rows].astype(np.float64)
        n = self._used
        sums = weight @ self._distance[rows, :n].astype(np.float64)
        self.sums[:n, slot] += sign * np.rint(sums).astype(np.int64)
        self.seen_with[:n, slot] += sign * self._together[rows, :n].sum(axis=0, dtype=np.int32)
        self.mass[slot] += sign * int(self.weight[rows].sum())

    def _slot(self, g: str) -> int:
        if g not in self.slot_of:
            if not self._free:
                self._grow_slots()
            self.slot_of[g] = self._free.pop()
        return self.slot_of[g]

    def _add_parts(self, fresh: list[Piece]) -> None:
        """Rows for pieces that are not whole tracks."""
        whole = {p.track_id: row for row, p in enumerate(self._whole)}
        for row, piece in enumerate(fresh, start=self._used):
            self._track_row[row] = whole[piece.track_id]
            self._pieces.append(piece)
            seen = self._obs.ts_ms[piece.members]
            # Only where their tracks are seen together can two pieces be.
            for other in np.flatnonzero(self._together[whole[piece.track_id], self._track_row[:row]]):
                times = self._obs.ts_ms[self._pieces[other].members]
                self._together[row, other] = self._together[other, row] = np.isin(times, seen).any()
        self._add(fresh, [_as_track(p) for p in fresh])

    def _add(self, pieces: Sequence[Piece], tracks: Sequence[Track]) -> None:
        """Fill the next rows, and what the groups that are there are to them."""
        n, k = self._used, self._used + len(pieces)
        if n == k:
            return
        templates = build_templates(tracks, self._obs)
        self._vectors[n:k] = rounded(templates.vectors)
        self.weight[n:k] = np.maximum(np.rint(templates.weight * _WEIGHTS).astype(np.int64), 1)
        self.quality[n:k], self.best[n:k] = templates.quality, templates.best
        if self._gallery is not None:
            self._to_kept[n:k] = self._gallery.distances(self._vectors[n:k])
        for start in range(n, k, _BLOCK):
            end = min(start + _BLOCK, k)
            steps = cosine_to(self._vectors[start:end], self._vectors[:end])
            steps *= STEPS
            self._distance[start:end, :end] = np.rint(steps, out=steps)
            self._distance[:start, start:end] = self._distance[start:end, :start].T
        self._distance[np.arange(n, k), np.arange(n, k)] = 0  # a piece with itself is no pair
        for row, piece in enumerate(pieces, start=n):
            self._row[piece] = row
        self._used = k
        self._sums_of(n, k)

    def _sums_of(self, n: int, k: int) -> None:
        """Sums of the rows n to k over the groups as they are."""
        for slot in self.slot_of.values():
            rows = sorted(self._members[slot])
            part = self._distance[n:k][:, rows].astype(np.float64) @ self.weight[rows].astype(np.float64)
            self.sums[n:k, slot] = np.rint(part).astype(np.int64)
            self.seen_with[n:k, slot] = self._together[n:k][:, rows].sum(axis=1)

    def _grow_rows(self, more: int) -> None:
        room = len(self.weight)
        if self._used + more <= room:
            return
        extra = max(room // 4, more)
        self._vectors = _padded(self._vectors, (extra, 0))
        self._distance = _padded(self._distance, (extra, extra))
        self._together = _padded(self._together, (extra, extra))
        self._to_kept = _padded(self._to_kept, (extra, 0))
        self.weight, self.quality = _padded(self.weight, (extra,)), _padded(self.quality, (extra,))
        self.best, self._track_row = _padded(self.best, (extra,)), _padded(self._track_row, (extra,))
        self.sums, self.seen_with = _padded(self.sums, (extra, 0)), _padded(self.seen_with, (extra, 0))

    def _grow_slots(self) -> None:
        count = len(self.mass)
        extra = max(count // 2, 64)
        self.sums, self.seen_with = _padded(self.sums, (0, extra)), _padded(self.seen_with, (0, extra))
        self.between, self.met = _padded(self.between, (extra, extra)), _padded(self.met, (extra, extra))
        self.mass = _padded(self.mass, (extra,))
        self._members += [set() for _ in range(extra)]
        self._free += range(count + extra - 1, count - 1, -1)


def _padded(array: NDArray[_T], extra: tuple[int, ...]) -> NDArray[_T]:
    return np.pad(array, [(0, e) for e in extra])


def _as_track(piece: Piece) -> Track:
    """A piece in the shape of a track, for what is measured of tracks."""
    t = piece.track
    return Track(
        piece.piece_id,
        t.scene_id,
        t.start_ms,
        t.end_ms,
        piece.members,
        t.stitch_score,
        t.mean_conf,
        t.partial,
    )
