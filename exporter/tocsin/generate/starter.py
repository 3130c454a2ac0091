"""A starter configuration from the metric names that a Prometheus has: what `tocsin init` writes.

Each line of the catalogue is a signal that is worth watching wherever its metrics exist. Expressions keep to names that
the exporters themselves document: node_exporter, kube-state-metrics, cAdvisor, the Prometheus client libraries' HTTP
convention, blackbox_exporter, and Prometheus itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Known:
    """A signal of the catalogue: needed metric names, and the signal as the service file has it."""

    service: str
    signal: str
    needs: tuple[str, ...]
    expr: str
    by: tuple[str, ...]
    about: str
    more: Mapping[str, Any] = field(default_factory=dict)


_RATIO_UP = {"unit": "ratio", "direction": "up", "limit": 1.0}

CATALOGUE = (
    Known(
        "nodes",
        "cpu",
        ("node_cpu_seconds_total",),
        '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))',
        ("instance",),
        "Share of processor time that is not idle.",
        _RATIO_UP,
    ),
    Known(
        "nodes",
        "memory",
        ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"),
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        ("instance",),
        "Share of memory that is not available.",
        _RATIO_UP,
    ),
    Known(
        "nodes",
        "disk",
        ("node_filesystem_avail_bytes", "node_filesystem_size_bytes"),
        'max by (instance, mountpoint) (1 - node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"} '
        '/ node_filesystem_size_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"})',
        ("instance", "mountpoint"),
        "Share of the file system that is used.",
        {**_RATIO_UP, "step": "5m", "forecast": {"horizon": "24h"}},
    ),
    Known(
        "http",
        "requests",
        ("http_requests_total",),
        "sum by (job) (rate(http_requests_total[5m]))",
        ("job",),
        "Requests per second.",
        {"unit": "per_second"},
    ),
    Known(
        "http",
        "errors",
        ("http_requests_total",),
        'sum by (job) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (job) (rate(http_requests_total[5m]))',
        ("job",),
        "Share of requests that fail with a 5xx status.",
        {"unit": "ratio", "direction": "up"},
    ),
    Known(
        "http",
        "latency-p99",
        ("http_request_duration_seconds_bucket",),
        "histogram_quantile(0.99, sum by (job, le) (rate(http_request_duration_seconds_bucket[5m])))",
        ("job",),
        "Time in which 99 % of requests are answered.",
        {"unit": "seconds", "direction": "up"},
    ),
    Known(
        "kubernetes",
        "container-memory",
        ("container_memory_working_set_bytes",),
        'sum by (namespace, pod) (container_memory_working_set_bytes{container!="",pod!=""})',
        ("namespace", "pod"),
        "Working set of the pod's containers.",
        {"unit": "bytes", "direction": "up"},
    ),
    Known(
        "kubernetes",
        "container-cpu",
        ("container_cpu_usage_seconds_total",),
        'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!="",pod!=""}[5m]))',
        ("namespace", "pod"),
        "Processor cores that the pod's containers use.",
        {"direction": "up"},
    ),
    Known(
        "kubernetes",
        "restarts",
        ("kube_pod_container_status_restarts_total",),
        "sum by (namespace) (increase(kube_pod_container_status_restarts_total[1h]))",
        ("namespace",),
        "Container restarts in the last hour.",
        {"unit": "count", "direction": "up", "min_deviation": 1},
    ),
    Known(
        "probes",
        "duration",
        ("probe_duration_seconds",),
        "probe_duration_seconds",
        ("instance",),
        "Time that a blackbox probe takes.",
        {"unit": "seconds", "direction": "up"},
    ),
    Known(
        "prometheus",
        "head-series",
        ("prometheus_tsdb_head_series",),
        "prometheus_tsdb_head_series",
        ("instance",),
        "Series in memory: grows when somebody adds labels.",
        {"unit": "count", "direction": "up"},
    ),
    Known(
        "prometheus",
        "scrape-duration",
        ("scrape_duration_seconds",),
        "max by (job) (scrape_duration_seconds)",
        ("job",),
        "Time of the slowest scrape of each job.",
        {"unit": "seconds", "direction": "up"},
    ),
)


def recognised(metrics: Collection[str]) -> list[Known]:
    """The signals of the catalogue whose metrics are all there."""
    return [known for known in CATALOGUE if all(name in metrics for name in known.needs)]


def service_file(service: str, signals: Collection[Known]) -> dict[str, Any]:
    """A service file with these signals; nothing pages."""
    return {
        "service": service,
        "signals": {
            known.signal: {"description": known.about, "expr": known.expr, "by": list(known.by), **known.more}
            for known in signals
        },
    }


def process_file(url: str, kind: str) -> dict[str, Any]:
    """The process file beside the services."""
    return {"source": {"url": url, "kind": kind}, "services": ["services/*.yml"]}
