"""The few pictures of a track that a person is shown and a facebank keeps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from screenalyzer.faces.quality import frontalness
from screenalyzer.settings import TrackSettings
from screenalyzer.tracking.geometry import scales
from screenalyzer.types import Int64, Observations, Track

_GOOD_SHARE = 0.5  # of the track's best quality: what is worse is not shown while there is better
_MIN_APART_MS = 400  # nearer than this two pictures of a track are nearly the same


class Sample(NamedTuple):
    """A row of selected_samples.csv, without the path that the stage gives it."""

    track_id: str
    ts_ms: int
    det_id: str
    quality: float
    reason: str


def best_samples(tracks: Sequence[Track], obs: Observations, cfg: TrackSettings) -> list[Sample]:
    """The best samples of each track, diverse in time and pose, each with the reason it was chosen.

    First the best quality, the most frontal and the largest; then, one by one, the good one that differs
    most in looks and time from those chosen (farthest-point selection, Gonzalez 1985).

    Returns:
        At most cfg.samples_per_track rows a track; by track in the given order, then by time.
    """
    rows: list[Sample] = []
    for track in tracks:
        for k, reason in sorted(_choose(track.members, obs, cfg.samples_per_track).items()):
            row = track.members[k]
            quality = round(float(obs.quality[row]), 4)
            rows.append(Sample(track.track_id, int(obs.ts_ms[row]), str(obs.det_id[row]), quality, reason))
    return rows


def _choose(members: Int64, obs: Observations, most: int) -> dict[int, str]:
    """Position in members to reason."""
    quality = obs.quality[members].astype(np.float64)
    good = np.flatnonzero(quality >= _GOOD_SHARE * quality.max())
    wishes = (
        ("best quality", quality),
        ("most frontal", frontalness(obs.landmarks[members]) * np.sqrt(quality)),
        ("largest", scales(obs.boxes[members])),
    )
    chosen: dict[int, str] = {}
    for reason, value in wishes:
        k = int(good[value[good].argmax()])
        if len(chosen) < most and k not in chosen and not _crowded(k, chosen, obs.ts_ms[members]):
            chosen[k] = reason
    while len(chosen) < min(most, len(good)):
        k, gain = _farthest(good, sorted(chosen), obs, members)
        if gain <= 0:
            break
        chosen[k] = "spread"
    return chosen


def _crowded(k: int, chosen: dict[int, str], ts_ms: Int64) -> bool:
    return any(abs(int(ts_ms[k]) - int(ts_ms[c])) < _MIN_APART_MS for c in chosen)


def _farthest(good: Int64, chosen: list[int], obs: Observations, members: Int64) -> tuple[int, float]:
    """The good one least like any that is chosen, and how much it brings; nothing if too near in time."""
    vectors = obs.embeddings[members].astype(np.float64)
    ts = obs.ts_ms[members].astype(np.float64)
    length = max(float(ts[-1] - ts[0]), 1.0)
    looks = np.maximum(1.0 - vectors[good] @ vectors[chosen].T, 0.0)
    apart = np.abs(ts[good][:, None] - ts[chosen][None, :])
    spread = np.sqrt(looks) + np.sqrt(apart / length)
    spread[apart < _MIN_APART_MS] = 0.0
    gain = spread.min(axis=1) * np.sqrt(np.maximum(obs.quality[members][good].astype(np.float64), 0.0))
    best = int(gain.argmax())
    return int(good[best]), float(gain[best])
