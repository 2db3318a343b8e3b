"""From sampled detections to time on screen."""

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
    scene_id = int(grid.scene_id[k])
    scene = grid.scenes[scene_id]
    first = k == 0 or grid.scene_id[k - 1] != scene_id
    start = min(scene.start_ms, int(grid.ts_ms[k])) if first else int(grid.ts_ms[k])
    last = k + 1 == len(grid.ts_ms)
    end = scene.end_ms if last else min(int(grid.ts_ms[k + 1]), scene.end_ms)
    return Span(start, max(end, start))


def presence_spans(track: Track, obs: Observations, grid: SampleGrid) -> list[Span]:
    """When a track's face is on screen.

    Contiguous samples make one span. A gap that stitching bridged separates two spans: fusing them is a
    screen-time rule.

    Raises:
        ValueError: a detection lies at a time that is not on the grid.
    """
    spans: list[Span] = []
    for k in np.unique(sample_index(obs.ts_ms[track.members], grid)):
        span = stood_for(grid, int(k))
        if spans and spans[-1].end_ms >= span.start_ms:
            spans[-1] = Span(spans[-1].start_ms, span.end_ms)
        else:
            spans.append(span)
    return spans
