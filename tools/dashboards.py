"""Writes infra/grafana/*.json; with --check says whether they are up to date.

A panel is a title, what it shows, its queries and a unit; the rest of Grafana's format is always the same.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TARGET = Path(__file__).resolve().parents[1] / "infra" / "grafana"
_COLUMNS, _HEIGHT = 24, 8
_SCHEMA = 39


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: of it.
        what: shown where one points at it.
        queries: expression and legend of each.
        unit: Grafana's name of it.
        kind: Grafana's.
        width: of 24 columns.
        red_at: from where on values are red, of a single number; None for never.
    """

    title: str
    what: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    red_at: float | None = None


def _number(title: str, what: str, query: str, unit: str = "short", red_at: float | None = None) -> Panel:
    return Panel(title, what, ((query, ""),), unit, "stat", 4, red_at)


def _lines(title: str, what: str, *queries: tuple[str, str], unit: str = "short") -> Panel:
    return Panel(title, what, queries, unit)


def _quantile(share: float, histogram: str, window: str, *by: str) -> str:
    """What so large a share of a histogram's observations in a window is not above."""
    sums = f"sum by ({', '.join((*by, 'le'))}) (increase({histogram}_bucket[{window}]))"
    return f"histogram_quantile({share}, {sums})"


def _per_deployment(counter: str) -> str:
    return f"sum by (deployment) (rate({counter}[5m]))"


