"""What the services around the music school expose: the metrics that the examples ask for, at values that are well.

A page says `job` and `instance` itself, as if each had been scraped from where it belongs: one target stands for all of
them. Their day is the same at every hour, so that a demonstration may begin at any time.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tocsin.demo.load import Kind, Load

DAY, GB = 86_400, 1e9


class Row(NamedTuple):
    """One line of the table; each value of `each` is a series of its own."""

    metric: str
    kind: Kind
    base: float
    swing: float
    labels: Mapping[str, str]
    each: Mapping[str, tuple[str, ...]] = {}
    bursts: bool = False
    recorded: bool = False


class Durations(NamedTuple):
    """A histogram (a summary without `shares`): events per second, their mean, the share of them up to each bound."""

    metric: str
    rate: float
    mean: float
    labels: Mapping[str, str]
    shares: Mapping[float, float] = {}


def _amas() -> Iterator[Row | Durations]:
    job = {"job": "amas"}
    nodes = {"instance": ("amas-1", "amas-2")}
    one = {"job": "amas", "instance": "amas-1"}
    node = {"job": "amas-node"}
    yield Row("http_requests_total", "counter", 525, 0.01, job, nodes)
    yield Row("http_errors_total", "counter", 1, 0.02, {**job, "status": "500"}, nodes)
    shares = {0.05: 0.6, 0.1: 0.92, 0.25: 0.985, 0.5: 0.998, 1.0: 1, 2.5: 1}
    yield Durations("http_request_duration_seconds", 1050, 0.06, one, shares)
    # In milliseconds, as the runbook has it.
    shares = {10: 0.3, 50: 0.8, 100: 0.95, 250: 1, 500: 1, 1000: 1}
    yield Durations("amas_decision_write_duration", 300 / 3600, 34, one, shares)
    yield Durations("amas_monitoring_overhead_seconds", 1050, 0.04, one)
    yield Row("cache_hit", "counter", 910, 0.01, one)
    yield Row("cache_miss", "counter", 90, 0.01, one)
    yield Row("amas_queue_size", "whole", 60, 0.2, one, {"type": ("decision", "insight", "feedback")})
    yield Row("node_cpu_seconds_total", "amount", 0.62, 0.02, {**node, "cpu": "0", "mode": "idle"}, nodes)
    yield Row("node_memory_MemAvailable_bytes", "whole", 9 * GB, 0.01, node, nodes)
    yield Row("node_memory_MemTotal_bytes", "whole", 16 * GB, 0, node, nodes)
    yield Row("process_resident_memory_bytes", "whole", 0.3 * GB, 0.01, job, nodes)
    yield Row("amas_active_users", "whole", 180, 0.05, one)
    yield Row("prisma_pool_connections_busy", "whole", 6, 0.2, job, nodes)


def _learning() -> Iterator[Row | Durations]:
    job = {"job": "learning", "instance": "learning-1"}
    # The bounds at which a run of each kind is too long: it has not happened.
    for operation, mean in (("PATTERN_EXTRACTION", 95.0), ("CALIBRATION", 240.0), ("SNAPSHOT", 40.0)):
        labels = {**job, "operation": operation, "trigger": "SCHEDULED"}
        yield Row("learning_operations_total", "counter", 1 / 3600, 0, {**labels, "status": "SUCCESS"})
        others = {"status": ("FAILURE", "TIMEOUT", "BLOCKED")}
        yield Row("learning_operations_total", "counter", 0, 0, labels, others)
        shares = {60.0: float(mean < 60), 300.0: 1.0, 600.0: 1.0}
        yield Durations("learning_operation_duration_seconds", 1 / 3600, mean, {**job, "operation": operation}, shares)
    yield Row("learning_drift", "gauge", 0.03, 0.2, job)


def _maestro() -> Iterator[Row | Durations]:
    api = {"job": "maestro-api", "instance": "maestro-1"}
    kubernetes = {"job": "kubernetes", "instance": "maestro"}
    nodes = {"node": ("maestro-a", "maestro-b")}
    yield Row("business_signups_total", "counter", 0.05, 0.05, api)
    yield Row("business_revenue_total", "amount", 2.5, 0.05, api)
    yield Row("business:revenue_per_minute", "gauge", 150, 0.05, {}, recorded=True)
    tenants = {"tenant": ("north", "south")}
    yield Row("probe_success", "whole", 1, 0, {"job": "maestro-auth-health", "instance": "auth"}, tenants)
    yield Row("container_cpu_usage_seconds_total", "amount", 2.1, 0.01, {**kubernetes, "id": "/"}, nodes)
    yield Row("container_memory_working_set_bytes", "whole", 8 * GB, 0.01, {**kubernetes, "id": "/"}, nodes)
    for resource, unit, much in (("cpu", "core", 4), ("memory", "byte", 16 * GB)):
        labels = {**kubernetes, "resource": resource, "unit": unit}
        yield Row("kube_node_status_allocatable", "whole", much, 0, labels, nodes)
    yield Row("http_requests_total", "counter", 40, 0.02, {**api, "code": "200"})
    yield Row("http_requests_total", "counter", 0.004, 0, {**api, "code": "503"}, bursts=True)
    shares = {0.05: 0.5, 0.1: 0.9, 0.25: 0.99, 0.5: 0.999, 1.0: 1.0}
    yield Durations("http_request_duration_seconds", 40, 0.06, api, shares)
    labels = {**api, "tocsin_service": "maestro", "action": "restart"}
    yield Row("service_auto_remediations_total", "counter", 0, 0, labels, {"result": ("ok", "failed")})


def _pynomaly() -> Iterator[Row | Durations]:
    web = {"job": "pynomaly", "instance": "web-1"}
    node = {"job": "pynomaly-node"}
    nodes = {"instance": ("web-1", "web-2")}
    database = {"job": "pynomaly-postgres", "instance": "db-1"}
    health = {"job": "pynomaly-health", "instance": "https://pynomaly.example.com/health"}
    yield Row("http_requests_total", "counter", 80, 0.02, {**web, "code": "200"})
    yield Row("http_requests_total", "counter", 0.02, 0, {**web, "code": "500"})
    yield Durations("http_request_duration_seconds", 80, 0.12, web)
    yield Row("node_cpu_seconds_total", "amount", 0.7, 0.01, {**node, "cpu": "0", "mode": "idle"}, nodes)
    yield Row("node_memory_MemAvailable_bytes", "whole", 8 * GB, 0.01, node, nodes)
    yield Row("node_memory_MemTotal_bytes", "whole", 16 * GB, 0, node, nodes)
    yield Row("node_disk_io_time_seconds_total", "amount", 0.15, 0.05, {**node, "device": "vda"}, nodes)
    yield Row("node_network_transmit_bytes_total", "counter", 0.012 * GB, 0.02, {**node, "device": "eth0"}, nodes)
    yield Row("node_network_speed_bytes", "whole", 0.125 * GB, 0, {**node, "device": "eth0"}, nodes)
    disk = {**node, "device": "/dev/vda1", "fstype": "ext4", "mountpoint": "/"}
    yield Row("node_filesystem_avail_bytes", "whole", 45 * GB, 0.001, disk, nodes)
    yield Row("node_filesystem_size_bytes", "whole", 100 * GB, 0, disk, nodes)
    active = {**database, "datname": "pynomaly_prod", "state": "active"}
    yield Row("pg_stat_activity_count", "whole", 22, 0.1, active)
    yield Row("pg_settings_max_connections", "whole", 100, 0, database)
    replica = {"job": "pynomaly-postgres-replica", "instance": "db-2"}
    yield Row("pg_replication_lag_seconds", "gauge", 0.4, 0.2, replica)
    yield Row("pg_database_size_bytes", "whole", 210 * GB, 0.001, {**database, "datname": "pynomaly_prod"})
    yield Row("probe_success", "whole", 1, 0, health)
    yield Row("probe_ssl_earliest_cert_expiry", "moment", 80 * DAY, 0, health)
    yield Row("pynomaly_backup_last_success_timestamp_seconds", "moment", -5 * 3600, 0, {**node, "instance": "db-1"})


def _series(row: Row) -> Iterator[Load]:
    combined: list[dict[str, str]] = [dict(row.labels)]
    for label, values in row.each.items():
        combined = [{**labels, label: value} for labels in combined for value in values]
    for labels in combined:
        key = tuple(sorted(labels.items()))
        yield Load(row.metric, key, row.kind, row.base, row.swing, bursts=row.bursts, recorded=row.recorded)


def _histogram(of: Durations) -> Iterator[Load]:
    """All of it swings together: its buckets are parts of its count, and its sum is a multiple of that."""
    labels = tuple(sorted(of.labels.items()))
    phase = f"{of.metric} {labels}"
    for bound, share in (*of.shares.items(), *([(float("inf"), 1.0)] if of.shares else ())):
        le = ("le", "+Inf" if bound == float("inf") else repr(float(bound)))
        yield Load(f"{of.metric}_bucket", (*labels, le), "counter", of.rate * share, 0.02, phase)
    yield Load(f"{of.metric}_count", labels, "counter", of.rate, 0.02, phase)
    yield Load(f"{of.metric}_sum", labels, "counter", of.rate, 0.02, phase, mean=of.mean)


def _all(rows: Iterable[Row | Durations]) -> Iterator[Load]:
    for row in rows:
        yield from _series(row) if isinstance(row, Row) else _histogram(row)


#: Every series, those of a metric one after the other, as the text format asks for.
LOADS = tuple(
    sorted(
        (load for table in (_amas, _learning, _maestro, _pynomaly) for load in _all(table())),
        key=lambda load: load.metric,
    )
)
