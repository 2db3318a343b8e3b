"""Figures of a service as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Value by name, without the service's prefix, and label values in order of the labels' names."""
    return {
        (s.name.removeprefix("screenalyzer_"), *s.labels.values()): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
