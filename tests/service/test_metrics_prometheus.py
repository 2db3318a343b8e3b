"""A real Prometheus reads a running service and its Ray, and the rules are evaluated there."""

from collections.abc import Iterator

import pytest
from support.desk import Desk
from support.prometheus import Prometheus, prometheus_on
from support.queries import alerts, names_in, panel_queries, recorded, rules
from support.service import RunningService, eventually

from screenalyzer import artifacts, schemas
from screenalyzer.artifacts import EpisodePaths
from screenalyzer.demo import DemoEpisode
from services.db.engine import Database
from services.db.figures import Finding
from services.metrics import chains
from services.metrics.families import FAMILIES

_PATIENCE_S = 120


@pytest.fixture(scope="module")
def prometheus(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus") / "own"
    with prometheus_on(folder, service.url, service.admin_token) as found:
        for job in ("screenalyzer", "ray"):
            eventually(
                lambda job=job: found.value(f'up{{job="{job}"}}') == 1,
                _PATIENCE_S,
                f"Prometheus reads {job}: {found.ask('targets')}",
            )
        yield found


def test_it_reads_the_service_and_ray(prometheus: Prometheus) -> None:
    assert prometheus.value("screenalyzer_redis_up") == 1
    assert prometheus.value("screenalyzer_disk_free_bytes")
    known = set(prometheus.ask("label/__name__/values"))
    foreseen = {f.series[0] for f in FAMILIES if f.kind != "gauge"}
    assert foreseen <= known
    of_ray = {
        name
        for query in panel_queries()
        for name in names_in(query)
        if name.startswith("ray_") and "gpu" not in name and "gram" not in name
    }
    # Those of requests and of errors come with the first one.
    needed = {n for n in of_ray if not n.endswith("_total") and "autoscaling" not in n}
    eventually(
        lambda: needed <= set(prometheus.ask("label/__name__/values")), _PATIENCE_S, f"{needed - known}"
    )
    targets = prometheus.ask("targets")["activeTargets"]
    assert {t["labels"]["job"] for t in targets} == {"screenalyzer", "ray"}


def test_every_query_of_dashboards_and_rules_is_one(prometheus: Prometheus) -> None:
    for query in (*panel_queries(), *(str(r["expr"]) for r in rules())):
        prometheus.query(query)


def test_rules_are_loaded_and_evaluated(prometheus: Prometheus) -> None:
    def loaded() -> dict[str, str]:
        groups = prometheus.ask("rules")["groups"]
        return {r["name"]: r["health"] for g in groups for r in g["rules"]}

    names = {a["alert"] for a in alerts()} | recorded()
    eventually(lambda: loaded() == dict.fromkeys(names, "ok"), _PATIENCE_S, "all rules are evaluated")


def test_what_a_job_made_comes_to_prometheus(
    prometheus: Prometheus, service: RunningService, desk: Desk, short_season: list[DemoEpisode]
) -> None:
    names = ("processed_frames_total", "processed_tracks_total", "processed_clustered_tracks_total")
    before = [prometheus.value(f"screenalyzer_{n}") or 0.0 for n in names]
    job = desk.wait(desk.job_of(desk.upload(short_season[0].video, "figures", episode="e")))
    assert job["state"] == "done"
    paths = EpisodePaths(service.root, "figures", "e")
    tracks = len(artifacts.read_json(paths.tracks)["tracks"])
    made = [artifacts.read_table(paths.manifest, schemas.MANIFEST).num_rows, tracks, tracks]
    wanted = [b + m for b, m in zip(before, made, strict=True)]
    eventually(
        lambda: [prometheus.value(f"screenalyzer_{n}") for n in names] == wanted, _PATIENCE_S, f"{wanted}"
    )
    assert prometheus.value('screenalyzer_stage_duration_seconds_count{stage="inference"}')
    assert prometheus.value("screenalyzer_job_pace_ratio_count")


def test_an_alert_goes_from_sql_to_prometheus(prometheus: Prometheus, service: RunningService) -> None:
    def firing() -> list[dict[str, object]]:
        found = prometheus.ask("alerts")["alerts"]
        return [a for a in found if a["labels"]["alertname"] == "AuditChainBroken"]

    assert firing() == []
    database = Database(f"sqlite:///{service.root / 'service.db'}")
    with database.write() as session:
        before = session.get(Finding, chains.NAME)
        kept = dict(before.data) if before else None
        data = {"counts": {"ok": 1, "torn": 0, "tampered": 1}, "all_lines": 5}
        session.merge(Finding(name=chains.NAME, data={**(kept or {}), **data}))
    try:
        (alert,) = eventually(firing, _PATIENCE_S, "the alert fires")
        assert alert["annotations"]["description"].startswith("1 logs were changed")
    finally:
        with database.write() as session:
            found = session.get_one(Finding, chains.NAME)
            if kept is None:
                session.delete(found)
            else:
                found.data = kept
        database.close()
    eventually(lambda: not firing(), _PATIENCE_S, "the alert ends")
