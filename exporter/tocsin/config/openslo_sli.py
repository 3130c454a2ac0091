"""Indicators of OpenSLO -> our SLIs. Which query becomes what is said in CONFIGURATION.md."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tocsin.config import queries
from tocsin.config.faults import Path as KeyPath
from tocsin.config.foreign import Foreign, Place
from tocsin.config.types import describe
from tocsin.config.window import WINDOW, has_window

#: Sources that are asked in PromQL.
_TYPES = ("prometheus", "thanos", "mimir", "cortex", "victoriametrics")
#: What the name of a counter ends in.
_COUNTER = re.compile(r"\w*(_total|_count|_bucket)")

#: Key of our bound, or None where only a comparison says it: bounds of ours are good themselves.
_OPS = {"lte": ("above", ">"), "gte": ("below", "<"), "lt": (None, ">="), "gt": (None, "<=")}


@dataclass(frozen=True)
class Indicator:
    """The `spec` of an SLI, at a path of the document that it is in."""

    document: Foreign
    at: KeyPath

    def where(self, key: KeyPath) -> Place:
        """Position of the value under a key."""
        return self.document.place(*self.at, *key)


@dataclass(frozen=True)
class Asked:
    """An SLI as a service file has it, the key in the indicator that it is from, and what is not as it was."""

    sli: dict[str, object]
    key: KeyPath
    remarks: tuple[str, ...] = ()


def of(indicator: Indicator, sources: Mapping[str, Foreign], slo: Foreign, objective: int) -> Asked | None:
    """The SLI of one objective of an SLO; None, and faults in its documents, when it cannot be read."""
    return _Reader(indicator, sources).sli(slo, ("spec", "objectives", objective))


class _Reader:
    def __init__(self, indicator: Indicator, sources: Mapping[str, Foreign]) -> None:
        self.document, self.at, self.sources = indicator.document, indicator.at, sources

    def fault(self, message: str, *key: str) -> None:
        self.document.fault(message, *self.at, *key)

    def has(self, *key: str) -> bool:
        return self.document.look(*self.at, *key) is not None

    def sli(self, slo: Foreign, at: KeyPath) -> Asked | None:
        self.document.take(*self.at, "description")
        given = [key for key in ("ratioMetric", "thresholdMetric") if self.has(key)]
        if len(given) != 1:
            self.fault(f"found {'both' if given else 'neither'} of ratioMetric and thresholdMetric, expected one")
            return None
        return self.ratio() if given == ["ratioMetric"] else self.threshold(slo, at)

    # ------------------------------------------------------------------------------------------------ ratio

    def ratio(self) -> Asked | None:
        counter = self.document.flag(*self.at, "ratioMetric", "counter")
        given = [key for key in ("good", "bad", "total", "raw") if self.has("ratioMetric", key)]
        if given == ["raw"]:
            return self.raw()
        if given not in (["good", "total"], ["bad", "total"]):
            found = " and ".join(given) or "nothing"
            self.fault(f"found {found}, expected good and total, bad and total, or raw", "ratioMetric")
            return None
        kind: queries.Kind = "good" if given[0] == "good" else "bad"
        some, total = self.query("ratioMetric", kind), self.query("ratioMetric", "total")
        if some is None or total is None:
            return None
        plain = [not has_window(query.text) for query in (some, total)]
        if any(plain):
            asked = self.plain(kind, some, total, counter) if all(plain) else None
            if asked is None and not all(plain):
                message = "found one query with a window and one without, expected both alike"
                self.fault(message, "ratioMetric", kind)
            return asked
        found_ = queries.events(kind, some, total)
        return Asked({**found_.sli}, ("ratioMetric", kind), found_.remarks)

    def plain(
        self, kind: queries.Kind, some: queries.Query, total: queries.Query, counter: bool | None
    ) -> Asked | None:
        """Queries for the metrics themselves: counters, or numbers of events that go up and down."""
        selectors = [some.selector, total.selector]
        for key, selector in zip((kind, "total"), selectors, strict=True):
            if selector is None:
                expected = "expected a selector, the sum of one, or sums of rate() or increase() over a window"
                self.fault(f"found another expression, {expected}", "ratioMetric", key)
        if None in selectors:
            return None
        at = ("ratioMetric", kind)
        if counter is None:
            counter = all(_COUNTER.match(selector or "") for selector in selectors)
            if not counter:
                message = "found no word on whether the metrics are counters, expected counter: true or false"
                self.fault(message, "ratioMetric")
                return None
        if counter:
            return Asked({kind: selectors[0], "total": selectors[1]}, at)
        # Numbers of events at a moment: a sum over the samples weighs each moment by how much happened.
        up, down = (f"sum(sum_over_time({selector}[{WINDOW}]))" for selector in selectors)
        share = f"{up} / ({down} > 0)"
        return Asked({"ratio": share if kind == "bad" else f"1 - {share}"}, at)

    def raw(self) -> Asked | None:
        kind = self.document.take(*self.at, "ratioMetric", "rawType")
        if kind not in ("success", "failure"):
            self.fault(f"found {describe(kind)}, expected success or failure", "ratioMetric", "rawType")
            return None
        query = self.query("ratioMetric", "raw")
        if query is None:
            return None
        found = queries.ratio("bad" if kind == "failure" else "good", query)
        return Asked({**found.sli}, ("ratioMetric", "raw"), found.remarks)

    # ------------------------------------------------------------------------------------------------ threshold

    def threshold(self, slo: Foreign, at: KeyPath) -> Asked | None:
        op, value = slo.take(*at, "op"), slo.number(*at, "value")
        known = isinstance(op, str) and op in _OPS
        if not known:
            slo.fault(f"found {describe(op)}, expected one of {', '.join(_OPS)}", *at, "op")
        text = self.source("thresholdMetric")
        if not known or value is None or text is None:
            return None
        where = ("thresholdMetric", "metricSource", "spec", "query")
        query = self.parsed(text, where, fixed=False)
        if query is None:
            return None
        if has_window(query.text):
            self.fault("found a window to fill in, expected a value at a moment", *where)
            return None
        key, bad = _OPS[op]
        if key is not None:
            return Asked({"threshold": {"expr": query.text, key: value}}, where)
        # A bound of ours is good itself, that of lt and gt is not.
        return Asked({"ratio": f"(({query.text}) >= -Inf) {bad} bool {value:.15g}"}, where)

    # ------------------------------------------------------------------------------------------------ sources

    def query(self, *key: str) -> queries.Query | None:
        text = self.source(*key)
        where = (*key, "metricSource", "spec", "query")
        return None if text is None else self.parsed(text, where, fixed=True)

    def parsed(self, text: str, where: KeyPath, *, fixed: bool) -> queries.Query | None:
        try:
            return queries.parse(text, fixed=fixed)
        except ValueError as error:
            self.document.fault(str(error), *self.at, *where)
            return None

    def source(self, *key: str) -> str | None:
        """Text of the query of a metric, from a source that understands PromQL."""
        at = (*self.at, *key, "metricSource")
        found, name = self.document.take(*at, "type"), self.document.take(*at, "metricSourceRef")
        where = (*at, "type")
        if found is None and isinstance(name, str) and name in self.sources:
            found = self.sources[name].take("spec", "type")
        if found is None:
            message = "found no type, expected Prometheus (or that of a DataSource in these files, by metricSourceRef)"
            self.document.fault(message, *where)
            return None
        if not isinstance(found, str) or found.lower() not in _TYPES:
            self.document.fault(f"found {describe(found)}, expected Prometheus", *where)
            return None
        return self.document.text(*at, "spec", "query", need=True)
