"""Tocsin's own counters and gauges, built from the contract in :mod:`tocsin.names`.

One :class:`Telemetry` belongs to one program; tests make their own. Gauges that describe an evaluation are not here:
they are built fresh from a snapshot (:mod:`tocsin.metrics`).
"""

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from tocsin import __version__, names

# A `_created` twin of every counter doubles the page and is not in the contract.
disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client


class Telemetry:
    """Instruments of one program. Use :meth:`count` and :meth:`gauge` with the short names of :data:`names.OWN`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        for short, family in names.OWN.items():
            if family.kind == "counter":
                self._counters[short] = Counter(family.name, family.help, family.labels, registry=self.registry)
            else:
                self._gauges[short] = Gauge(family.name, family.help, family.labels, registry=self.registry)
        self.set("build_info", 1, __version__, platform.python_version())

    def count(self, short: str, *labels: str, by: float = 1) -> None:
        """Add to a counter; ``labels`` are the values of the family's labels, in order."""
        counter = self._counters[short]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set(self, short: str, value: float, *labels: str) -> None:
        """Set a gauge; ``labels`` are the values of the family's labels, in order."""
        gauge = self._gauges[short]
        (gauge.labels(*labels) if labels else gauge).set(value)

    def forget(self, short: str, *labels: str) -> None:
        """Remove one child of a labelled family, so that what no longer exists is no longer exposed."""
        (self._gauges.get(short) or self._counters[short]).remove(*labels)

    def value(self, short: str, *labels: str) -> float:
        """Current value, for the status page and tests; 0 for a counter that never counted."""
        family = names.OWN[short]
        suffix = "" if family.kind == "gauge" or family.name.endswith("_total") else "_total"
        sample = self.registry.get_sample_value(family.name + suffix, dict(zip(family.labels, labels, strict=True)))
        return 0.0 if sample is None else sample
