"""Dashboards and rules ask for figures that are there, and every figure of ours is shown somewhere."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from support.queries import (
    GRAFANA,
    PROMETHEUS,
    REPO,
    alerts,
    names_in,
    panel_queries,
    panels,
    recorded,
    rules,
)

from services.metrics.families import FAMILIES

OURS = {series for family in FAMILIES for series in family.series}
_ENDINGS = ("_total", "_bucket", "_sum", "_count")


def _asked() -> Iterator[str]:
    yield from panel_queries()
    yield from (str(r["expr"]) for r in rules())


@cache
def _ray_source() -> str:
    """Python of the installed Ray, which defines its figures by name or shows them on its own dashboards."""
    found = importlib.util.find_spec("ray")
    assert found is not None
    assert found.origin is not None
    root = Path(found.origin).parent
    places = ("dashboard/modules/metrics", "dashboard/modules/reporter", "serve/_private", "_private")
    return "\n".join(p.read_text() for place in places for p in sorted((root / place).rglob("*.py")))


def _is_of_ray(name: str) -> bool:
    bare = name.removeprefix("ray_")
    variants = {bare, *(bare.removesuffix(e) for e in _ENDINGS)}
    return any(re.search(rf"\b(?:ray_)?{v}\b", _ray_source()) for v in variants)


def test_dashboards_are_those_of_their_tool() -> None:
    done = subprocess.run(
        [sys.executable, REPO / "tools" / "dashboards.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_what_is_asked_for_is_there() -> None:
    unknown = {
        name
        for query in _asked()
        for name in names_in(query)
        if not (name in OURS or name in recorded() or (name.startswith("ray_") and _is_of_ray(name)))
    }
    assert unknown == set()


def test_a_figure_of_ray_that_is_none_would_be_noticed() -> None:
    assert _is_of_ray("ray_node_gpus_utilization")
    assert not _is_of_ray("ray_node_gpus_happiness")


def test_every_figure_of_ours_is_shown() -> None:
    behind = {str(r["record"]): names_in(str(r["expr"])) for r in rules() if "record" in r}
    shown = {name for query in panel_queries() for name in names_in(query)}
    shown |= {name for record in shown & behind.keys() for name in behind[record]}
    hidden = {f.name for f in FAMILIES if not shown & set(f.series)}
    assert hidden == set()


def test_figures_of_ray_that_are_asked_for_are_kept_by_the_scrape() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (ray,) = (c for c in config["scrape_configs"] if c["job_name"] == "ray")
    (kept,) = (r["regex"] for r in ray["metric_relabel_configs"] if r["action"] == "keep")
    asked = {n for query in _asked() for n in names_in(query) if n.startswith("ray_")}
    assert {n for n in asked if not re.fullmatch(kept, n)} == set()


@pytest.mark.parametrize("path", sorted(GRAFANA.glob("*.json")), ids=lambda p: p.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    found = json.loads(path.read_text())
    assert found["uid"] == f"screenalyzer-{path.stem}"
    assert len({p["id"] for p in found["panels"]}) == len(found["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["description"]
        assert {t["refId"] for t in panel["targets"]} == set("ABCDEFGH"[: len(panel["targets"])])


def test_the_guide_names_every_figure_dashboard_and_alert() -> None:
    guide = (REPO / "docs" / "ops" / "observe.md").read_text()
    for family in FAMILIES:
        assert f"`{family.name}" in guide, family.name
        assert family.what in guide, family.name
    for record in recorded():
        assert f"`{record}`" in guide
    for panel in panels():
        assert panel["title"] in guide
    for alert in alerts():
        assert f"\n### {alert['alert']}\n" in guide
        assert alert["annotations"]["runbook_url"] == f"docs/ops/observe.md#{alert['alert'].lower()}"
        first = guide.split(f"\n### {alert['alert']}\n")[1].split("\n### ")[0]
        assert [line[:3] for line in first.splitlines() if line[:1].isdigit()] == ["1. ", "2. ", "3. "]
