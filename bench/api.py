"""How fast does the API answer while a job runs, and how fast does an upload go?

usage: bench/api.py VIDEO [--clients 50] [--seconds 20] [--upload-mb 512] [--json]

Starts the service on a folder that is thrown away, begins to process the video, and lets the clients ask for
the core routes, each in a random order of its own. Prints p50, p95 and p99 of each route in milliseconds and
requests a second; then the speed of an upload of random bytes by tuspy, against a plain `cp` and `sync` of
the same file in the same run. Any answer that is no success ends it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

_PART = 8 << 20
_COMMAND = [sys.executable, "-m", "services.cli.main"]
Route = tuple[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("video", type=Path)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--upload-mb", type=int, default=512)
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        words = ["up", "--no-ui", "--port", str(args.port), "--data-root", str(root), "--json"]
        up = json.loads(
            subprocess.run([*_COMMAND, *words], check=True, capture_output=True, text=True).stdout
        )
        try:
            figures = measure(up["api"], Path(up["secret"]).read_text().strip(), args, Path(folder))
        finally:
            subprocess.run([*_COMMAND, "down", "--data-root", str(root)], check=True)
    print(json.dumps(figures, indent=1) if args.json else table(figures))


def measure(api: str, secret: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    form = {"username": "admin", "password": secret}
    token = httpx.post(f"{api}/v1/auth/token", data=form).raise_for_status().json()["access_token"]
    head = {"Authorization": f"Bearer {token}"}
    send_file(api, head, args.video, {"filename": args.video.name, "show": "bench"})
    with httpx.Client(base_url=api, headers=head, timeout=30) as client:
        job = wait_for(client, "inference")
        routes = core_routes(job)
        taken, wall_s = load(api, head, routes, args.clients, args.seconds)
        state = client.get(f"/v1/jobs/{job['id']}").json()["state"]
        client.post(f"/v1/jobs/{job['id']}/cancel")
        wait_for(client, None)
    return {
        "cores": os.cpu_count(),
        "clients": args.clients,
        "job_at_the_end": state,
        "requests_per_s": round(sum(len(v) for v in taken.values()) / wall_s, 1),
        "routes": {name: quantiles(taken[name]) for name, _ in routes},
        "upload": upload_speed(api, head, args.upload_mb, folder),
    }


def core_routes(job: dict[str, Any]) -> list[Route]:
    return [
        ("jobs", "/v1/jobs?limit=50"),
        ("job", f"/v1/jobs/{job['id']}"),
        ("events", f"/v1/jobs/{job['id']}/events"),
        ("episodes", "/v1/episodes"),
        ("shows", "/v1/shows"),
        ("me", "/v1/users/me"),
        ("health", "/v1/health"),
    ]


def load(
    api: str, head: dict[str, str], routes: list[Route], clients: int, seconds: float
) -> tuple[dict[str, list[float]], float]:
    taken: dict[str, list[float]] = {name: [] for name, _ in routes}
    began = time.monotonic()

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        with httpx.Client(base_url=api, headers=head, timeout=30) as client:
            while time.monotonic() - began < seconds:
                name, path = rng.choice(routes)
                start = time.perf_counter()
                client.get(path).raise_for_status()
                taken[name].append((time.perf_counter() - start) * 1000)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return taken, time.monotonic() - began


def quantiles(ms: list[float]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(ms, [50, 95, 99])
    return {"requests": len(ms), "p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "p99_ms": round(p99, 1)}


def wait_for(client: httpx.Client, stage: str | None) -> dict[str, Any]:
    """The one job, once the stage runs; once it has ended, where no stage is named."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        for job in client.get("/v1/jobs").raise_for_status().json()["items"]:
            if stage is None and job["state"] in {"cancelled", "failed", "done"}:
                return job
            if any(s["stage"] == stage and s["state"] == "running" for s in job["stages"]):
                return job
        time.sleep(0.2)
    raise SystemExit(f"the job did not come to {stage}")


def send_file(api: str, head: dict[str, str], path: Path, metadata: dict[str, str]) -> None:
    client = TusClient(f"{api}/v1/uploads", headers=head)
    client.uploader(str(path), chunk_size=_PART, metadata=metadata, retries=0).upload()


def upload_speed(api: str, head: dict[str, str], megabytes: int, folder: Path) -> dict[str, float]:
    """Random bytes: refused as no video once all of them have arrived, which does not matter to the speed."""
    source = folder / "random.mp4"
    with source.open("wb") as f:
        for _ in range(megabytes):
            f.write(os.urandom(1 << 20))
    start = time.perf_counter()
    try:
        send_file(api, head, source, {"filename": "random.mp4", "show": "bench", "episode": "random"})
    except TusCommunicationError as e:
        if e.status_code != 422:
            raise
    upload_s = time.perf_counter() - start
    start = time.perf_counter()
    subprocess.run(["cp", str(source), str(folder / "copy.mp4")], check=True)
    subprocess.run(["sync", str(folder / "copy.mp4")], check=True)
    cp_s = time.perf_counter() - start
    return {
        "megabytes": megabytes,
        "upload_mb_per_s": round(megabytes / upload_s, 1),
        "cp_mb_per_s": round(megabytes / cp_s, 1),
        "ratio": round(cp_s / upload_s, 3),
    }


def table(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['clients']} clients, {figures['requests_per_s']} requests/s, {figures['cores']} cores"
    ]
    lines += [
        f"{name:<10}{q['requests']:>7} requests   "
        + "   ".join(f"{p} {q[f'{p}_ms']:>7} ms" for p in ("p50", "p95", "p99"))
        for name, q in figures["routes"].items()
    ]
    up = figures["upload"]
    lines.append(f"upload {up['upload_mb_per_s']} MB/s, cp {up['cp_mb_per_s']} MB/s, ratio {up['ratio']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
