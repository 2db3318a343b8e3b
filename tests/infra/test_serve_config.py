"""`infra/serve.yaml`: one file for every kind of deployment."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from ray.serve.schema import ServeDeploySchema

from pipelines.layout import NODE_KIND
from services.host import deployed

_FILE = Path(__file__).resolve().parents[2] / "infra" / "serve.yaml"


@pytest.fixture
def config() -> ServeDeploySchema:
    return ServeDeploySchema.model_validate(yaml.safe_load(_FILE.read_text()))


@pytest.fixture
def elastic(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no cluster is needed to build for."""
    for name in ("DATABASE_URL", "REDIS_URL", "SCREENALYZER_RAY__DETECTOR_REPLICAS"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "RAY__ELASTIC": "1",
        "RAY__DEVICE": "cuda",
        "RAY__MAX_REPLICAS": "5",
        "EMBED__EMBEDDER": "dlib",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"SCREENALYZER_{name}", value)


def _build(import_path: str, args: dict[str, Any]) -> Any:
    module, name = import_path.split(":")
    return getattr(import_module(module), name)(args)._bound_deployment


def test_it_names_what_up_deploys_by_the_same_builders(config: ServeDeploySchema) -> None:
    builders = {f"{b.__module__}:{b.__name__}" for b in deployed.BUILDERS.values()}
    assert {app.import_path for app in config.applications} == builders
    assert [app.name for app in config.applications] == list(deployed.BUILDERS)
    assert {app.name: app.route_prefix for app in config.applications if app.route_prefix} == {
        "screenalyzer-api": "/"
    }


def test_its_applications_can_be_built_and_scale_from_nothing(
    config: ServeDeploySchema, elastic: None
) -> None:
    built = {app.name: _build(app.import_path, app.args) for app in config.applications}
    for name in ("screenalyzer-detector", "screenalyzer-embedder"):
        scaling = built[name]._deployment_config.autoscaling_config
        assert (scaling.min_replicas, scaling.max_replicas) == (0, 5)
        assert built[name].ray_actor_options["num_gpus"] > 0
    for name in ("screenalyzer-api", "screenalyzer-workers"):
        options = built[name].ray_actor_options
        assert (options["num_cpus"], options["label_selector"]) == (0, {NODE_KIND: "!in(gpu,cpu)"})


def test_what_an_argument_says_counts(elastic: None) -> None:
    fixed = _build("services.models:detector", {"replicas": 3})
    assert (fixed.num_replicas, fixed._deployment_config.autoscaling_config) == (3, None)
    kept = _build("services.models:embedder", {"min_replicas": 2, "max_replicas": 4})
    scaling = kept._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 4)
    for path in ("services.models:detector", "services.ingress:build", "services.work.crew:build"):
        with pytest.raises(ValidationError):
            _build(path, {"no-such": 1})
