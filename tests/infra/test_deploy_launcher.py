"""Both files of the cluster launcher: Ray's schema, autoscaler and provider, and the shell in them."""

import copy
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import boto3
import pytest
from moto import mock_aws
from ray.autoscaler._private.aws.config import bootstrap_aws
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.command_runner import _with_interactive
from ray.autoscaler._private.util import prepare_config, validate_config
from support.autoscaling import DECODER, MODEL, TASK, anywhere, launched, without_gpus
from support.deployments import INFRA, REPO, check_settings, read_env, read_yaml

from services.settings import QueueName

_CLOUD, _OWN = REPO / "ray_cluster.yaml", REPO / "ray_cluster_onprem.yaml"
_BOTH = pytest.mark.parametrize("path", [_CLOUD, _OWN], ids=["cloud", "onprem"])
_COMMANDS = (
    "setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


@_BOTH
def test_rays_schema_takes_it(path: Path) -> None:
    prepared = prepare_config(read_yaml(path))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]


@_BOTH
def test_every_file_that_is_sent_is_there_and_all_that_is_installed_is_sent(path: Path) -> None:
    mounts = read_yaml(path)["file_mounts"]
    made = {"infra/cluster.env"}  # by whoever installs, from the example
    assert {s for s in mounts.values() if not (REPO / s).exists()} <= made
    source = {Path(t).name: s for t, s in mounts.items() if Path(t).parent.name == "source"}
    packages = {"screenalyzer", "pipelines", "services", "review_ui"}
    assert set(source) == {*packages, "pyproject.toml", "constraints.txt", "README.md"}
    assert mounts[next(t for t in mounts if t.endswith("serve.yaml"))] == "infra/serve.yaml"


@_BOTH
def test_a_shell_takes_every_command(path: Path) -> None:
    config = read_yaml(path)
    for command in (c for kind in _COMMANDS for c in config[kind]):
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command


@_BOTH
def test_the_head_migrates_starts_ray_and_deploys_in_this_order(path: Path) -> None:
    head = read_yaml(path)["head_start_ray_commands"]
    order = ("screenalyzer migrate --wait", "ray start --head", "serve deploy")
    assert [next(i for i, c in enumerate(head) if o in c) for o in order] == [1, 2, 3]
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head[2]
    for command in (*head[1:4], read_yaml(path)["worker_start_ray_commands"][1]):
        assert "cluster.env; set +a" in command, "its settings are those of the cluster"


