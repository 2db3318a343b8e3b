"""How throughput, nodes and replicas follow the work, on a cluster of this machine that grows.

    PYTHONPATH=tests .venv/bin/python bench/scaling.py [--nodes 1 2 4] [--json FILE]

Queues twelve episodes on a head without CPUs, once for each count of nodes with a fake GPU, through API,
queues, workers, Ray Data and Serve as they are deployed from infra/serve.yaml. Only the two models are
stand-ins, which take a fixed time for a batch: two cores could not feed four GPUs otherwise.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from support.redis_server import RealRedis
from support.scaling import Growth, grow, table

from screenalyzer.demo import DemoFormat, build_season


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", type=Path, help="file for every look")
    args = parser.parse_args()
    runs = []
    for count in args.nodes:
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="grow-") as name:
            runs.append(_run(Path(name), count))
        print(table(runs[-1]), flush=True)
    print("\n| GPU nodes | frames/s | against one | all twelve done after |\n|---|---|---|---|")
    for run in runs:
        print(f"| {run.gpu_nodes} | {run.fps:.1f} | {run.fps / runs[0].fps:.2f} | {run.seconds:.0f} s |")
    if args.json:
        args.json.write_text(json.dumps([asdict(r) for r in runs]))


def _run(home: Path, count: int) -> Growth:
    videos = [e.video for e in build_season(home / "season", form=DemoFormat(640, 360, 12))]
    (home / "redis").mkdir()
    redis = RealRedis(home / "redis")
    redis.start()
    try:
        return grow(home, redis, videos, count)
    finally:
        redis.kill()


if __name__ == "__main__":
    main()
