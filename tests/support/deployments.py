"""The files that deployments are made from, read as their programs read them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
INFRA = REPO / "infra"

# What other programs read in the environment of the service's processes.
_OF_OTHERS = {
    "FORWARDED_ALLOW_IPS", "OMP_NUM_THREADS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_REDIS_ADDRESS",
    "RAY_REDIS_PASSWORD", "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH",
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S", "RAY_USAGE_STATS_ENABLED", "RAY_external_storage_namespace",
    "SCREENALYZER_URL", "SCREENALYZER_CA_CERT",
}  # fmt: skip


def read_yaml(path: Path) -> Any:
    """The one document of a file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file that a shell can read; those that are commented out are left out."""
    script = f"set -a; env -i sh -c 'set -a; . \"$0\"; env -0' '{path}'"
    found = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    pairs = (line.split("=", 1) for line in found.split("\0") if "=" in line)
    return {name: value for name, value in pairs if name not in {"PWD", "SHLVL", "_", "OLDPWD"}}


def installed_program(name: str) -> str:
    """A program that a package of the development environment brings."""
    return str(Path(sys.executable).with_name(name))


def rendered(overlay: str, kuberay: Path = INFRA / "kuberay") -> list[dict[str, Any]]:
    """What an overlay of Kubernetes renders to, object by object."""
    words = [_kubectl(), "kustomize", str(kuberay / "overlays" / overlay)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> list[dict[str, Any]]:
    """The objects of a kind, of a name where one is given."""
    return [o for o in objects if o["kind"] == kind and name in {None, o["metadata"]["name"]}]


def check_settings(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """See that every variable is one that some program reads, and that its value can be.

    Returns:
        The settings of the service and of the main job that they make.
    """
    from screenalyzer.settings import (  # noqa: PLC0415 - with the environment of the deployment
        Settings,
        WorkSettings,
    )
    from services.settings import ServiceSettings  # noqa: PLC0415 - likewise

    known = {*names_of(ServiceSettings), *names_of(Settings), *names_of(WorkSettings), *_OF_OTHERS}
    assert set(env) <= known, f"no program reads {sorted(set(env) - known)}"
    for name in [n for n in os.environ if n.startswith("SCREENALYZER_")]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return ServiceSettings(), Settings()


def names_of(kind: Any) -> set[str]:
    """The variables of a group of settings."""
    from pydantic import BaseModel  # noqa: PLC0415 - likewise

    names = set()
    for field, info in kind.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            names |= {f"SCREENALYZER_{field}__{f}".upper() for f in inner.model_fields}
        names.add(str(info.validation_alias or f"SCREENALYZER_{field}".upper()))
    return names


def _kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:  # skipped always: Debian 12's is older than components, so tools/programs.sh has none
        pytest.skip("kubectl 1.21 or later is not on this machine")
    return found
