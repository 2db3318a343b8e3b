"""The main job with its data root in an object store: a real S3 server, two nodes one after the other."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.main_job import Environment, artifact_bytes, run, start
from support.object_store import BUCKET, ObjectStore

from screenalyzer.demo import DemoEpisode

pytestmark = [pytest.mark.ray, pytest.mark.long]

ROOT = f"s3://{BUCKET}/studio/data"


def test_another_node_goes_on_and_ends_with_the_bytes_of_a_folder(
    quiet_root: Path, season: list[DemoEpisode], environment: Environment, s3: ObjectStore, tmp_path: Path
) -> None:
    video = season[0].video
    # A cluster of its own: the nodes of one that runs already would not know the store.
    known = {k: v for k, v in environment.items() if k != "RAY_ADDRESS"} | s3.environment
    nodes = {n: {**known, "SCREENALYZER_WORK_DIR": str(tmp_path / n)} for n in "abc"}
    process = start([video], ROOT, nodes["a"])
    while not (done := _markers(s3)):
        assert process.poll() is None, "the run was over before it could be killed"
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert s3.check_markers("studio/data")
    done = _markers(s3)

    s3.requests.clear()
    while "by another run" in (went := run([video], ROOT, nodes["b"])).stderr:
        time.sleep(1)  # the dead node's lock lives on for some seconds
    assert went.returncode == 0, went.stderr
    assert not [p for m, p in s3.requests if m == "PUT" and p.split("?")[0].rsplit("/", 1)[-1] in done]
    theirs = {k: v for k, v in artifact_bytes(quiet_root).items() if f"/{video.stem}/" in k}
    ours = {k: v for k, v in s3.objects("studio/data").items() if "/diagnostics/" not in k}
    assert ours.keys() == theirs.keys()
    assert [k for k in ours if ours[k] != theirs[k]] == []

    s3.requests.clear()
    words = [sys.executable, "-m", "services.cli.main", "totals", video.stem, "--data-root", ROOT, "--json"]
    told = subprocess.run(words, env=nodes["c"], capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(told.stdout)
    got = [p for m, p in s3.requests if m == "GET" and "list-type" not in p]
    assert got
    assert not [p for p in got if "/chunks/" in p or "/crops/" in p]


def _markers(s3: ObjectStore) -> set[str]:
    """Names of the chunks' markers in the store."""
    return {name for k in s3.keys("studio/data") if (name := k.rsplit("/", 1)[-1]).startswith("done-")}