# The figures of the service are those of the database, whichever replica tells them: max, never a sum.
OPERATIONS = (
    _number("Service", "1: Prometheus reads it.", 'max(up{job="screenalyzer"})'),
    _number("Redis", "1: it answers.", "max(screenalyzer_redis_up)"),
    _number("Overdue jobs", "Run or wait past their deadline.", "max(screenalyzer_jobs_overdue)", red_at=1),
    _number("Dead letters", "Stages given up whose job nobody has resumed.",
            "sum(max by (queue) (screenalyzer_dead_letters))", red_at=1),
    _number("Broken audit logs", "Changed, cut off or taken away.",
            'max(screenalyzer_audit_logs{verdict="tampered"})', red_at=1),
    _number("Free disk", "Where the data root lies.", "min(screenalyzer_disk_free_bytes)", "bytes"),
    _lines("Queue depth", "Stages that are due, sent to the workers, or running.",
           ("max by (queue, state) (screenalyzer_queue_runs)", "{{queue}} {{state}}")),
    _lines("Queue age", "How long the stage that waits longest has been due.",
           ("max by (queue) (screenalyzer_queue_oldest_seconds)", "{{queue}}"), unit="s"),
    _lines("Silence of running stages", "How long the stage that runs has not got on.",
           ("max by (queue) (screenalyzer_queue_silent_seconds)", "{{queue}}"), unit="s"),
    _lines("Jobs", "By state.", ("sum by (state) (max by (kind, state) (screenalyzer_jobs))", "{{state}}")),
    _lines("Workers at work", "Workers that run a stage, and messages in Redis.",
           ("max(screenalyzer_workers_busy)", "busy workers"),
           ("sum(max by (queue) (screenalyzer_stream_entries))", "messages")),
    _lines("Speed of running stages", "Seconds of video a second; above 1 is faster than real time.",
           ("max by (queue) (screenalyzer_queue_video_speed_ratio)", "{{queue}}")),
    _lines("Time of a stage", "Of stages that ended in 6 hours: half of them, and nine of ten.",
           (_quantile(0.5, "screenalyzer_stage_duration_seconds", "6h", "stage"), "{{stage}} half"),
           (_quantile(0.9, "screenalyzer_stage_duration_seconds", "6h", "stage"), "{{stage}} nine of ten"),
           unit="s"),
    _lines("Stages done", "An hour.",
           ("sum by (stage) (increase(screenalyzer_stage_duration_seconds_count[1h]))", "{{stage}}")),
    _lines("Failures", "Attempts that ended badly, an hour.",
           ("sum by (stage, reason) (increase(screenalyzer_stage_failures_total[1h]))",
            "{{stage}} {{reason}}")),
    _lines("Frames a second", "Of work at the inference, over 6 hours.",
           ("screenalyzer:inference_frames_per_second:6h", "frames/s"),
           ("sum(increase(screenalyzer_processed_frames_total[6h])) / 21600", "by the clock")),
    _lines("Video a second of work", "By stage, over 6 hours.",
           ("screenalyzer:stage_video_seconds_per_second:6h", "{{stage}}")),
    _lines("Pace of jobs", "Seconds from arrival to results for a second of video, in a day; the deadline.",
           (_quantile(0.5, "screenalyzer_job_pace_ratio", "1d"), "half"),
           (_quantile(0.9, "screenalyzer_job_pace_ratio", "1d"), "nine of ten"),
           ("max(screenalyzer_job_deadline_ratio)", "deadline")),
    _lines("Late jobs", "Share of those that ended in a day, and how many.",
           ("screenalyzer:jobs_late:ratio_1d", "share"),
           ("sum(increase(screenalyzer_jobs_late_total[1d]))", "late"),
           ("sum(increase(screenalyzer_job_pace_ratio_count[1d]))", "all")),
    _lines("Error of foretold times", "Over a stage's last 100 runs: its mean, and the mean of its size.",
           ("max by (stage) (screenalyzer_eta_error_ratio)", "{{stage}} mean"),
           ("max by (stage) (screenalyzer_eta_error_size_ratio)", "{{stage}} size"), unit="percentunit"),
    _lines("Storage", "By kind, as the last sweep measured it.",
           ("max by (kind) (screenalyzer_storage_bytes)", "{{kind}}"), unit="bytes"),
    _lines("Files", "By kind, as the last sweep measured it.",
           ("max by (kind) (screenalyzer_storage_files)", "{{kind}}")),
    _lines("Disk", "Where the data root lies.",
           ("min(screenalyzer_disk_free_bytes)", "free"), ("min(screenalyzer_disk_size_bytes)", "size"),
           ("max(screenalyzer_disk_reserve_bytes)", "never filled by uploads"), unit="bytes"),
    _lines("Uploads", "By state; bytes that have arrived, and bytes of videos.",
           ("max by (state) (screenalyzer_uploads)", "{{state}}")),
    _lines("Bytes of uploads and videos", "What has arrived, by state of the upload; videos that are kept.",
           ("max by (state) (screenalyzer_upload_bytes)", "{{state}}"),
           ("max(screenalyzer_video_bytes)", "videos"), unit="bytes"),
    _lines("Audit logs", "By verdict, and their good lines.",
           ("max by (verdict) (screenalyzer_audit_logs)", "{{verdict}}"),
           ("max(screenalyzer_audit_lines)", "lines")),
    _lines("Since the last sweep", "That verified the audit logs, and that measured the storage.",
           ("time() - max(screenalyzer_audit_verified_timestamp_seconds)", "verified"),
           ("time() - max(screenalyzer_storage_measured_timestamp_seconds)", "measured"), unit="s"),
    _lines("Version", "That answers.", ("max by (version) (screenalyzer_build_info)", "{{version}}")),
)  # fmt: skip

