"""A node of the cluster is lost while it works: killed, or cut off without a word. Another takes over."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.faults import FarHost, far_host
from support.main_job import PATIENCE_S, artifact_bytes, check_ends_well, checkpoints, under_way
from support.ray_nodes import RayCluster, ray_cluster, settings_for
from support.service import eventually

from screenalyzer.demo import DemoEpisode

pytestmark = [pytest.mark.ray, pytest.mark.long]

log = logging.getLogger(__name__)


@pytest.fixture
def far() -> Iterator[FarHost]:
    with far_host() as host:
        yield host


@pytest.mark.parametrize("loss", ["kill", "cut"])
def test_a_lost_node_changes_no_byte(
    loss: str, far: FarHost, quiet: dict[str, bytes], short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    with _cluster_with(far) as nodes:
        with under_way(short_season[0].video, tmp_path, _environment(nodes)) as run:
            assert nodes.processes("MapWorker")
            began = time.monotonic()
            getattr(far, loss)()
            nodes.wait_for_nodes(1)
            noticed = time.monotonic() - began
            nodes.add()  # as whatever scales the cluster does
            before = checkpoints(tmp_path)
            eventually(lambda: checkpoints(tmp_path) > before, PATIENCE_S, "a checkpoint on the new node")
            working = time.monotonic() - began
            log.info("%s: noticed after %.1f s, a checkpoint after %.1f s", loss, noticed, working)
            check_ends_well(run)
        assert artifact_bytes(tmp_path) == quiet
        if loss == "cut":
            far.heal()
            eventually(lambda: not far.running(), 120, "the node that was given up ends by itself")


def test_a_line_that_is_back_soon_costs_nothing(
    far: FarHost, quiet: dict[str, bytes], short_season: list[DemoEpisode], tmp_path: Path
) -> None:
    with _cluster_with(far) as nodes:
        with under_way(short_season[0].video, tmp_path, _environment(nodes)) as run:
            far.cut()
            time.sleep(8)
            far.heal()
            check_ends_well(run)
        assert nodes.alive() == 2
        assert artifact_bytes(tmp_path) == quiet


@contextmanager
def _cluster_with(far: FarHost) -> Iterator[RayCluster]:
    with ray_cluster(far.here) as nodes:
        nodes.add(far)
        yield nodes


def _environment(nodes: RayCluster) -> dict[str, str]:
    return {**nodes.env, **settings_for(nodes.address)}
