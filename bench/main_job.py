"""How fast is the main job, and where does the time go?

usage: bench/main_job.py VIDEO... [--embedder dlib] [--json]

Processes the videos into a folder that is thrown away and prints the real-time factor, frames a second of
decode, detection and embedding while each is busy, and the share of wall time when none of them is: start of
the cluster, hand-over, tracking and everything after it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from pipelines.progress import Silent
from screenalyzer.settings import Settings
from services.main_job import plan_jobs, run_main_job


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    settings = Settings.model_validate({"embed": {"embedder": args.embedder}})
    with tempfile.TemporaryDirectory() as root:
        start = time.perf_counter()
        outcomes = run_main_job(
            plan_jobs(args.videos, "bench", Path(root), replace=False), settings, Silent()
        )
        wall_s = time.perf_counter() - start
    if failed := [o.error for o in outcomes if o.error]:
        raise SystemExit("\n".join(failed))
    total = {k: sum(o.costs[k] for o in outcomes) for k in outcomes[0].costs}
    video_s = sum(o.duration_ms for o in outcomes) / 1000
    figures = {
        "video_s": round(video_s, 1),
        "wall_s": round(wall_s, 1),
        "real_time_factor": round(video_s / wall_s, 2),
        "decode_fps": round(total["frames"] / total["decode_s"], 1),
        "detect_fps": round(total["samples"] / total["detect_s"], 1),
        "embed_fps": round(total["samples"] / max(total["embed_s"], 1e-9), 1),
        "embed_faces_per_s": round(total["faces"] / max(total["embed_s"], 1e-9), 1),
        "frames": int(total["frames"]),
        "sampled_frames": int(total["samples"]),
        "faces": int(total["faces"]),
        "busy_share": {k: round(total[k] / wall_s, 3) for k in ("decode_s", "detect_s", "embed_s")},
        "share_none_of_these": round(max(0.0, 1 - total["busy_s"] / wall_s), 3),
    }
    if args.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:<28}{value}")


if __name__ == "__main__":
    main()
