"""A cluster that grows: Ray's own autoscaler over nodes that are processes of this machine.

Ray's `AutoscalingCluster` is not used, since it ends every Ray of the machine first.
"""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.parse import urlsplit

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FakeMultiNodeProvider
from support.service import Environment, eventually, free_port

from pipelines.layout import NODE_KIND

_UP_S, _GONE_S = 120, 30
_STORE = 128 << 20  # shared memory of each node
_COMMANDS = (
    "cluster_synced_files", "initialization_commands", "setup_commands", "head_setup_commands",
    "worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands",
)  # fmt: skip


@dataclass(frozen=True)
class NodeType:
    """Nodes that the cluster may start: how many at most, and what each has."""

    most: int
    cpus: int = 0
    gpus: int = 0


@dataclass(frozen=True)
class Look:
    """What ran at a moment.

    Attributes:
        at_s: seconds since the first look.
        nodes: by kind; `head` is the one without.
        apps: status, message and replicas that run, by application.
        workers: actors of the crew, by the kind of their node.
        boards: actors that a run begins to hear from its decoders.
    """

    at_s: float
    nodes: dict[str, int]
    apps: dict[str, dict[str, Any]]
    workers: dict[str, int]
    boards: int

    def of(self, what: str) -> int:
        """How many nodes of a kind, or replicas of `screenalyzer-<what>`, run."""
        app = self.apps.get(f"screenalyzer-{what}", {})
        return self.nodes.get(what, 0) + int(app.get("replicas", 0))


@dataclass
class FakeCloud:
    """A cluster that runs, and what was seen of it, a look a second.

    Attributes:
        dashboard: URL that `serve deploy` speaks to.
        env: environment of programs that talk to it.
        looks: from the first to the newest.
    """

    dashboard: str
    env: Environment
    looks: list[Look] = field(default_factory=list)

    def deploy(self, config: Path) -> None:
        """`serve deploy`, once the dashboard listens."""
        where = urlsplit(self.dashboard)
        eventually(lambda: _listens(where.hostname, where.port), _UP_S, "the dashboard listens")
        words = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(config), "-a", self.dashboard]
        done = subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    def wait_for(self, names: Sequence[str], within_s: float) -> None:
        """Until these applications run; one that has failed is said at once."""

        def run() -> bool:
            apps = self.looks[-1].apps if self.looks else {}
            failed = {n: a["message"] for n, a in apps.items() if a["status"] == "DEPLOY_FAILED"}
            assert not failed, failed
            return all(n in apps and apps[n]["status"] == "RUNNING" for n in names)

        eventually(run, within_s, f"{', '.join(names)} run")

    def most(self, what: str) -> int:
        """The highest count of a kind of node, or of the replicas of `screenalyzer-<what>`."""
        return max((look.of(what) for look in self.looks), default=0)

    def at_rest(self) -> bool:
        """Whether only the head is left, no replica of a model, and nothing of a run."""
        now = self.looks[-1]
        left = now.of("detector") + now.of("embedder") + now.boards
        return now.nodes == {"head": 1} and not left

    def wait_for_rest(self, within_s: float) -> None:
        """Until nodes and replicas are given back; where they are not, what is left is said."""
        try:
            eventually(self.at_rest, within_s, "nodes and replicas are given back")
        except AssertionError as e:
            e.add_note(f"the last look was {self.looks[-1]}")
            raise


