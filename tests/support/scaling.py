"""Twelve episodes on a cluster that grows, with stand-ins for models on a GPU."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.cloud_service import cloud_service
from support.fake_cloud import Look, NodeType
from support.redis_server import RealRedis

EPISODES = 12
IDLE_S = 10.0
# Some hundred times what a GPU takes for a batch of eight, so that two busy cores can feed four of them.
STAND_IN_S = {"detector": 6.0, "embedder": 4.0}
_PATIENCE_S = 1500
_SHOWN_EVERY_S = 10.0


@dataclass(frozen=True)
class Growth:
    """What became of a run.

    Attributes:
        gpu_nodes: that there might be.
        states: of the jobs.
        seconds: from the first upload to the last job's end.
        fps: frames a second of the detector, over the middle 60 % of its batches.
        looks: what ran, each second, until all was given back.
    """

    gpu_nodes: int
    states: list[str]
    seconds: float
    fps: float
    looks: list[Look]


def grow(home: Path, redis: RealRedis, videos: Sequence[Path], gpu_nodes: int) -> Growth:
    """Queue the episodes on nothing but a head; on at most so many nodes of one GPU."""
    types = {"cpu": NodeType(most=2, cpus=4), "gpu": NodeType(most=gpu_nodes, cpus=2, gpus=1)}
    settings = {
        "SCREENALYZER_RAY__DEVICE": "cuda",
        "SCREENALYZER_RAY__MAX_REPLICAS": str(gpu_nodes),
        "SCREENALYZER_RAY__DETECTOR_GPUS": "0.5",
        "SCREENALYZER_RAY__EMBEDDER_GPUS": "0.5",
        "SCREENALYZER_QUEUES__WORKERS": "1",
        "SCREENALYZER_QUEUES__MAX_WORKERS": "8",
        "SCREENALYZER_QUEUES__INFERENCE": "6",
        "SCREENALYZER_VIDEO__CHUNK_S": "30",
    }
    with cloud_service(home, redis, types, IDLE_S, STAND_IN_S, **settings) as service:
        began = time.monotonic()
        jobs = service.queue([videos[n % len(videos)] for n in range(EPISODES)], "t")
        states = [str(service.desk.wait(j, patience_s=_PATIENCE_S)["state"]) for j in jobs]
        seconds = time.monotonic() - began
        service.cloud.wait_for_rest(240)
        return Growth(gpu_nodes, states, seconds, _fps(home / "detector.log"), service.cloud.looks)


def table(run: Growth) -> str:
    """What ran, every ten seconds, as Markdown."""
    done = f"{run.states.count('done')} of {len(run.states)} done after {run.seconds:.0f} s"
    lines = [
        f"\nat most {run.gpu_nodes} GPU nodes: {done}, {run.fps:.1f} frames/s",
        "| s | CPU nodes | GPU nodes | detectors | embedders | workers |",
        "|---|---|---|---|---|---|",
    ]
    due = 0.0
    for look in run.looks:
        if look.at_s >= due:
            counts = " | ".join(str(look.of(what)) for what in ("cpu", "gpu", "detector", "embedder"))
            lines.append(f"| {look.at_s:.0f} | {counts} | {sum(look.workers.values())} |")
            due = look.at_s + _SHOWN_EVERY_S
    return "\n".join(lines)


def _fps(log: Path) -> float:
    lines = log.read_text().splitlines()
    batches = sorted((float(end), int(frames)) for _, end, frames in map(str.split, lines))
    first, last = len(batches) // 5, len(batches) * 4 // 5
    frames = sum(n for _, n in batches[first + 1 : last + 1])
    return frames / (batches[last][0] - batches[first][0])
