"""One host by compose: taken by the real program, and in step with image, settings and proxy."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.certificates import self_signed
from support.deployments import INFRA, REPO, check_settings, installed_program, read_env, read_yaml
from support.programs import program

from screenalyzer import __version__

_FILE, _GPU, _EXAMPLE = INFRA / "compose.yaml", INFRA / "compose.gpu.yaml", INFRA / "compose" / "env.example"
_OURS = ("migrate", "head", "ui")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example of `infra/.env` as somebody would fill it in."""
    path = tmp_path_factory.mktemp("compose") / ".env"
    path.write_text(re.sub(r"^(\w+)=$", r"\1=f00", _EXAMPLE.read_text(), flags=re.MULTILINE))
    return path


def _config(env_file: Path, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "HOME"}}
    words = ("-f", str(_FILE), *words, "config", "--format", "json")
    command = [installed_program("docker-compose"), "--env-file", str(env_file), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=kept, check=False)
    assert not check or not done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def whole(filled: Path) -> dict[str, Any]:
    """What compose makes of the file, with every profile."""
    found: dict[str, Any] = json.loads(_config(filled, "--profile", "watch").stdout)
    return found


def test_without_its_secrets_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PUBLIC_HOST=a.example.com\n")
    done = _config(tmp_path / ".env", check=False)
    assert "set it in infra/.env" in done.stderr
    assert not done.stdout


def test_every_variable_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", _FILE.read_text() + _GPU.read_text()))
    listed = set(re.findall(r"^#?(\w+)=", _EXAMPLE.read_text(), flags=re.MULTILINE))
    assert used == listed


