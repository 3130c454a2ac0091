"""Tocsin's own counters and gauges, built from the contract in :mod:`tocsin.names`.

One :class:`Telemetry` belongs to one program; tests make their own. Gauges that describe an evaluation are not here:
they are built fresh from a snapshot (:mod:`tocsin.metrics`).
"""

import platform
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tocsin import __version__, names

# A `_created` twin of every counter doubles the page and is not in the contract.
disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client


class _WhenKnown(Collector):
    """A gauge without labels that has no sample until it is set: elsewhere 0 would be a lie, and wake somebody."""

    def __init__(self, family: names.Family) -> None:
        self._family = family
        self._value: float | None = None

    def set(self, value: float) -> None:
        self._value = float(value)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily(self._family.name, self._family.help, self._value)


class Telemetry:
    """Instruments of one program. Use :meth:`count` and :meth:`gauge` with the short names of :data:`names.OWN`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._when_known: dict[str, _WhenKnown] = {}
        for short, family in names.OWN.items():
            if family.kind == "counter":
                self._counters[short] = Counter(family.name, family.help, family.labels, registry=self.registry)
            elif family.when_known:
                self._when_known[short] = _WhenKnown(family)
                self.registry.register(self._when_known[short])
            else:
                self._gauges[short] = Gauge(family.name, family.help, family.labels, registry=self.registry)
        self.set("build_info", 1, __version__, platform.python_version())

    def count(self, short: str, *labels: str, by: float = 1) -> None:
        """Add to a counter; ``labels`` are the values of the family's labels, in order."""
        counter = self._counters[short]
        (counter.labels(*labels) if labels else counter).inc(by)

    def set(self, short: str, value: float, *labels: str) -> None:
        """Set a gauge; ``labels`` are the values of the family's labels, in order."""
        if short in self._when_known:
            self._when_known[short].set(value)
            return
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
