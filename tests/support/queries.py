"""What dashboards, rules and the scrape configuration ask Prometheus for."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

REPO = Path(__file__).resolve().parents[2]
PROMETHEUS = REPO / "infra" / "prometheus"
GRAFANA = REPO / "infra" / "grafana"

_NAME = re.compile(r"(?<![\w:.\"{$])((?:screenalyzer|ray)[_:][\w:]+)")


def rules() -> list[dict[str, Any]]:
    """All rules, alerts and recorded ones."""
    files = sorted((PROMETHEUS / "rules").glob("*.yml"))
    groups = [g for f in files for g in yaml.safe_load(f.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """All alerts."""
    return [r for r in rules() if "alert" in r]


def recorded() -> set[str]:
    """Names of the figures that rules record."""
    return {r["record"] for r in rules() if "record" in r}


def panels() -> list[dict[str, Any]]:
    """All panels of all dashboards."""
    return [p for f in sorted(GRAFANA.glob("*.json")) for p in json.loads(f.read_text())["panels"]]


def panel_queries() -> list[str]:
    """Every query of every panel."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def names_in(query: str) -> set[str]:
    """Figures that a query reads."""
    return set(_NAME.findall(query))
