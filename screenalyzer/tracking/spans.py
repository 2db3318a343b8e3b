"""From sampled detections to time on screen."""

from collections.abc import Sequence

import numpy as np

from screenalyzer.types import Int64, Observations, SampleGrid, Span, Track


def sample_index(ts_ms: Int64, grid: SampleGrid) -> Int64:
    """Position of each time on the grid.

    Raises:
        ValueError: a time is not one of the grid's.
    """
    k = np.searchsorted(grid.ts_ms, ts_ms)
    if (k >= len(grid.ts_ms)).any() or (grid.ts_ms[k] != ts_ms).any():
        raise ValueError("a detection lies at a time that is not on the sample grid")
    return k.astype(np.int64)


def stood_for(grid: SampleGrid, k: int) -> Span:
    """The time that sample k stands for: up to the next sample, within its scene.

    The first sample of a scene also stands back to the scene's start.
    """
    (start,), (end,) = times_stood_for(grid, np.array([k], dtype=np.int64))
    return Span(int(start), int(end))


def times_stood_for(grid: SampleGrid, k: Int64) -> tuple[Int64, Int64]:
    """Start and end of what each of some samples stands for, see `stood_for`: int64[n] each."""
    scene_id, scene_of = np.unique(grid.scene_id[k], return_inverse=True)
    scenes = np.array([grid.scenes[s] for s in scene_id.tolist()], dtype=np.int64).reshape(-1, 2)
    first = (k == 0) | (grid.scene_id[k - 1] != grid.scene_id[k])
    last = k + 1 == len(grid.ts_ms)
    ts, until = grid.ts_ms[k], grid.ts_ms[np.where(last, k, k + 1)]
    scene_start, scene_end = scenes[scene_of].T
    start = np.where(first, np.minimum(scene_start, ts), ts)
    end = np.where(last, scene_end, np.minimum(until, scene_end))
    return start, np.maximum(end, start)


def presence_spans(track: Track, obs: Observations, grid: SampleGrid) -> list[Span]:
    """When a track's face is on screen.

    Contiguous samples make one span. A gap that stitching bridged separates two spans: fusing them is a
    screen-time rule.

    Raises:
        ValueError: a detection lies at a time that is not on the grid.
    """
    return spans_of([track.members], obs, grid)[0]


def spans_of(members: Sequence[Int64], obs: Observations, grid: SampleGrid) -> list[list[Span]]:
    """When each of several sets of detections is on screen, as `presence_spans`.

    Args:
        members: of each, rows of obs.
        obs: what they point into.
        grid: the sampled frames.

    Raises:
        ValueError: a detection lies at a time that is not on the grid.
    """
    found: list[list[Span]] = [[] for _ in members]
    if sum(map(len, members)) == 0:
        return found
    owner = np.repeat(np.arange(len(members)), [len(m) for m in members])
    k = sample_index(obs.ts_ms[np.concatenate(members)], grid)
    order = np.lexsort((k, owner))
    owner, k = owner[order], k[order]
    start, end = times_stood_for(grid, k)
    begins = np.append(True, (owner[1:] != owner[:-1]) | (end[:-1] < start[1:]))
    ends = np.append(begins[1:], True)
    each = zip(owner[begins].tolist(), start[begins].tolist(), end[ends].tolist(), strict=True)
    for n, since, until in each:
        found[n].append(Span(since, until))
    return found