def test_the_settings_are_settings(whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OURS:
        service, _ = check_settings(whole["services"][name]["environment"], monkeypatch)
        assert service.api.public_url == "https://screenalyzer.example.com"
    head = whole["services"]["head"]
    service, _ = check_settings(head["environment"], monkeypatch)
    address = whole["services"]["proxy"]["networks"]["inside"]["ipv4_address"]
    assert service.api.trusted_proxies == (address,)
    assert head["environment"]["FORWARDED_ALLOW_IPS"] == address
    assert service.root == Path(head["volumes"][0]["target"])
    assert head["environment"] == whole["services"]["migrate"]["environment"]


def test_the_databases_have_the_names_and_passwords_that_are_used(whole: dict[str, Any]) -> None:
    services = whole["services"]
    made, used = services["postgres"]["environment"], services["head"]["environment"]
    assert used["DATABASE_URL"] == (
        f"postgresql://{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@postgres/{made['POSTGRES_DB']}"
    )
    assert used["REDIS_URL"] == f"redis://:{services['redis']['environment']['REDISCLI_AUTH']}@redis:6379/1"


def test_one_image_starts_in_order_and_waits_until_the_tables_are_right(whole: dict[str, Any]) -> None:
    services = whole["services"]
    assert {services[n]["image"] for n in _OURS} == {f"screenalyzer:{__version__}"}
    assert {services[n]["build"]["target"] for n in _OURS} == {"cpu"}
    assert {n: d["condition"] for n, d in services["head"]["depends_on"].items()} == {
        "postgres": "service_healthy",
        "redis": "service_healthy",
        "migrate": "service_completed_successfully",
    }
    for name in ("postgres", "redis", "ui", "proxy"):
        assert services[name]["healthcheck"]["test"]
    assert [n for n, s in services.items() if s.get("ports")] == ["grafana", "proxy"]
    assert services["grafana"]["ports"][0]["host_ip"] == "127.0.0.1"


def test_with_gpus_it_is_the_same_on_another_image(filled: Path) -> None:
    services = json.loads(_config(filled, "-f", str(_GPU)).stdout)["services"]
    assert {services[n]["image"] for n in _OURS} == {f"screenalyzer:{__version__}-cuda"}
    assert {services[n]["build"]["target"] for n in _OURS} == {"cuda"}
    assert services["head"]["environment"]["SCREENALYZER_RAY__DEVICE"] == "cuda"
    assert services["head"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_every_file_that_is_mounted_is_there(whole: dict[str, Any]) -> None:
    mounts = [v for s in whole["services"].values() for v in s.get("volumes", ()) if v["type"] == "bind"]
    places = {Path(v["source"]) for v in mounts}
    assert {p for p in places if not p.exists()} == {INFRA / "tls"}
    assert os.access(INFRA / "compose" / "redis.sh", os.X_OK)


def test_prometheus_and_grafana_find_what_they_look_for(whole: dict[str, Any]) -> None:
    services, theirs = whole["services"], INFRA / "prometheus" / "prometheus.yml"
    there = "head:8000"
    found = read_yaml(INFRA / "compose" / "prometheus.yml")
    assert found == yaml.safe_load(theirs.read_text().replace("127.0.0.1:8000", there))
    targets = {v["target"] for v in (*services["prometheus"]["volumes"], *services["prometheus"]["secrets"])}
    token = found["scrape_configs"][0]["authorization"]["credentials_file"]
    assert f"/etc/prometheus/{token}" in targets
    assert {f"/etc/prometheus/{Path(glob).parent}" for glob in found["rule_files"]} <= targets
    assert "--metrics-export-port" in services["head"]["command"]
    source = read_yaml(INFRA / "compose" / "grafana" / "datasources" / "prometheus.yaml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    folder = read_yaml(INFRA / "compose" / "grafana" / "dashboards" / "screenalyzer.yaml")["providers"][0]
    mounted = {v["target"]: v["source"] for v in services["grafana"]["volumes"]}
    assert list(Path(mounted[folder["options"]["path"]]).glob("*.json"))


def test_grafana_does_not_start_without_a_password(whole: dict[str, Any], tmp_path: Path) -> None:
    grafana = whole["services"]["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "f00"
    *shell, line = grafana["entrypoint"]
    own = tmp_path / "run.sh"
    own.write_text("#!/bin/sh\necho it starts\n")
    own.chmod(0o755)
    words = [*shell, line.replace("$$", "$").replace("/run.sh", str(own))]

    def start(**env: str) -> tuple[int, str]:
        done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
        return done.returncode, done.stdout + done.stderr

    assert start(GF_SECURITY_ADMIN_PASSWORD="f00") == (0, "it starts\n")
    refused = (1, "GRAFANA_PASSWORD: set it in infra/.env\n")
    assert start(GF_SECURITY_ADMIN_PASSWORD="") == start() == refused


def test_nginx_takes_the_proxys_configuration(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    text = (INFRA / "compose" / "nginx.conf.template").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {"PUBLIC_HOST"}
    text = text.replace("${PUBLIC_HOST}", "a.example.com")
    text = text.replace("/etc/nginx/tls/fullchain.pem", str(cert))
    text = text.replace("/etc/nginx/tls/privkey.pem", str(key))
    text = text.replace("listen 443 ssl;\n    http2 on;", "listen 443 ssl http2;")  # nginx before 1.25
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {tmp_path / kind};\n" for kind in kinds)
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"pid {tmp_path / 'pid'};\nerror_log {tmp_path / 'errors'};\nevents {{}}\n"
        f"http {{\naccess_log {tmp_path / 'access'};\n{folders}{text}}}\n"
    )
    words = [program("nginx"), "-t", "-c", str(conf), "-p", str(tmp_path), "-g", "daemon off;"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_redis_is_started_with_its_password_on_disk_and_whole(tmp_path: Path) -> None:
    there = Path(tmp_path / "docker-entrypoint.sh")
    there.write_text('#!/bin/sh\necho "$@"\ncat\n')
    there.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDISCLI_AUTH": "f00"}
    said = subprocess.check_output([INFRA / "compose" / "redis.sh"], env=env, text=True).splitlines()
    assert said[0] == "redis-server -"
    assert {"dir /data", "appendonly yes", "maxmemory-policy noeviction", "requirepass f00"} <= set(said)


def test_what_is_secret_is_ignored_by_git() -> None:
    for path in ("infra/.env", "infra/tls/privkey.pem", "infra/cluster.env", "infra/kuberay/secrets.env"):
        done = subprocess.run(["git", "-C", REPO, "check-ignore", "-q", path], check=False)
        assert done.returncode == 0, path
    assert set(read_env(_EXAMPLE).values()) == {"", "screenalyzer.example.com"}
