"""Joining a Ray cluster that is there, or starting a local one that does not starve."""

import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import psutil
import ray
from ray.data import DataContext

from pipelines.layout import Layout, plan_layout
from screenalyzer.errors import SettingsError
from screenalyzer.settings import RaySettings

_ROUNDING = 1e-6
_SCRATCH = "screenalyzer-"
_LET_DIE_S = 1.0

# Each of these sets its own level when it is imported, whatever its parent says.
_CHATTY = ("ray", "ray.data", "ray.serve", "ray._private.authentication.authentication_token_setup")

_WORKER_ENV = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1", "KMP_WARNINGS": "0"}


@contextmanager
def cluster(
    cfg: RaySettings, env: Mapping[str, str] | None = None, *, show_logs: bool = False
) -> Iterator[Layout]:
    """Connect for the time of the block, and say what each part gets.

    With RAY_ADDRESS set the cluster there is used and left as it is; otherwise a local one is started and
    stopped again. A connection that already exists is used.

    Args:
        cfg: how work is laid on the cluster.
        env: variables for every worker process, beside those that it has anyway.
        show_logs: let what worker processes print appear on this one's stderr.

    Raises:
        SettingsError: the replicas, actors and tasks that were asked for need more than the cluster has.
    """
    scratch = None
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.ERROR)
    if not ray.is_initialized():
        # Ray reports its use to its makers unless told not to; what a studio runs is its own affair.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        common = {
            "logging_level": logging.WARNING,
            "log_to_driver": show_logs,
            "runtime_env": {"env_vars": {**_WORKER_ENV, **(env or {})}},
        }
        if os.environ.get("RAY_ADDRESS"):
            ray.init(**common)
        else:
            scratch = _start_local(cfg, common)
    try:
        context = DataContext.get_current()
        # Its guard counts finished segments, and a segment may be a whole film; `season` watches frames.
        context.execution_no_progress_timeout_s = -1
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        yield layout_here(cfg)
    finally:
        if scratch is not None:
            ray.shutdown()
            rmtree(scratch, ignore_errors=True)


def layout_here(cfg: RaySettings) -> Layout:
    """What each part gets of the cluster that this process is connected to.

    Raises:
        SettingsError: the replicas, actors and tasks that were asked for need more than the cluster has.
    """
    if cfg.elastic:  # whatever it has at the moment
        return plan_layout(cfg, 0, 0)
    resources = ray.cluster_resources()
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    return _fitting(plan_layout(cfg, cpus, gpus), cpus, gpus)


def _fitting(layout: Layout, cpus: float, gpus: float) -> Layout:
    """The layout, if it fits; work that does not would wait forever without a word."""
    if layout.device == "cuda" and not gpus:
        raise SettingsError("the device cuda needs a GPU and the cluster has none. Use auto or cpu.")
    for kind, planned, there in (("CPUs", layout.cpus, cpus), ("GPUs", layout.gpus, gpus)):
        if planned > there + _ROUNDING:
            raise SettingsError(
                f"models, decoders and one task would take {planned:g} {kind}, the cluster has {there:g}. "
                f"Lower the counts or {kind} of SCREENALYZER_RAY__*, or add nodes."
            )
    return layout


def sweep_scratch() -> None:
    """End and remove what the local clusters of killed runs left behind; it can be gigabytes."""
    for folder in _base().glob(f"{_SCRATCH}*-*"):
        pid = folder.name.removeprefix(_SCRATCH).split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _end_orphans(folder)
            rmtree(folder, ignore_errors=True)


def _end_orphans(folder: Path) -> None:
    """Wait for the processes of a cluster whose driver is gone: they end soon, by themselves."""
    deadline = time.monotonic() + _LET_DIE_S
    while (
        left := [p for p in psutil.process_iter() if _works_in(p, folder)]
    ) and time.monotonic() < deadline:
        psutil.wait_procs(left, timeout=0.5)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    """Whether a process was started for the folder or has a file open in it, as all of Ray's have a log."""
    try:
        words, files = process.cmdline(), process.open_files()
    except psutil.Error:  # it has ended, or is another user's
        return False
    return any(str(folder) in w for w in words) or any(f.path.startswith(f"{folder}/") for f in files)


def _base() -> Path:
    """Where scratch folders lie: Ray's sockets are below, and their paths may have 107 characters at most."""
    return Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())


def _start_local(cfg: RaySettings, common: Mapping[str, Any]) -> Path:
    sweep_scratch()
    scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=_base()))
    ray.init(
        address="local",
        _node_ip_address="127.0.0.1",
        num_cpus=cfg.num_cpus or max(2, os.cpu_count() or 2),
        num_gpus=0 if cfg.device == "cpu" else None,
        object_store_memory=cfg.object_store_mb << 20,
        include_dashboard=False,
        _temp_dir=str(scratch),
        **common,
    )
    return scratch
