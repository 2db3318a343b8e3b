"""Where Prometheus finds Ray's own figures: each node has an exporter, and nodes come and go."""


def ray_nodes() -> list[str]:
    """Host and port of the exporter of each node that lives; none where this process is in no cluster."""
    import ray  # noqa: PLC0415 - whoever serves the API without a cluster does not wait for it

    if not ray.is_initialized():
        return []
    alive = [n for n in ray.nodes() if n["Alive"] and n["MetricsExportPort"]]
    return sorted(f"{_bracketed(n['NodeManagerAddress'])}:{n['MetricsExportPort']}" for n in alive)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
