"""The head as it is installed: from the wheel, by the commands of the deployments, on loopback.

Ports and folders are the test's own; all else is what the files say.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from support.deployments import INFRA, REPO, installed_program, read_env, read_yaml
from support.redis_server import RealRedis
from support.service import PASSWORD, eventually, first_login, free_port

if TYPE_CHECKING:
    from screenalyzer.demo import DemoEpisode

pytestmark = [pytest.mark.long, pytest.mark.ray]

_PROGRAMS = ("python", "ray", "serve")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `venv/bin` with the project installed from its wheel, beside the packages of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    source = folder / "source"
    for name in ("screenalyzer", "pipelines", "services", "review_ui"):
        shutil.copytree(REPO / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPO / name, source)
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "dist", source], check=True)
    (wheel,) = (folder / "dist").glob("screenalyzer-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    place = folder / "venv" / "bin"
    place.mkdir(parents=True)
    for name in _PROGRAMS:
        _script(place / name, f'exec {installed_program(name)} "$@"', folder / "site")
    _script(place / "screenalyzer", f'exec {sys.executable} -m services.cli.main "$@"', folder / "site")
    return place


def _script(path: Path, line: str, site: Path) -> None:
    path.write_text(f'#!/bin/bash\nexport PYTHONPATH={site}\ncd "${{HOME:?}}"\n{line}\n')
    path.chmod(0o755)


class Head:
    """A home for a head: its environment, ports and folders."""

    def __init__(self, home: Path, programs: Path, database: str, redis: str) -> None:
        """Lay out the files; nothing is started."""
        self.home, self.app = home, home / "app"
        self.app.mkdir(parents=True)
        (self.app / "venv").symlink_to(programs.parent)
        self.ports = {8000: free_port(), 8265: free_port(), 6379: free_port()}
        self.seen = "nothing answered"
        self.url = f"http://127.0.0.1:{self.ports[8000]}"
        example = read_env(INFRA / "cluster.env.example")
        env = {
            **{k: v for k, v in example.items() if not k.startswith("SCREENALYZER_API__")},
            "DATABASE_URL": database,
            "REDIS_URL": redis,
            "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
            "RAY_raylet_start_wait_time_s": "300",  # on a busy machine
            "SCREENALYZER_DATA_ROOT": str(home / "data"),
            "SCREENALYZER_SECRETS_DIR": str(home / "secrets"),
            "SCREENALYZER_EMBED__EMBEDDER": "dlib",
            "SCREENALYZER_EMBED__OFFLINE": "1",
            "SCREENALYZER_RAY__ELASTIC": "false",
            "SCREENALYZER_RAY__DEVICE": "cpu",
            "SCREENALYZER_RAY__DECODER_CPUS": "0.5",  # all of it on the two CPUs of the head
            "SCREENALYZER_ACCESS__HASH_MIB": "1",
        }
        (self.app / "cluster.env").write_text("".join(f"{k}='{v}'\n" for k, v in env.items()))
        serve = (INFRA / "serve.yaml").read_text().replace("0.0.0.0", "127.0.0.1")
        (self.app / "serve.yaml").write_text(serve.replace("port: 8000", f"port: {self.ports[8000]}"))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SCREENALYZER_", "RAY_"))}
        self.env = {**kept, **env, "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}
        # Ray's sockets lie below it, and a socket's path has 107 characters at most.
        self.ray = Path(f"/tmp/screenalyzer-head-{os.getpid()}-{self.ports[6379]}")
        own = {name: free_port() for name in (
            "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "ray-client-server-port",
            "metrics-export-port", "object-manager-port",
        )}  # fmt: skip
        self.options = [f"--{name}={port}" for name, port in own.items()]
        self.options += [f"--temp-dir={self.ray}", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
        self.options += [f"--port={self.ports[6379]}", f"--object-store-memory={512 << 20}"]

    def screenalyzer(self, *words: str, stdin: str = "") -> str:
        """Run the installed command line; returns what it printed."""
        env = {**self.env, "SCREENALYZER_URL": self.url}
        done = subprocess.run(
            [str(self.app / "venv/bin/screenalyzer"), *words], env=env, input=stdin, capture_output=True,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def running(self) -> bool:
        """Whether the API answers and every application of the file runs."""
        headers = {"Authorization": f"Bearer {self.env['RAY_AUTH_TOKEN']}"}
        try:
            health = httpx.get(f"{self.url}/v1/health", timeout=30).json()
            told = httpx.get(
                f"http://127.0.0.1:{self.ports[8265]}/api/serve/applications/", headers=headers, timeout=30
            ).json()
        except (httpx.HTTPError, ValueError):
            return False
        states = {n: a["status"] for n, a in told["applications"].items()}
        self.seen = f"{health}, {states}"
        wanted = {a["name"] for a in read_yaml(INFRA / "serve.yaml")["applications"]}
        return health["status"] == "ok" and states == dict.fromkeys(wanted, "RUNNING")

    def wait_running(self, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Wait until it does; not on, where the process ends that is to bring it up."""

        def look() -> bool:
            assert process is None or process.poll() is None, "the head has ended"
            return self.running()

        try:
            eventually(look, 500, "all four applications run")
        except AssertionError as e:
            raise AssertionError(f"{e}; seen last: {self.seen}") from None

    def processes(self) -> list[psutil.Process]:
        """What runs of its Ray."""
        return [p for p in psutil.process_iter() if str(self.ray) in _words(p)]

    def end(self) -> None:
        """End what is left of it, and nothing else."""
        for process in self.processes():
            process.send_signal(signal.SIGTERM)
        psutil.wait_procs(self.processes(), 20)
        for process in self.processes():
            process.kill()
        shutil.rmtree(self.ray, ignore_errors=True)


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@pytest.fixture
def head(tmp_path: Path, programs: Path, database_url: str, real_redis: RealRedis) -> Iterator[Head]:
    """Of this test's own database and Redis; ended with it."""
    made = Head(tmp_path / "home", programs, database_url, real_redis.url)
    yield made
    made.end()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_container_as_head_does_the_work(head: Head, short_season: "list[DemoEpisode]") -> None:
    found = json.loads(head.screenalyzer("migrate", "--wait", "60", "--json"))
    shutil.copy(INFRA / "head.sh", head.app)
    env = {**head.env, "RAY_DASHBOARD_ADDRESS": f"http://127.0.0.1:{head.ports[8265]}"}
    with subprocess.Popen(
        [head.app / "head.sh", *head.options], env=env, stdin=subprocess.DEVNULL
    ) as process:
        head.wait_running(process)
        head.screenalyzer("login", "--user", found["admin"], "--secret-file", found["secret"])
        head.screenalyzer("users", "password", "--password-stdin", stdin=f"{PASSWORD}\n")
        sent = head.screenalyzer("upload", str(short_season[0].video), "--show", "t", "--wait", "--json")
        assert json.loads(sent)[0]["job"]["state"] == "done"
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    eventually(lambda: head.processes() == [], 60, "all of Ray has ended with it")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_launchers_commands_bring_a_head_up(head: Head) -> None:
    commands = read_yaml(REPO / "ray_cluster_onprem.yaml")["head_start_ray_commands"]
    assert "ray stop" in commands[0], "it would end every Ray on this machine"
    for command in commands[1:]:
        line = re.sub(
            r"--(port|object-manager-port|metrics-export-port|num-cpus|autoscaling-config)=\S+", "", command
        )
        line = line.replace(
            "ray start --head",
            f"ray start --head --dashboard-port={head.ports[8265]} " + " ".join(head.options),
        ).replace("8265 ", f"{head.ports[8265]} ")
        line = line.replace("/8265)", f"/{head.ports[8265]})")
        done = subprocess.run(
            ["bash", "-c", line], env=head.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, line
    head.wait_running()
    secret = head.home / "secrets" / "first-admin-secret"
    first_login({**head.env, "SCREENALYZER_URL": head.url}, "admin", str(secret))
