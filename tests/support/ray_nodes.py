"""Ray nodes as an operator starts them, `ray start`, here or on another host of `support.faults`."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

import psutil
from support.faults import FarHost
from support.service import free_port

_PATIENCE_S = 300
# Of a cluster for one test on one machine; nobody else reaches it.
QUIET = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


class RayCluster:
    """A head without CPUs, as on a cluster that grows, and nodes that come and go.

    Attributes:
        address: of the head, for RAY_ADDRESS.
        env: environment of its nodes and of programs that join it.
    """

    def __init__(self, here: str, env: dict[str, str] | None = None) -> None:
        """Take the address of this host that other nodes reach, and more environment of all nodes."""
        self._here, self._port = here, free_port()
        self.address = f"{here}:{self._port}"
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.env = {**_without_settings(), **QUIET, **(env or {})}
        self._started: list[subprocess.Popen[bytes]] = []

    def start_head(self) -> None:
        """Start it, and wait until it answers."""
        words = ["--head", f"--port={self._port}", f"--temp-dir={self.folder}", "--num-cpus=0"]
        words += ["--include-dashboard=false", f"--ray-client-server-port={free_port()}"]
        self._start(self.address.split(":")[0], words, None)
        self.wait_for_nodes(1)

    def add(self, host: FarHost | None = None, cpus: int = 2) -> None:
        """Start a node, on this host where none is named, and wait until the cluster has it."""
        before = self.alive()
        words = [f"--address={self.address}", f"--num-cpus={cpus}"]
        self._start(host.address if host else self._here, words, host)
        self.wait_for_nodes(before + 1)

    def alive(self) -> int:
        """How many nodes the head believes to live."""
        program = (
            "from ray._raylet import GcsClient; import sys;"
            "print(sum(n.state == 0 for n in GcsClient(address=sys.argv[1]).get_all_node_info().values()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, self.address], env=self.env, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        return int(done.stdout.strip() or 0) if done.returncode == 0 else 0

    def wait_for_nodes(self, count: int) -> None:
        """Wait until so many live."""
        deadline = time.monotonic() + _PATIENCE_S
        while (found := self.alive()) != count:
            assert time.monotonic() < deadline, f"{found} nodes live, not {count}"
            time.sleep(0.5)

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Processes of the cluster with a name in their title."""
        return [p for p in psutil.process_iter() if _is_of(p, self.folder, name)]

    def kill_head(self) -> None:
        """SIGKILL all that the head is, and nothing of the other nodes."""
        head = psutil.Process(self._started[0].pid)
        _kill([head, *head.children(recursive=True)])

    def stop(self) -> None:
        """End all of it."""
        _kill(self.processes())
        for process in self._started:
            process.kill()
            process.wait()
        rmtree(self.folder, ignore_errors=True)

    def _start(self, ip: str, words: list[str], host: FarHost | None) -> None:
        program = str(Path(sys.executable).parent / "ray")
        store = ["--object-store-memory=300000000", "--disable-usage-stats", "--block"]
        command = [program, "start", f"--node-ip-address={ip}", *words, *store]
        if host:
            host.start(command, self.env)
        else:
            quiet = subprocess.DEVNULL
            self._started.append(
                subprocess.Popen(command, env=self.env, start_new_session=True, stdout=quiet, stderr=quiet)
            )


def settings_for(address: str) -> dict[str, str]:
    """Of the main job on a cluster: small chunks, and one of each part, for which any node has room."""
    parts = ("DETECTOR_REPLICAS", "EMBEDDER_REPLICAS", "DECODER_ACTORS")
    return {
        **{f"SCREENALYZER_RAY__{name}": "1" for name in parts},
        "RAY_ADDRESS": address,
        "SCREENALYZER_VIDEO__CHUNK_S": "2",
        "SCREENALYZER_EMBED__EMBEDDER": "dlib",
        "SCREENALYZER_EMBED__OFFLINE": "1",
    }


@contextmanager
def ray_cluster(here: str, env: dict[str, str] | None = None) -> Iterator[RayCluster]:
    """A cluster of a head alone, for the time of the block."""
    made = RayCluster(here, env)
    try:
        made.start_head()
        yield made
    finally:
        made.stop()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, timeout=30)


def _without_settings() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("SCREENALYZER_", "RAY_"))}


def _is_of(process: psutil.Process, folder: Path, name: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        title = " ".join([process.name(), *process.cmdline()])
        if name not in title:
            return False
        opened = (f.path for f in process.open_files())
        return str(folder) in title or any(p.startswith(f"{folder}/") for p in opened)
    except psutil.Error:
        return False
