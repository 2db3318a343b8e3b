import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.clips import ClipSpec, make_clip

from screenalyzer.settings import ShotSettings, VideoSettings
from screenalyzer.types import Chunk, Segment
from screenalyzer.video.features import delta
from screenalyzer.video.plan import plan
from screenalyzer.video.probe import probe
from screenalyzer.video.read import ChunkLog, Sample, read_segment
from screenalyzer.video.shots import scenes

LENGTHS = [30, 22, 5, 41, 12, 50, 3, 38, 60]
CUTS = np.cumsum(LENGTHS)[:-1].tolist()
FLASH, LAMP = 15, 80


def _picture(rng: np.random.Generator) -> np.ndarray:
    coarse = rng.integers(20, 235, (12, 20, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((9, 9, 1), np.uint8)).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shots of known lengths, the last a pan, with noise, a flash of 2 frames and a lamp switched on."""
    rng = np.random.default_rng(5)
    frames = []
    for shot, length in enumerate(LENGTHS):
        picture = np.tile(_picture(rng), (1, 2, 1))
        pan = 2 if shot == len(LENGTHS) - 1 else 0
        frames += [picture[:, n * pan : n * pan + 180].astype(float) for n in range(length)]
    frames[FLASH] = frames[FLASH] * 1.5 + 80
    frames[FLASH + 1] = frames[FLASH + 1] * 1.5 + 80
    for n in range(LAMP, CUTS[3]):
        frames[n] = frames[n] * 1.3
    noisy = (np.clip(f + rng.normal(0, 4, f.shape), 0, 255).astype(np.uint8) for f in frames)
    return make_clip(tmp_path_factory.mktemp("shots") / "s.mp4", noisy, ClipSpec(gop=20, b_frames=2))


def read(path: Path, segments: tuple[Segment, ...], cfg: VideoSettings) -> tuple[pa.Table, list[Sample]]:
    items = [x for s in segments for x in read_segment(path, probe(path), s, cfg, ShotSettings(), ())]
    logs = [x.frames for x in items if isinstance(x, ChunkLog)]
    return pa.concat_tables(logs), [x for x in items if isinstance(x, Sample)]


def test_cuts_are_found_to_the_frame(clip: Path) -> None:
    cfg = VideoSettings()
    frames, samples = read(clip, plan(probe(clip), cfg), cfg)
    scene, spans = scenes(frames, ShotSettings())
    assert np.flatnonzero(np.diff(scene)).tolist() == [c - 1 for c in CUTS]
    assert [s.start_ms for s in spans] == [0, *(c * 40 for c in CUTS)]
    assert spans[-1].end_ms == sum(LENGTHS) * 40
    assert all(a.end_ms == b.start_ms for a, b in pairwise(spans))
    # The first frame of each shot is looked at, whatever the grid.
    assert {s.start_ms for s in spans} <= {s.ts_ms for s in samples}
    assert len(samples) <= sum(LENGTHS) / 5 + len(LENGTHS) + 4


@pytest.mark.parametrize("seed", range(4))
def test_cuts_do_not_depend_on_the_chunks(clip: Path, seed: int) -> None:
    """Any tiling, also one with a border on, before or after a cut or inside the flash."""
    info, cfg = probe(clip), VideoSettings()
    tick, rng = info.frame_ticks, random.Random(seed)
    borders = {
        0,
        *rng.sample(range(1, sum(LENGTHS)), 12),
        CUTS[seed],
        CUTS[seed + 1] + 1,
        CUTS[seed + 2] - 1,
        FLASH + seed % 3,
    }
    edges = [*sorted(borders), sum(LENGTHS)]
    chunks = tuple(Chunk(i, a * tick, b * tick) for i, (a, b) in enumerate(pairwise(edges)))
    whole, _ = read(clip, (Segment(0, (Chunk(0, 0, info.end_pts),)),), cfg)
    pieces, _ = read(clip, (Segment(0, chunks),), cfg)
    assert pieces["pts"].equals(whole["pts"])
    (scene, spans), (scene_whole, spans_whole) = scenes(pieces, ShotSettings()), scenes(whole, ShotSettings())
    assert scene.tolist() == scene_whole.tolist()
    assert spans == spans_whole


def test_no_frames_no_scenes(clip: Path) -> None:
    frames, _ = read(clip, plan(probe(clip), VideoSettings()), VideoSettings())
    scene, spans = scenes(frames.slice(0, 0), ShotSettings())
    assert len(scene) == 0
    assert spans == ()
    _, spans = scenes(frames.slice(0, 1), ShotSettings())
    assert [(s.start_ms, s.end_ms) for s in spans] == [(0, 40)]


def test_change_of_form_ignores_shift_and_light() -> None:
    rng = np.random.default_rng(1)
    wide = rng.integers(40, 150, (36, 80), dtype=np.uint8)
    chroma = np.full(36 * 64 // 2, 128, np.uint8)

    def thumb(luma: np.ndarray) -> np.ndarray:
        return np.concatenate([luma.astype(np.uint8).ravel(), chroma])

    here, panned = thumb(wide[:, :64]), thumb(wide[:, 4:68])
    brighter, other = thumb(wide[:, :64] * 1.5), thumb(rng.integers(40, 150, (36, 64)))
    assert delta(here, here) == (0, 0, pytest.approx(0, abs=1e-3))
    assert delta(here, panned).form < 0.05
    assert delta(here, brighter).form < 0.05
    assert delta(here, other).form > 0.7
    black = thumb(np.full((36, 64), 16))
    assert delta(black, black).form == 0
    assert delta(black, here).form > 0.7