QUALITY = (
    _number("Episodes", "That are kept.", "max(screenalyzer_archive_episodes)"),
    _number("Reviewed episodes", "In 30 days.", 'max(screenalyzer_review_episodes{period="30d"})'),
    _number("Actions for 100 tracks", "Edits, undos and redos, in reviews of 30 days.",
            'max(screenalyzer:review_actions:per_100_tracks{period="30d"})'),
    _number("False merges", "Share of reviewed tracks that people moved out of their cluster, in 30 days.",
            'max(screenalyzer:false_merge:ratio{period="30d"})', "percentunit", 0.1),
    _number("Doubtful tracks", "Share of a day's tracks in clusters that a person should look at.",
            "max(screenalyzer:low_confidence_tracks:ratio_1d)", "percentunit", 0.3),
    _number("Doubtful clusters", "Share of all that are kept.",
            "max(screenalyzer_archive_low_confidence_clusters) / max(screenalyzer_archive_clusters)",
            "percentunit"),
    _lines("False merges", "Share of reviewed tracks, of 30 days and of all time.",
           ("max by (period) (screenalyzer:false_merge:ratio)", "{{period}}"), unit="percentunit"),
    _lines("Actions for 100 tracks", "Of 30 days and of all time.",
           ("max by (period) (screenalyzer:review_actions:per_100_tracks)", "{{period}}")),
    _lines("Reviews", "Actions, tracks of the episodes, tracks that were reviewed, tracks that were moved.",
           ("max by (period) (screenalyzer_review_actions)", "actions {{period}}"),
           ("max by (period) (screenalyzer_review_tracks)", "tracks {{period}}"),
           ("max by (period) (screenalyzer_review_reviewed_tracks)", "reviewed {{period}}"),
           ("max by (period) (screenalyzer_review_moved_tracks)", "moved {{period}}")),
    _lines("Doubtful", "Share of what was made in a day.",
           ("screenalyzer:low_confidence_tracks:ratio_1d", "tracks"),
           ("sum(increase(screenalyzer_processed_low_confidence_clusters_total[1d])) / "
            "sum(increase(screenalyzer_processed_clusters_total[1d]))", "clusters"), unit="percentunit"),
    _lines("Spread within clusters", "Cosine distance of faces to their mean: clusters made in a day.",
           (_quantile(0.5, "screenalyzer_cluster_variance", "1d"), "half"),
           (_quantile(0.9, "screenalyzer_cluster_variance", "1d"), "nine of ten"),
           ("sum(increase(screenalyzer_cluster_variance_sum[1d])) / "
            "sum(increase(screenalyzer_cluster_variance_count[1d]))", "mean")),
    _lines("Faces a frame", "Of what was processed in a day; no faces at all mean a fault.",
           ("sum(increase(screenalyzer_processed_faces_total[1d])) / "
            "sum(increase(screenalyzer_processed_frames_total[1d]))", "faces")),
    _lines("Tracks and clusters", "Made in a day.",
           ("sum(increase(screenalyzer_processed_tracks_total[1d]))", "tracks"),
           ("sum(increase(screenalyzer_processed_clustered_tracks_total[1d]))", "in clusters"),
           ("sum(increase(screenalyzer_processed_low_confidence_tracks_total[1d]))", "doubtful"),
           ("sum(increase(screenalyzer_processed_clusters_total[1d]))", "clusters")),
    _lines("Archive: frames and faces", "Of the last run of every episode.",
           ("max(screenalyzer_archive_frames)", "frames"), ("max(screenalyzer_archive_faces)", "faces")),
    _lines("Archive: tracks and clusters", "Of the last run of every episode.",
           ("max(screenalyzer_archive_tracks)", "tracks"),
           ("max(screenalyzer_archive_clusters)", "clusters")),
)  # fmt: skip

