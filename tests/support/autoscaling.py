"""What Ray's autoscaler makes of a cluster's node types, asked without a cluster."""

from typing import Any

from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.common_pb2 import LABEL_OPERATOR_NOT_IN

# A replica of a model with a GPU, a decoder, and a stage's task: as the files of the deployments have them.
MODEL, DECODER, TASK = {"CPU": 0.4, "GPU": 0.25}, {"CPU": 1.0}, {"CPU": 0.25}
_KIND = "screenalyzer.io/kind"


def without_gpus(resources: dict[str, float]) -> Any:
    """A request that keeps away from nodes with GPUs, as decoders and tasks do."""
    return ResourceRequestUtil.make(resources, label_selectors=[[(_KIND, LABEL_OPERATOR_NOT_IN, ["gpu"])]])


def anywhere(resources: dict[str, float]) -> Any:
    """A request that goes where its resources are."""
    return ResourceRequestUtil.make(resources)


def launched(
    config: dict[str, Any], wanted: list[Any], failed: frozenset[str] = frozenset()
) -> dict[str, int]:
    """The nodes that would be started on a cluster that has only its head.

    Args:
        config: of the cluster launcher, or of KubeRay's autoscaler.
        wanted: what waits for resources.
        failed: node types that the cloud has just not had.
    """
    cfg = AutoscalingConfig(config, skip_content_hash=True)
    away = dict.fromkeys(failed, 0.0)
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=cfg.get_node_type_configs(),
            max_num_nodes=cfg.get_max_num_nodes(),
            resource_requests=ResourceRequestUtil.group_by_count(wanted),
            cloud_resource_availabilities=away,
            recoverable_resource_availabilities=away,
        )
    )
    return {r.instance_type: r.count for r in reply.to_launch if r.instance_type != cfg.get_head_node_type()}
