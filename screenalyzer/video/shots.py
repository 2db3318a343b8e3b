"""Find the cuts from what every frame's log says, the same however the video was chunked.

Method: a hard cut is one frame whose picture does not line up with the one before, in a neighbourhood whose
pictures do. Correlation after the best small shift ignores pans, shakes and changes of light, for which plain
differences need thresholds of their own; comparing with the third largest neighbour tolerates two more cuts
close by and no ongoing motion (the idea of PySceneDetect's AdaptiveDetector, with an order statistic for the
mean). Two jumps within the shortest shot, after which the first picture is back, are a flash.
"""

from collections import deque
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

from screenalyzer.settings import ShotSettings
from screenalyzer.types import Bool, Float64, Int32, Int64, Span, UInt8
from screenalyzer.video.features import Delta, delta

_REACH: Final = 6  # frames on either side that a jump is compared with
_RANK: Final = 3  # ... and the largest of them that counts
_ALIKE: Final = (
    0.5  # share of a jump's form by which the picture after a flash may differ from the one before
)


class JumpTest:
    """Decides at once whether a shot may begin here; never misses one that `scenes` finds later."""

    def __init__(self, cfg: ShotSettings) -> None:
        """Begin a chunk."""
        self._cfg = cfg
        self._recent: deque[float] = deque(maxlen=_REACH)

    def jumps(self, change: Delta) -> bool:
        """Whether the frame may begin a shot. Call once a frame, in order.

        The third largest of the frames before is never above that of both sides, so this is the weaker test.
        """
        around = sorted(self._recent, reverse=True)
        local = around[_RANK - 1] if len(around) >= _RANK else 0.0
        self._recent.append(change.form)
        return change.form >= max(self._cfg.min_form, self._cfg.sure_ratio * local)


def scenes(frames: pa.Table, cfg: ShotSettings) -> tuple[Int32, tuple[Span, ...]]:
    """Scene of every frame, and when each scene is.

    Args:
        frames: the logs of all chunks in order, schema CHUNK_FRAMES.
        cfg: the rule.

    Returns:
        int32[n] scene of each frame, counted from 0, and the scenes' spans in ms, which tile the video
        without gaps; both empty where there is no frame.
    """
    if len(frames) == 0:
        return np.zeros(0, np.int32), ()
    starts = frames["ts_ms"].to_numpy()
    change, form = _deltas(frames)
    jumps = np.flatnonzero(_hard_cuts(change, form, cfg))
    cuts = _without_flashes(jumps, form, starts, frames, cfg.min_shot_ms)
    first = np.zeros(len(frames), np.int32)
    first[cuts] = 1
    begins = [int(starts[0]), *(int(starts[c]) for c in cuts)]
    ends = [*begins[1:], max(int(frames["end_ms"][-1].as_py()), begins[-1] + 1)]
    return np.cumsum(first, dtype=np.int32), tuple(Span(a, b) for a, b in zip(begins, ends, strict=True))


def _thumb(frames: pa.Table, row: int) -> UInt8 | None:
    raw = frames["thumb"][row].as_py()
    return None if raw is None else np.frombuffer(raw, np.uint8)


def _deltas(frames: pa.Table) -> tuple[Float64, Float64]:
    """Change of light and colour, and of form; where chunks meet, from the pictures kept of their borders."""
    luma, chroma, form = (
        frames[c].to_numpy(zero_copy_only=False).astype(np.float64)
        for c in ("delta_luma", "delta_chroma", "delta_form")
    )
    for row in np.flatnonzero(np.isnan(form)):
        before, after = (_thumb(frames, int(row) - 1) if row else None), _thumb(frames, int(row))
        if before is None or after is None:
            luma[row] = chroma[row] = form[row] = 0.0
        else:
            luma[row], chroma[row], form[row] = delta(before, after)
    return luma + chroma, form


def _hard_cuts(change: Float64, form: Float64, cfg: ShotSettings) -> Bool:
    """Frames that stand out: far, or less far but from a quiet neighbourhood."""
    around = _neighbour(form)
    sure = (form >= cfg.sure_form) & (form >= cfg.sure_ratio * around + cfg.min_form)
    quiet = (form >= cfg.min_form) & (form >= cfg.quiet_ratio * around)
    quiet &= (change >= cfg.min_change) & (change >= cfg.sure_ratio * 1.5 * _neighbour(change))
    return np.asarray(sure | quiet)


def _neighbour(values: Float64) -> Float64:
    """The third largest of the values within reach of each, itself left out."""
    windows = sliding_window_view(np.pad(values, _REACH), 2 * _REACH + 1).copy()
    windows[:, _REACH] = -1.0
    return np.asarray(np.partition(windows, -_RANK, axis=1)[:, -_RANK])


def _without_flashes(
    jumps: Int64, form: Float64, starts: Int64, frames: pa.Table, min_shot_ms: int
) -> list[int]:
    """Cuts at least the shortest shot apart; of a flash neither its beginning nor its end is one."""
    cuts: list[int] = []
    for row in (int(j) for j in jumps):
        if not cuts or starts[row] - starts[cuts[-1]] >= min_shot_ms:
            cuts.append(row)
            continue
        before, after = _thumb(frames, cuts[-1] - 1), _thumb(frames, row)
        if before is None or after is None:
            continue
        if delta(before, after).form < _ALIKE * min(form[row], form[cuts[-1]]):
            cuts.pop()
    return cuts
