"""Copies on the nodes of a cluster: what leaves the object store leaves their working folders too."""

import logging
from pathlib import Path

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from screenalyzer import storage

_WAIT_S = 120.0

log = logging.getLogger(__name__)


def forget_copies(root: Path) -> None:
    """Remove what the object store has no more from this node and all that are there; else nothing.

    A node that is away now forgets with the next sweep after it is back.

    Raises:
        StoreError: the object store does not answer.
    """
    if not storage.is_mirrored(root):
        return
    storage.forget(root)
    if not ray.is_initialized():
        return
    task = ray.remote(num_cpus=0, max_retries=0)(storage.forget)
    nodes = [n["NodeID"] for n in ray.nodes() if n["Alive"]]
    there = [NodeAffinitySchedulingStrategy(n, soft=False) for n in nodes]
    asked = [task.options(scheduling_strategy=node).remote(root) for node in there]
    for ref in ray.wait(asked, num_returns=len(asked), timeout=_WAIT_S)[0]:
        try:
            ray.get(ref)
        except RayError:
            log.warning("a node did not look through its copies", exc_info=True)