@_BOTH
def test_a_login_shell_finds_the_programs_and_they_the_settings(path: Path, tmp_path: Path) -> None:
    config = read_yaml(path)
    env_file = next(t for t, s in config["file_mounts"].items() if s == "infra/cluster.env")
    app = tmp_path / Path(env_file).parent.name
    ray = app / "venv" / "bin" / "ray"
    ray.parent.mkdir(parents=True)
    ray.write_text('#!/bin/sh\necho "$@ with $RAY_AUTH_TOKEN for $SCREENALYZER_API__CORS_ORIGINS"\n')
    ray.chmod(0o755)
    (tmp_path / ".bashrc").touch()
    (tmp_path / ".profile").write_text("PATH=$HOME/own:$PATH")
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    (command,) = (c for c in config["setup_commands"] if ".profile" in c)
    for _ in range(2):
        subprocess.run(["bash", "-c", command], env=env, check=True)
    profile = (tmp_path / ".profile").read_text().splitlines()
    assert (len(profile), profile[0]) == (2, "PATH=$HOME/own:$PATH")

    def said(command: str) -> str:
        words = " ".join(_with_interactive(command))  # as `ray exec` sends it over SSH
        done = subprocess.run(
            ["sh", "-c", words], capture_output=True, text=True, env=env, check=False,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        return done.stdout

    assert said("echo it logs in") == "it logs in\n", "before the settings are there, too"
    example = (INFRA / "cluster.env.example").read_text()
    (app / "cluster.env").write_text(example.replace("RAY_AUTH_TOKEN=", "RAY_AUTH_TOKEN=f00"))
    assert said("ray status") == 'status with f00 for ["https://screenalyzer.example.com"]\n'


@_BOTH
def test_the_versions_are_the_tested_ones(path: Path) -> None:
    install = [c for c in read_yaml(path)["setup_commands"] if "pip install" in c]
    assert len(install) == 1
    assert "-c constraints.txt '.[s3,gs]'" in install[0]
    assert "-c constraints.txt" in (REPO / "tools" / "setup.sh").read_text()
    ray = next(v for v in (REPO / "constraints.txt").read_text().split() if v.startswith("ray=="))
    assert path is _OWN or f"'{ray.replace('ray', 'ray[default]')}'" in path.read_text()


def test_the_example_of_the_environment_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    env = read_env(INFRA / "cluster.env.example")
    assert (env.pop("RAY_AUTH_TOKEN"), env.pop("SCREENALYZER_API__METRICS_TOKEN")) == ("", "")
    service, main_job = check_settings(env, monkeypatch)
    assert (main_job.ray.elastic, main_job.ray.device) == (True, "cuda")
    assert service.queues.max_workers > service.queues.workers
    assert service.api.trusted_proxies == ("127.0.0.1",)
    assert service.database.startswith("postgresql://")
    assert service.redis.startswith("redis://")


def test_what_the_example_leaves_out_are_settings_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "cluster.env"
    example = (INFRA / "cluster.env.example").read_text()
    whole.write_text(re.sub(r"^#(?=\w+=)", "", example, flags=re.MULTILINE))
    env = read_env(whole)
    assert {"RAY_REDIS_ADDRESS", "RAY_external_storage_namespace"} <= set(env)
    check_settings(env, monkeypatch)


def test_the_largest_cluster_holds_what_the_example_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    service, main_job = check_settings(read_env(INFRA / "cluster.env.example"), monkeypatch)
    queues, ray, names = service.queues, main_job.ray, get_args(QueueName)
    assert queues.max_workers > sum(queues.capacity(n) for n in names)
    gpus = ray.max_replicas * (ray.detector_gpus + ray.embedder_gpus)
    assert gpus == ray.max_replicas / 2 == 4, "as the comment there and the runbook say"
    cpus = queues.inference * (ray.decoder_actors or 1) * ray.decoder_cpus + len(names) * ray.task_cpus
    types = read_yaml(_CLOUD)["available_node_types"]
    for name in ("gpu-spot", "gpu"):
        assert gpus <= types[name]["max_workers"] * types[name]["resources"]["GPU"]
    assert cpus <= types["cpu"]["max_workers"] * types["cpu"]["resources"]["CPU"]


def test_nothing_runs_while_nothing_is_to_do() -> None:
    config = read_yaml(_CLOUD)
    assert launched(config, []) == {}
    assert {t["min_workers"] for t in config["available_node_types"].values()} == {0}


def test_models_go_to_spot_nodes_and_on_demand_where_there_are_none() -> None:
    config = read_yaml(_CLOUD)
    assert launched(config, [anywhere(MODEL)] * 4) == {"gpu-spot": 1}
    assert launched(config, [anywhere(MODEL)] * 16) == {"gpu-spot": 4}
    assert launched(config, [anywhere(MODEL)] * 4, frozenset({"gpu-spot"})) == {"gpu": 1}
    assert launched(config, [anywhere(MODEL)] * 40) == {"gpu-spot": 8, "gpu": 2}


def test_what_needs_no_gpu_gets_none() -> None:
    config = read_yaml(_CLOUD)
    work = [without_gpus(DECODER)] * 8 + [without_gpus(TASK)] * 8
    assert launched(config, work) == {"cpu": 1}
    assert launched(config, work, frozenset({"cpu"})) == {"cpu": 1}
    assert launched(config, [*work, anywhere(MODEL)]) == {"cpu": 1, "gpu-spot": 1}


def test_the_two_kinds_of_gpu_nodes_differ_in_their_price_alone() -> None:
    types = read_yaml(_CLOUD)["available_node_types"]
    spot, on_demand = types["gpu-spot"], types["gpu"]
    assert spot["resources"] == on_demand["resources"]
    assert spot["priority"] > on_demand["priority"]
    assert spot["node_config"].pop("InstanceMarketOptions") == {"MarketType": "spot"}
    assert spot["node_config"] == on_demand["node_config"]


@pytest.fixture
def amazon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Amazon's API in this process, with the two profiles that the runbook makes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps a key there
    (tmp_path / ".ssh").mkdir()
    with mock_aws():
        iam = boto3.client("iam", region_name="us-east-1")
        for kind in ("head", "worker"):
            iam.create_instance_profile(InstanceProfileName=f"screenalyzer-{kind}")
        yield boto3.client("ec2", region_name="us-east-1")


def test_rays_provider_makes_nodes_of_it(amazon: Any) -> None:
    config = prepare_config(read_yaml(_CLOUD))
    image = amazon.describe_images()["Images"][0]["ImageId"]
    for found in config["available_node_types"].values():
        assert found["node_config"]["ImageId"].startswith("resolve:ssm:")
        found["node_config"]["ImageId"] = image  # Amazon's own looks the name up
    config = AWSNodeProvider.fillout_available_node_types_resources(config)
    assert config["available_node_types"]["gpu"]["resources"]["GPU"] == 1
    config = bootstrap_aws(config)
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, found in config["available_node_types"].items():
        tags = {"ray-user-node-type": name}
        provider.create_node(copy.deepcopy(found["node_config"]), tags, 1)
    made = [i for r in amazon.describe_instances()["Reservations"] for i in r["Instances"]]
    kinds: dict[str, Any] = {
        next(t["Value"] for t in i["Tags"] if t["Key"] == "ray-user-node-type"): i for i in made
    }
    assert {n: i["InstanceType"] for n, i in kinds.items()} == {
        "head": "m7i.xlarge", "cpu": "c7i.4xlarge", "gpu-spot": "g6.2xlarge", "gpu": "g6.2xlarge",
    }  # fmt: skip
    assert [n for n, i in kinds.items() if i.get("InstanceLifecycle") == "spot"] == ["gpu-spot"]
    profiles = {n: i["IamInstanceProfile"]["Arn"].split("/")[-1] for n, i in kinds.items()}
    assert set(profiles.values()) == {"screenalyzer-head", "screenalyzer-worker"}
    assert profiles["head"] == "screenalyzer-head"
    rules = amazon.describe_security_groups(GroupNames=["screenalyzer"])["SecurityGroups"][0]["IpPermissions"]
    outside = {r["FromPort"] for r in rules if any(g["CidrIp"] == "0.0.0.0/0" for g in r["IpRanges"])}
    assert outside == {22, 443}


def test_the_machines_of_ones_own_all_join_and_stay() -> None:
    prepared = prepare_config(read_yaml(_OWN))
    (only,) = prepared["available_node_types"].values()
    assert only["min_workers"] == only["max_workers"] == len(prepared["provider"]["worker_ips"])
    assert "--labels=screenalyzer.io/kind=" in prepared["worker_start_ray_commands"][1]


def test_the_review_ui_beside_a_cluster_is_started_by_systemd() -> None:
    lines = (INFRA / "systemd" / "screenalyzer-ui.service").read_text().splitlines()
    unit = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    mounts = read_yaml(_OWN)["file_mounts"]
    assert unit["EnvironmentFile"] in mounts
    assert unit["User"] == read_yaml(_OWN)["auth"]["ssh_user"]
    words = [sys.executable, "-m", "services.cli.main", *unit["ExecStart"].split()[1:], "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