MACHINES = (
    _number("Nodes", "That tell their figures.", 'sum(up{job="ray"})'),
    _number("GPUs", "Of the cluster.", "sum(ray_node_gpus_available)"),
    _number("GPUs taken", "Share that replicas have reserved.",
            'sum(ray_resources{Name="GPU",State="USED"}) / sum(ray_resources{Name="GPU"})', "percentunit"),
    _number("CPUs taken", "Share that actors and tasks have reserved.",
            'sum(ray_resources{Name="CPU",State="USED"}) / sum(ray_resources{Name="CPU"})', "percentunit"),
    _number("Replicas", "Of all applications.", "sum(ray_serve_deployment_replica_healthy)"),
    _number("Unhealthy applications", "Whose replicas cannot start, or fail.",
            "count(min by (application) (ray_serve_application_status) <= 2) or vector(0)", red_at=1),
    _lines("GPU use", "Of each GPU.",
           ("ray_node_gpus_utilization", "{{ip}} {{GpuIndex}}"), unit="percent"),
    _lines("GPU memory", "Used of each GPU, and free.",
           ("ray_node_gram_used", "{{ip}} {{GpuIndex}} used"),
           ("ray_node_gram_available", "{{ip}} {{GpuIndex}} free"), unit="decmbytes"),
    _lines("GPUs reserved", "Of each node.",
           ('sum by (NodeAddress, State) (ray_resources{Name="GPU"})', "{{NodeAddress}} {{State}}")),
    _lines("CPU use", "Of each node.", ("ray_node_cpu_utilization", "{{ip}}"), unit="percent"),
    _lines("Memory", "Used of each node.",
           ("ray_node_mem_used / ray_node_mem_total", "{{ip}}"), unit="percentunit"),
    _lines("Object store", "Used, by where it lies, and its size; spilling makes everything slow.",
           ("sum by (NodeAddress, Location) (ray_object_store_memory)", "{{NodeAddress}} {{Location}}"),
           ('sum by (NodeAddress) (ray_resources{Name="object_store_memory"})', "{{NodeAddress}} size"),
           unit="bytes"),
    _lines("Replicas", "That are well, and that scaling wants.",
           ("sum by (application, deployment) (ray_serve_deployment_replica_healthy)",
            "{{application}} {{deployment}}"),
           ("max by (application, deployment) (ray_serve_autoscaling_target_replicas)",
            "{{application}} {{deployment}} wanted")),
    _lines("Requests at replicas", "That are worked on, and that wait for a replica.",
           ("sum by (deployment) (ray_serve_replica_processing_queries)", "{{deployment}}"),
           ("sum by (deployment) (ray_serve_deployment_queued_queries)", "{{deployment}} waiting")),
    _lines("Time of a request", "At the replica; nine of ten, over 5 minutes.",
           (_quantile(0.9, "ray_serve_deployment_processing_latency_ms", "5m", "deployment"),
            "{{deployment}}"),
           unit="ms"),
    _lines("Requests", "A second.",
           (_per_deployment("ray_serve_deployment_request_counter_total"), "{{deployment}}"),
           (_per_deployment("ray_serve_deployment_error_counter_total"), "{{deployment}} errors")),
    _lines("Replicas started", "In an hour: more than scaling explains means that they die.",
           ("sum by (deployment) (increase(ray_serve_deployment_replica_starts_total[1h]))",
            "{{deployment}}")),
    _lines("Disk of the nodes", "Free.", ("ray_node_disk_free", "{{ip}}"), unit="bytes"),
)  # fmt: skip

DASHBOARDS = {
    "operations": ("Screenalyzer: operations", OPERATIONS),
    "quality": ("Screenalyzer: quality", QUALITY),
    "machines": ("Screenalyzer: GPUs and Ray", MACHINES),
}


def render(name: str) -> str:
    """A dashboard, as Grafana imports and provisions it."""
    title, panels = DASHBOARDS[name]
    return json.dumps(_dashboard(name, title, panels), indent=1) + "\n"


def _dashboard(name: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    return {
        "uid": f"screenalyzer-{name}", "title": title, "tags": ["screenalyzer"], "schemaVersion": _SCHEMA,
        "timezone": "browser", "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "editable": True,
        "templating": {
            "list": [
                {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
            ]
        },
        "panels": _placed(panels),
    }  # fmt: skip


def _placed(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    x = y = 0
    placed = []
    for number, panel in enumerate(panels, start=1):
        height = _HEIGHT // 2 if panel.kind == "stat" else _HEIGHT
        if x + panel.width > _COLUMNS:
            x, y = 0, y + placed[-1]["gridPos"]["h"]
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": height}))
        x += panel.width
    return placed


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_at is not None:
        steps.append({"color": "red", "value": panel.red_at})
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.what, "gridPos": place,
        "datasource": source,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0 if panel.kind == "timeseries" else None,
                         "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": source, "expr": query, "legendFormat": legend,
             "range": panel.kind == "timeseries", "instant": panel.kind == "stat"}
            for n, (query, legend) in enumerate(panel.queries)
        ],
    }  # fmt: skip


def main() -> int:
    """Write, or check."""
    stale = []
    for name in DASHBOARDS:
        path, page = _TARGET / f"{name}.json", render(name)
        if "--check" not in sys.argv[1:]:
            path.write_text(page)
        elif not path.exists() or path.read_text() != page:
            stale.append(path.name)
    if stale:
        print(f"infra/grafana: {', '.join(stale)} out of date. Run tools/dashboards.py.")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
