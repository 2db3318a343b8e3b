"""Frames for somebody who steps through a video.

Each alone is decoded from a keyframe on. So from the second step on a few are decoded in one go: those that
come next on the way.
"""

import math
from collections.abc import Callable
from typing import Final

from screenalyzer.artifacts import EpisodePaths
from screenalyzer.errors import ArtifactError
from screenalyzer.results import EpisodeFacts

_AT_ONCE: Final = 8
_NEARLY: Final = 1e-6  # of a frame: what rounding may leave


def frames_on_the_way(paths: EpisodePaths, ts_ms: int, is_kept: Callable[[int], bool]) -> list[int]:
    """The moments to decode where one is asked for: itself, and where its neighbour is kept the next ones.

    Frames lie where the review pages step to: at the first whole millisecond of each, by the mean rate.

    Args:
        paths: of the episode.
        ts_ms: what is asked for, in milliseconds of the source's clock.
        is_kept: whether the frame of a moment need not be decoded again.
    """
    try:
        facts = EpisodeFacts.load(paths)
    except ArtifactError:
        return [ts_ms]
    fps = round(facts.fps, 3)
    last = facts.start_ms + facts.duration_ms

    def moment(frame: int) -> int:
        return facts.start_ms + math.ceil(frame * 1000 / fps - _NEARLY)

    frame = math.floor((ts_ms - facts.start_ms) * fps / 1000 + _NEARLY) if fps > 0 else -1
    if frame < 0 or moment(frame) != ts_ms:
        return [ts_ms]
    for step in (1, -1):
        if is_kept(moment(frame - step)):
            times = [moment(frame + step * n) for n in range(_AT_ONCE)]
            return [t for t in times if facts.start_ms <= t < last and (t == ts_ms or not is_kept(t))]
    return [ts_ms]
