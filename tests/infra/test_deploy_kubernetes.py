"""Kubernetes: rendered, held against its own schemas and Ray's autoscaler, and in step with itself."""

import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.serve.schema import ServeDeploySchema
from support.autoscaling import DECODER, MODEL, anywhere, launched, without_gpus
from support.deployments import INFRA, REPO, check_settings, of_kind, rendered

from screenalyzer import __version__

_VERSION = "1.37"
_OVERLAYS = ("cloud", "onprem-folder", "cpu")
_TEST_POD = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}}

Objects = list[dict[str, Any]]


@pytest.fixture(scope="module", params=_OVERLAYS)
def objects(request: pytest.FixtureRequest) -> Objects:
    """Everything that an overlay renders to."""
    return rendered(request.param)


@pytest.fixture(scope="module")
def cloud() -> Objects:
    """Likewise of the overlay for a cloud."""
    return rendered("cloud")


def _service(objects: Objects) -> dict[str, Any]:
    (found,) = of_kind(objects, "RayService")
    return found


def _cluster(objects: Objects) -> dict[str, Any]:
    found: dict[str, Any] = _service(objects)["spec"]["rayClusterConfig"]
    return found


def _ray_templates(objects: Objects) -> dict[str, dict[str, Any]]:
    cluster = _cluster(objects)
    groups = {g["groupName"]: g["template"] for g in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], **groups}


def _templates(objects: Objects) -> dict[str, dict[str, Any]]:
    """Every pod that there will be, by the name of what makes it."""
    others = [o for o in objects if o["kind"] in {"Deployment", "StatefulSet", "Job"}]
    return {**{o["metadata"]["name"]: o["spec"]["template"] for o in others}, **_ray_templates(objects)}


def _containers(objects: Objects) -> list[dict[str, Any]]:
    specs = [t["spec"] for t in _templates(objects).values()]
    return [c for s in specs for c in (*s["containers"], *s.get("initContainers", ()))]


def test_kubernetes_schemas_take_everything(objects: Objects) -> None:
    for found in objects:
        if found["kind"] != "RayService":
            kubernetes_validate.validate(found, _VERSION, strict=True)


def test_the_pods_of_ray_are_pods(objects: Objects) -> None:
    for template in _ray_templates(objects).values():
        kubernetes_validate.validate({**_TEST_POD, "template": template}, _VERSION, strict=True)


def test_it_runs_what_every_deployment_runs(objects: Objects) -> None:
    text = _service(objects)["spec"]["serveConfigV2"]
    assert text == (INFRA / "serve.yaml").read_text(), "copy infra/serve.yaml into base/rayservice.yaml"
    config = ServeDeploySchema.model_validate(yaml.safe_load(text))
    (head,) = _ray_templates(objects)["head"]["spec"]["containers"]
    ports = {p["name"]: p["containerPort"] for p in head["ports"]}
    assert config.http_options.port == ports["serve"]


def test_ray_is_the_tested_one(objects: Objects) -> None:
    version = _cluster(objects)["rayVersion"]
    assert f"ray=={version}" in (REPO / "constraints.txt").read_text().split()


def _autoscaling(objects: Objects) -> dict[str, Any]:
    """The settings that KubeRay's autoscaler makes of the cluster."""
    cluster = {"metadata": {"name": "a", "namespace": "b"}, "spec": _cluster(objects)}
    found: dict[str, Any] = _derive_autoscaling_config_from_ray_cr(cluster)
    return found


def test_rays_autoscaler_understands_it(cloud: Objects) -> None:
    types = _autoscaling(cloud)["available_node_types"]
    assert {n: (t["min_workers"], t["max_workers"]) for n, t in types.items() if n != "headgroup"} == {
        "cpu": (1, 8), "gpu-spot": (0, 8), "gpu": (0, 8),
    }  # fmt: skip
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["cpu"]["resources"]["CPU"] == 8
    assert {n: t["labels"].get("screenalyzer.io/kind") for n, t in types.items()} == {
        "headgroup": None, "cpu": "cpu", "gpu-spot": "gpu", "gpu": "gpu",
    }  # fmt: skip


def test_pods_come_where_work_waits_spot_first(cloud: Objects) -> None:
    config = _autoscaling(cloud)
    assert launched(config, []) == {"cpu": 1}
    assert launched(config, [anywhere(MODEL)] * 8) == {"cpu": 1, "gpu-spot": 2}
    assert launched(config, [anywhere(MODEL)] * 8, frozenset({"gpu-spot"})) == {"cpu": 1, "gpu": 2}
    assert launched(config, [without_gpus(DECODER)] * 16) == {"cpu": 2}


def test_settings_are_settings(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings,) = of_kind(objects, "ConfigMap", "screenalyzer-settings")
    service, main_job = check_settings(settings["data"], monkeypatch)
    (ingress,) = of_kind(objects, "Ingress", "screenalyzer-api")
    host = ingress["spec"]["rules"][0]["host"]
    assert service.api.public_url == service.api.ui_public_url == f"https://{host}"
    assert service.api.cors_origins == (f"https://{host}",)
    assert main_job.ray.elastic
    groups = _cluster(objects)["workerGroupSpecs"]
    most = max(g["maxReplicas"] for g in groups if "gpu" in g["groupName"])
    assert main_job.ray.max_replicas <= most * 4, "so many quarters of a GPU there can be"


