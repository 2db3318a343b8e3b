"""The service on a cluster that grows, deployed from `infra/serve.yaml` as ops do."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from support.desk import Desk
from support.fake_cloud import FakeCloud, NodeType, fake_cloud
from support.redis_server import RealRedis
from support.service import first_login, free_port, service_environment

from screenalyzer.settings import Settings
from services.access.first_admin import ensure_first_admin
from services.context import Services
from services.db.migrate import upgrade
from services.settings import ServiceSettings

REPO = Path(__file__).resolve().parents[2]
APPS = ("screenalyzer-api", "screenalyzer-detector", "screenalyzer-embedder", "screenalyzer-workers")
_UP_S = 240


@dataclass(frozen=True)
class CloudService:
    """It, and what looks at it from outside."""

    cloud: FakeCloud
    desk: Desk
    services: Services

    def queue(self, videos: Sequence[Path], show: str) -> list[str]:
        """Upload videos as episodes of a show; returns their jobs."""
        jobs: dict[int, str] = {}

        def send(n: int) -> None:
            jobs[n] = self.desk.job_of(self.desk.upload(videos[n], show, episode=f"e{n:02}"))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(len(videos))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return [jobs[n] for n in range(len(videos))]


def serve_config(folder: Path, port: int, stand_in_s: Mapping[str, float] | None = None) -> Path:
    """A copy of `infra/serve.yaml` for one machine.

    Args:
        folder: for the copy.
        port: of the API.
        stand_in_s: by a model's name, how long a batch takes a stand-in of it, which keeps a log; the real
            ones where left out.
    """
    config = yaml.safe_load((REPO / "infra" / "serve.yaml").read_text())
    config["http_options"] |= {"host": "127.0.0.1", "port": port}
    config["proxy_location"] = "HeadOnly"  # all nodes are this machine, and would want the same port
    for app in config["applications"]:
        name = app["name"].removeprefix("screenalyzer-")
        if stand_in_s and name in stand_in_s:
            args = {"batch_s": stand_in_s[name], "told": str(folder / f"{name}.log")}
            app |= {"import_path": f"support.stand_in_models:{name}", "args": args}
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def cloud_service(
    home: Path, redis: RealRedis, types: Mapping[str, NodeType], idle_s: float,
    stand_in_s: Mapping[str, float] | None = None, **settings: str,
) -> Iterator[CloudService]:  # fmt: skip
    """The service for the time of the block, with its Admin logged in; a database in its data root.

    Args:
        home: folder for all that is kept.
        redis: that runs.
        types: of nodes.
        idle_s: after so long without work a node, a model's last replica and a spare worker are given back.
        stand_in_s: as for `serve_config`.
        settings: more variables, by name.
    """
    port = free_port()
    root = home / "data"
    root.mkdir()
    elastic = {
        "REDIS_URL": redis.url,
        "SCREENALYZER_RAY__ELASTIC": "1",
        "SCREENALYZER_RAY__IDLE_S": str(idle_s),
        "SCREENALYZER_QUEUES__IDLE_S": str(idle_s),
        "PYTHONPATH": f"{REPO}:{REPO / 'tests'}",
        **settings,
    }
    env = service_environment(home, root, **elastic)
    services = Services(ServiceSettings(data_root=root, redis_url=redis.url), Settings())
    upgrade(services.database)
    admin = ensure_first_admin(services)
    with fake_cloud(env, types, idle_s) as cloud:
        cloud.deploy(serve_config(home, port, stand_in_s))
        cloud.wait_for(APPS, _UP_S)
        url = f"http://127.0.0.1:{port}"
        logged_in = {**env, "SCREENALYZER_URL": url}
        first_login(logged_in, admin.name, str(admin.secret_path))
        kept = json.loads((home / "config" / "screenalyzer" / "credentials.json").read_text())
        token = str(kept[url]["access_token"])
        try:
            yield CloudService(cloud, Desk(url, lambda: token), services)
        finally:
            services.database.close()
            services.redis.close()
