"""How well are cuts found? Ours against PySceneDetect, to the frame.

Usage: shots.py [VIDEO TRUTH.json ...]; without arguments, on generated clips. TRUTH.json holds
{"shots": [{"start_ms", "end_ms"}, ...]}; every end but the last is a cut.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
from scenedetect import AdaptiveDetector, ContentDetector, detect
from scenedetect.scene_manager import SceneDetector
from shot_clips import clip

from screenalyzer.settings import ShotSettings, VideoSettings
from screenalyzer.video.plan import plan
from screenalyzer.video.probe import probe
from screenalyzer.video.read import ChunkLog, read_segment
from screenalyzer.video.shots import scenes

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from support.clips import ClipSpec, make_clip


def ours(video: Path) -> list[int]:
    info = probe(video)
    cfg, shots = VideoSettings(), ShotSettings()
    items = (x for s in plan(info, cfg) for x in read_segment(video, info, s, cfg, shots, ()))
    frames = pa.concat_tables([x.frames for x in items if isinstance(x, ChunkLog)])
    return [s.start_ms for s in scenes(frames, shots)[1][1:]]


def theirs(make: Callable[[], SceneDetector]) -> Callable[[Path], list[int]]:
    def cuts(video: Path) -> list[int]:
        return [round(start.get_seconds() * 1000) for start, _ in detect(str(video), make())[1:]]

    return cuts


def matched(found: Sequence[int], truth: Sequence[int], tolerance_ms: float) -> int:
    """How many cuts of the truth have a found one of their own within the tolerance."""
    left, hits = sorted(found), 0
    for cut in sorted(truth):
        near = [f for f in left if abs(f - cut) <= tolerance_ms]
        if near:
            left.remove(min(near, key=lambda f: abs(f - cut)))
            hits += 1
    return hits


def material(arguments: Sequence[str], folder: Path) -> list[tuple[Path, list[int]]]:
    if arguments:
        pairs = list(zip(arguments[::2], arguments[1::2], strict=True))
        return [
            (Path(v), [s["end_ms"] for s in json.loads(Path(t).read_text())["shots"][:-1]]) for v, t in pairs
        ]
    clips = []
    for seed in range(100, 106):
        pictures, cuts = clip(seed)
        video = make_clip(folder / f"{seed}.mp4", pictures, ClipSpec(gop=50))
        clips.append((video, [c * 40 for c in cuts]))
    return clips


def main(arguments: Sequence[str]) -> None:
    methods = {
        "screenalyzer": ours,
        "ContentDetector": theirs(ContentDetector),
        "AdaptiveDetector": theirs(AdaptiveDetector),
    }
    with tempfile.TemporaryDirectory() as folder:
        clips = material(arguments, Path(folder))
        print(f"{'method':18}{'cuts':>8}{'found':>8}{'right':>8}{'recall':>8}{'precis.':>8}{'F1':>8}{'s':>8}")
        for name, method in methods.items():
            began, truth_n, found_n, hits = time.perf_counter(), 0, 0, 0
            for video, truth in clips:
                found = method(video)
                step = 1000 / probe(video).fps
                hits += matched(found, truth, step * 1.01)
                truth_n, found_n = truth_n + len(truth), found_n + len(found)
            recall, precision = hits / max(truth_n, 1), hits / max(found_n, 1)
            f1 = 2 * recall * precision / max(recall + precision, 1e-9)
            spent = time.perf_counter() - began
            counts = f"{truth_n:8}{found_n:8}{hits:8}"
            print(f"{name:18}{counts}{recall:8.3f}{precision:8.3f}{f1:8.3f}{spent:8.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
