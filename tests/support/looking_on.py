"""`python -m support.looking_on`: says each second, in a line of JSON, what runs on RAY_ADDRESS.

A program of its own, since a process keeps to one way of authentication with Ray, and tests begin clusters of
several kinds.
"""

import json
import sys
import time
import traceback
from collections import Counter
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.util.state import list_actors
from ray.util.state.exception import RayStateApiException

from pipelines.layout import NODE_KIND


def main() -> None:
    ray.init(namespace="looking-on", log_to_driver=False, logging_level="ERROR")
    began = time.monotonic()
    while True:
        try:
            look = {"at_s": round(time.monotonic() - began, 1), **_look()}
        except (RayError, RayStateApiException, TimeoutError):  # a busy machine answers late
            traceback.print_exc()
        else:
            sys.stdout.write(json.dumps(look) + "\n")
            sys.stdout.flush()
        time.sleep(1)


def _look() -> dict[str, Any]:
    kind_of = {n["NodeID"]: n["Labels"].get(NODE_KIND, "head") for n in ray.nodes() if n["Alive"]}
    apps = {
        name: {
            "status": app.status.value,
            "message": app.message,
            "replicas": sum(d.replica_states.get("RUNNING", 0) for d in app.deployments.values()),
        }
        for name, app in serve.status().applications.items()
    }
    alive = list_actors(filters=[("state", "=", "ALIVE")], limit=10_000)
    workers = Counter(kind_of.get(actor.node_id, "gone") for actor in alive if actor.class_name == "Worker")
    boards = sum(actor.class_name == "Board" for actor in alive)
    return {"nodes": Counter(kind_of.values()), "apps": apps, "workers": workers, "boards": boards}


if __name__ == "__main__":
    main()
