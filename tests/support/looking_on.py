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

from pipelines.layout import NODE_KIND


def main() -> None:
    ray.init(namespace="looking-on", log_to_driver=False, logging_level="ERROR")
    began = time.monotonic()
    while True:
        try:
            look = {"at_s": round(time.monotonic() - began, 1), **_look()}
        except (RayError, TimeoutError):  # a busy machine answers late
            traceback.print_exc()
        else:
            sys.stdout.write(json.dumps(look) + "\n")
            sys.stdout.flush()
        time.sleep(1)


def _look() -> dict[str, Any]:
    kinds = Counter(n["Labels"].get(NODE_KIND, "head") for n in ray.nodes() if n["Alive"])
    apps = {
        name: {
            "status": app.status.value,
            "message": app.message,
            "replicas": sum(d.replica_states.get("RUNNING", 0) for d in app.deployments.values()),
        }
        for name, app in serve.status().applications.items()
    }
    named = ray.util.list_named_actors(all_namespaces=True)
    workers = sum(actor["name"].startswith("worker-") for actor in named)
    return {"nodes": kinds, "apps": apps, "workers": workers}


if __name__ == "__main__":
    main()
