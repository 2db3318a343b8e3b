"""Figures for Prometheus, read from SQL and Redis at each scrape.

Nothing is counted in the process: there are several of them, they are replaced at any time, and each would
count its own share. No file is opened.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from screenalyzer import __version__
from services.context import Services
from services.metrics import tallies
from services.metrics.families import FAMILIES, FORESEEN, PREFIX, Family
from services.metrics.reading_archive import archive, audit_chains, review, storage
from services.metrics.reading_jobs import eta_errors, jobs, queues, uploads
from services.metrics.values import Rows, Values


class ServiceCollector(Collector):
    """Reads all figures; what is away has none, and `..._up` says so."""

    def __init__(self, services: Services) -> None:
        """Take what the process shares."""
        self._services = services

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment.

        Raises:
            OperationalError: the database is away.
        """
        settings = self._services.settings
        found: Values = {
            "build_info": {(__version__,): 1.0},
            "job_deadline_ratio": {(): settings.deadline.ratio},
        }
        with self._services.database.read() as session:
            found |= jobs(session, settings) | queues(session) | eta_errors(session) | uploads(session)
            found |= archive(session) | review(session) | storage(session) | audit_chains(session)
            counted = tallies.read(session)
        found |= self._disk() | self._redis()
        for family in FAMILIES:
            if family.kind == "gauge":
                yield from _gauge(family, found.get(family.name))
            elif family.kind == "counter":
                yield _counter(family, counted.get(family.name, {}))
            else:
                yield _histogram(family, counted.get(family.name, {}))

    def _disk(self) -> Values:
        settings = self._services.settings
        found: Values = {"disk_reserve_bytes": {(): float(settings.uploads.keep_free_bytes)}}
        with suppress(OSError):
            usage = shutil.disk_usage(settings.root)
            found["disk_free_bytes"] = {(): float(usage.free)}
            found["disk_size_bytes"] = {(): float(usage.total)}
        return found

    def _redis(self) -> Values:
        try:
            depths = self._services.streams.depths()
        except RedisError:
            return {"redis_up": {(): 0.0}}
        entries: Rows = {(queue,): float(depth) for queue, depth in depths.items()}
        return {"redis_up": {(): 1.0}, "stream_entries": entries}


def _gauge(family: Family, rows: Rows | None) -> Iterable[Metric]:
    """None for what could not be read; a family without series is told all the same."""
    if rows is None:
        return
    made = GaugeMetricFamily(PREFIX + family.name, family.what, labels=family.labels)
    for labels, value in rows.items():
        made.add_metric(labels, value)
    yield made


def _counter(family: Family, values: Mapping[str, float]) -> Metric:
    """Series that are foreseen begin at zero, so that their first growth is seen."""
    made = CounterMetricFamily(PREFIX + family.name, family.what, labels=family.labels)
    foreseen = dict.fromkeys(FORESEEN[family.labels], 0.0)
    for label, value in sorted({**foreseen, **values}.items()):
        made.add_metric(label.split("/") if family.labels else (), value)
    return made


def _histogram(family: Family, parts: Mapping[str, float]) -> Metric:
    made = HistogramMetricFamily(PREFIX + family.name, family.what, labels=family.labels)
    foreseen = {f"{label}/sum": 0.0 for label in FORESEEN[family.labels]}
    for label, (buckets, total) in tallies.histogram({**foreseen, **parts}, family.bounds).items():
        made.add_metric((label,) if family.labels else (), buckets, total)
    return made
