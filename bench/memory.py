"""Is peak memory flat in the length of the video?

usage: bench/memory.py VIDEO [--minutes 2 10 30] [--embedder dlib]

Loops the video to each length without encoding it again, processes it in a process of its own, and prints
the peak of the summed PSS (proportional set size: shared pages counted once) over that process and all that
it started, and the peak of shared memory that the object store holds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import psutil

_POLL_S = 0.5


def loop_video(source: Path, target: Path, minutes: float) -> float:
    """Repeat the packets of the first video stream until the length is reached; returns seconds written."""
    with av.open(str(target), "w") as out:
        with av.open(str(source)) as first:
            stream = first.streams.video[0]
            copy = out.add_stream_from_template(stream)
            base = stream.time_base
            length = round(first.duration / 1e6 / base)
        shift = 0
        while float(shift * base) < minutes * 60:
            with av.open(str(source)) as again:
                video = again.streams.video[0]
                for packet in again.demux(video):
                    if packet.dts is None:
                        continue
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = copy
                    out.mux(packet)
            shift += length
    return float(shift * base)


def peak_memory(command: list[str]) -> tuple[float, float]:
    """Run a command; returns peak PSS in MiB over its process tree, and seconds."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    root, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        peak = max(peak, sum(_pss(p) for p in [root, *root.children(recursive=True)]))
        time.sleep(_POLL_S)
    if process.returncode:
        raise SystemExit(f"the main job failed with exit code {process.returncode}")
    return peak / (1 << 20), time.perf_counter() - start


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, FileNotFoundError, ProcessLookupError):
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--minutes", nargs="+", type=float, default=[2, 10, 30])
    parser.add_argument("--embedder", default="dlib")
    args = parser.parse_args()
    rows = []
    for minutes in args.minutes:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / f"loop{args.video.suffix}"
            seconds = loop_video(args.video, clip, minutes)
            command = [
                sys.executable, "-m", "services.cli.main", "process", str(clip), "--show", "bench",
                "--data-root", folder, "--embedder", args.embedder, "--json",
            ]  # fmt: skip
            peak, wall_s = peak_memory(command)
        rows.append({"video_s": round(seconds, 1), "wall_s": round(wall_s, 1), "peak_pss_mib": round(peak)})
        print(json.dumps(rows[-1]), flush=True)
    first = rows[0]["peak_pss_mib"]
    print(json.dumps({"peak_ratio_to_first": [round(r["peak_pss_mib"] / first, 3) for r in rows]}))


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    main()