@contextmanager
def fake_cloud(env: Mapping[str, str], types: Mapping[str, NodeType], idle_s: float) -> Iterator[FakeCloud]:
    """Start a head without CPUs and an autoscaler, and look on.

    Args:
        env: environment of every node.
        types: of nodes, by the kind that their label says.
        idle_s: after so long without work a node is given back.
    """
    folder = Path(tempfile.mkdtemp(prefix="cloud-", dir="/tmp"))  # paths of sockets must be short
    subprocess.run(_program("get-auth-token", "--generate"), check=True, capture_output=True)
    port, dashboard = free_port(), free_port()
    address = f"127.0.0.1:{port}"
    config = folder / "autoscaler.json"
    config.write_text(json.dumps(_autoscaler_config(types, address, idle_s)))
    full = {
        **env,
        "RAY_AUTH_MODE": "token",  # with the user's own
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "0.5",
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "services.proxy:middlewares",
        "OMP_NUM_THREADS": "1",
    }
    head = {
        **full,
        "RAY_NODE_TYPE_NAME": "ray.head.default",
        "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
    }
    words = _program(
        "start", "--head", "--block", "--num-cpus=0", "--num-gpus=0",
        "--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={folder}",
        f"--autoscaling-config={config}", f"--object-store-memory={_STORE}",
        "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={free_port()}", f"--ray-client-server-port={free_port()}",
        "--min-worker-port=0", "--max-worker-port=0",
    )  # fmt: skip
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(
            words, env=head, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    cloud = FakeCloud(f"http://127.0.0.1:{dashboard}", {**full, "RAY_ADDRESS": address})
    try:
        eventually(lambda: _answers(process, address, folder), _UP_S, "the head answers")
        with _watched(cloud, folder):
            yield cloud
    finally:
        _end(process, folder)


def _answers(process: "subprocess.Popen[bytes]", address: str, folder: Path) -> bool:
    assert process.poll() is None, (folder / "head.log").read_text()
    host, port = address.split(":")
    return _listens(host, int(port))


def _listens(host: str | None, port: int | None) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((host, port)) == 0


@contextmanager
def _watched(cloud: FakeCloud, folder: Path) -> Iterator[None]:
    words = [sys.executable, "-m", "support.looking_on"]
    with (
        (folder / "looking-on.log").open("w") as log,
        subprocess.Popen(words, env=cloud.env, stdout=subprocess.PIPE, stderr=log, text=True) as looker,
    ):
        thread = threading.Thread(target=_listen, args=(looker, cloud), daemon=True)
        thread.start()
        try:
            yield
        finally:
            looker.kill()
            thread.join()


def _listen(looker: "subprocess.Popen[str]", cloud: FakeCloud) -> None:
    assert looker.stdout is not None
    for line in (one for one in looker.stdout if one.startswith("{")):  # Ray says things of its own
        cloud.looks.append(Look(**json.loads(line)))


def _program(*words: str) -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


def _autoscaler_config(types: Mapping[str, NodeType], address: str, idle_s: float) -> dict[str, Any]:
    workers = {
        f"{kind}-node": {
            "resources": {"CPU": t.cpus, "GPU": t.gpus, "object_store_memory": _STORE},
            "labels": {NODE_KIND: kind},
            "node_config": {},
            "min_workers": 0,
            "max_workers": t.most,
        }
        for kind, t in types.items()
    }
    return {
        "cluster_name": "fake",
        "max_workers": sum(t.most for t in types.values()),
        "idle_timeout_minutes": idle_s / 60,
        "upscaling_speed": 100,
        "provider": {
            "type": "external",
            "module": f"{FakeMultiNodeProvider.__module__}.{FakeMultiNodeProvider.__name__}",
            "head_node_id": FAKE_HEAD_NODE_ID,
            "launch_multiple": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "gcs_address": address,
        },
        "available_node_types": {
            **workers,
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        },
        "head_node_type": "ray.head.default",
        **{key: {} for key in ("auth", "docker", "file_mounts")},
        **{key: [] for key in _COMMANDS},
        "file_mounts_sync_continuously": False,
    }


def _end(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    """End the head, and then whatever was started for the folder."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GONE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for found in psutil.process_iter():
        with suppress(psutil.Error):
            words = found.cmdline()
            files = [f.path for f in found.open_files()]
            if any(str(folder) in w for w in words) or any(f.startswith(f"{folder}/") for f in files):
                found.kill()
    rmtree(folder, ignore_errors=True)
