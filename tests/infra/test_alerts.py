"""The rules are what Prometheus takes, and fire when they should; the scrape configuration is whole."""

import shutil
import subprocess
from pathlib import Path

import yaml
from support.programs import program
from support.queries import PROMETHEUS, alerts


def _promtool(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("promtool", "prometheus"), *words], capture_output=True, text=True, check=False
    )


def test_alerts_fire_when_they_should() -> None:
    done = _promtool("test", "rules", *sorted((PROMETHEUS / "tests").glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    tests = "\n".join(p.read_text() for p in (PROMETHEUS / "tests").glob("*.yml"))
    for alert in alerts():
        assert f"alertname: {alert['alert']}" in tests or f'alertname="{alert["alert"]}"' in tests
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert alert["labels"]["severity"] in {"info", "warning", "critical"}


def test_the_configuration_is_one_that_prometheus_takes(tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS, tmp_path / "p")
    named = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    token = named["scrape_configs"][0]["authorization"]["credentials_file"]
    (tmp_path / "p" / token).parent.mkdir()
    (tmp_path / "p" / token).write_text("a token")
    done = _promtool("check", "config", tmp_path / "p" / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