def test_every_secret_is_in_the_example_and_none_is_filled_in(objects: Objects) -> None:
    listed = read_env_keys()
    used = set(re.findall(r'"name": "screenalyzer-secrets", "key": "(\w+)"', json.dumps(objects)))
    used |= set(re.findall(r'"key": "(\w+)", "name": "screenalyzer-secrets"', json.dumps(objects)))
    assert used == {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert used | {"auth_token", "DATABASE_URL", "REDIS_URL", "SCREENALYZER_SIGNING_KEYS"} <= listed
    assert of_kind(objects, "Secret") == []
    assert _cluster(objects)["authOptions"] == {"mode": "token", "secretName": "screenalyzer-secrets"}


def read_env_keys() -> set[str]:
    """The names in the example of the Secret, whose values are empty or have a place to fill in."""
    lines = (INFRA / "kuberay" / "secrets.env.example").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert all(not v or "<" in v for v in pairs.values())
    return set(pairs)


def test_whatever_a_pod_names_is_there(objects: Objects) -> None:
    maps = {o["metadata"]["name"] for o in of_kind(objects, "ConfigMap")}
    claims = {o["metadata"]["name"] for o in of_kind(objects, "PersistentVolumeClaim")}
    accounts = {o["metadata"]["name"] for o in of_kind(objects, "ServiceAccount")} | {None}
    for name, template in _templates(objects).items():
        spec = template["spec"]
        volumes = {v["name"]: v for v in spec.get("volumes", ())}
        own = {"data"} if name in {"postgres", "redis"} else set()  # of its claim template
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            assert {m["name"] for m in container.get("volumeMounts", ())} <= set(volumes) | own, name
        assert {v["configMap"]["name"] for v in volumes.values() if "configMap" in v} <= maps
        named = {
            v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v
        }
        assert named <= claims
        assert spec.get("serviceAccountName") in accounts


def test_services_and_rules_meet_pods_and_ports(objects: Objects) -> None:
    pods = _templates(objects).values()
    labels = [t["metadata"]["labels"] for t in pods]
    for service in of_kind(objects, "Service"):
        chosen = [t for t in pods if service["spec"]["selector"].items() <= t["metadata"]["labels"].items()]
        assert len(chosen) == 1
        ports = {p["name"]: p["containerPort"] for p in chosen[0]["spec"]["containers"][0]["ports"]}
        for port in service["spec"]["ports"]:
            assert port["port"] == ports[port.get("targetPort", port["name"])]
    for rule in (*of_kind(objects, "NetworkPolicy"), *of_kind(objects, "PodDisruptionBudget")):
        wanted = (rule["spec"].get("podSelector") or rule["spec"].get("selector") or {}).get(
            "matchLabels", {}
        )
        ours = {k: v for k, v in wanted.items() if k != "ray.io/node-type"}  # the operator's
        assert any(ours.items() <= found.items() for found in labels), rule["metadata"]["name"]


def test_both_doors_lead_somewhere_by_tls(objects: Objects) -> None:
    known = {o["metadata"]["name"] for o in of_kind(objects, "Service")}
    known.add(f"{_service(objects)['metadata']['name']}-serve-svc")  # the operator makes it
    for ingress in of_kind(objects, "Ingress"):
        (rule,), (tls,) = ingress["spec"]["rules"], ingress["spec"]["tls"]
        assert tls["hosts"] == [rule["host"]]
        assert tls["secretName"] == "screenalyzer-tls"
        assert {p["backend"]["service"]["name"] for p in rule["http"]["paths"]} <= known
    (ui,) = of_kind(objects, "Deployment", "screenalyzer-ui")
    (container,) = ui["spec"]["template"]["spec"]["containers"]
    assert "http://screenalyzer-serve-svc:8000" in container["command"]


def test_nobody_is_root_and_everything_is_looked_after(objects: Objects) -> None:
    for name, template in _templates(objects).items():
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True, name
    for container in _containers(objects):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, container["name"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"]["memory"]
        assert container["resources"]["limits"]["memory"]
    for name, template in _templates(objects).items():
        if name != "screenalyzer-migrate":
            probes = {"startupProbe", "readinessProbe", "livenessProbe"}
            assert probes <= set(template["spec"]["containers"][0]), name


def test_images_are_this_version_and_cuda_where_there_are_gpus(objects: Objects) -> None:
    images = {t["spec"]["containers"][0]["image"]: n for n, t in _ray_templates(objects).items()}
    assert set(images) == {f"screenalyzer:{__version__}", f"screenalyzer:{__version__}-cuda"}
    for name, template in _ray_templates(objects).items():
        (container,) = template["spec"]["containers"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert (gpus == "1") == container["image"].endswith("-cuda") == name.startswith("gpu")


@pytest.fixture
def guides(tmp_path: Path) -> tuple[Path, str]:
    """A copy of the files with the guide's overlay, `mine`; and what the guide adds for managed databases."""
    kuberay = tmp_path / "kuberay"
    shutil.copytree(INFRA / "kuberay", kuberay)
    (kuberay / "overlays" / "mine").mkdir()
    guide = (REPO / "docs" / "ops" / "install.md").read_text()
    blocks = [textwrap.dedent(b) for b in re.findall(r"\n +```yaml\n(.*?)\n +```", guide, flags=re.DOTALL)]
    overlay, without = blocks
    (kuberay / "overlays" / "mine" / "kustomization.yaml").write_text(f"{overlay}\n")
    return kuberay, f"{textwrap.indent(without, '  ')}\n"


def test_an_overlay_as_the_guide_has_it_names_both_images(guides: tuple[Path, str]) -> None:
    kuberay, _ = guides
    mine = kuberay / "overlays" / "mine" / "kustomization.yaml"
    mine.write_text(mine.read_text().replace(__version__, "9.9.9"))
    objects = rendered("mine", kuberay)
    image = "registry.example.com/screenalyzer:9.9.9"
    used = {n: {c["image"] for c in t["spec"]["containers"]} for n, t in _templates(objects).items()}
    assert used == {
        "postgres": {"postgres:17-bookworm"}, "redis": {"redis:7.2-bookworm"},
        **{name: {image} for name in ("head", "cpu", "screenalyzer-ui", "screenalyzer-migrate")},
        **{name: {f"{image}-cuda"} for name in ("gpu", "gpu-spot")},
    }  # fmt: skip
    (settings,) = of_kind(objects, "ConfigMap", "screenalyzer-settings")
    assert settings["data"]["SCREENALYZER_API__PUBLIC_URL"] == "https://faces.studio.example"
    for ingress in of_kind(objects, "Ingress"):
        assert ingress["spec"]["rules"][0]["host"] == "faces.studio.example"


def test_an_overlay_takes_managed_databases_as_the_guide_says(guides: tuple[Path, str]) -> None:
    kuberay, without = guides
    before = {(o["kind"], o["metadata"]["name"]) for o in rendered("mine", kuberay)}
    with (kuberay / "overlays" / "mine" / "kustomization.yaml").open("a") as file:
        file.write(without)
    after = {(o["kind"], o["metadata"]["name"]) for o in rendered("mine", kuberay)}
    kinds = ("Service", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget")
    both = {(kind, name) for kind in kinds for name in ("postgres", "redis")}
    assert before - after == {*both, ("ConfigMap", "redis")}
    assert after <= before


def test_a_drain_may_take_workers_and_nothing_else(objects: Objects) -> None:
    held = of_kind(objects, "PodDisruptionBudget")
    assert {b["metadata"]["name"] for b in held} == {"screenalyzer-head", "postgres", "redis"}
    assert {b["spec"]["maxUnavailable"] for b in held} == {0}
    config = yaml.safe_load(_service(objects)["spec"]["serveConfigV2"])
    assert config["proxy_location"] == "HeadOnly", "no worker is ever ready, so no budget could count them"


def test_a_head_starts_on_tables_of_its_version_and_finds_its_cluster_again(objects: Objects) -> None:
    (waiting,) = _ray_templates(objects)["head"]["spec"]["initContainers"]
    assert waiting["command"][:3] == ["screenalyzer", "migrate", "--check"]
    (job,) = of_kind(objects, "Job")
    assert job["spec"]["template"]["spec"]["containers"][0]["command"][:2] == ["screenalyzer", "migrate"]
    fault_tolerance = _cluster(objects)["gcsFaultToleranceOptions"]
    (redis,) = of_kind(objects, "Service", "redis")
    assert fault_tolerance["redisAddress"] == f"redis:{redis['spec']['ports'][0]['port']}"


def test_where_the_data_lies() -> None:
    def facts(overlay: str) -> tuple[str, list[str], str, set[str]]:
        objects = rendered(overlay)
        (claim,) = of_kind(objects, "PersistentVolumeClaim")
        (settings,) = of_kind(objects, "ConfigMap", "screenalyzer-settings")
        volumes = {n: t["spec"]["volumes"][0] for n, t in _ray_templates(objects).items()}
        lasting = {n for n, v in volumes.items() if "persistentVolumeClaim" in v}
        way = _service(objects)["spec"]["upgradeStrategy"]["type"]
        return settings["data"]["SCREENALYZER_DATA_ROOT"], claim["spec"]["accessModes"], way, lasting

    everywhere = {"head", "cpu", "gpu", "gpu-spot"}
    assert facts("onprem-folder") == ("/data", ["ReadWriteMany"], "NewCluster", everywhere)
    root, modes, way, lasting = facts("cloud")
    assert (root[:5], modes, way, lasting) == ("s3://", ["ReadWriteOnce"], "None", {"head"})
