"""Snapshot -> exposition: fresh families for every page, written from cached label bytes.

A line is `name{labels} value`. Labels change only when a resource comes or goes, so each signal keeps theirs as bytes
that all families share, and a family costs formatting the numbers (orjson does a whole array at once) and joining the
three parts of every line. Values that are absent (NaN) have no line.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as text_page
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from tocsin import metrics_slo, names
from tocsin.core.columns import Bools, Floats
from tocsin.core.forecast import REASONS
from tocsin.core.resources import Identity
from tocsin.core.settings import MODELS
from tocsin.core.snapshot import Sight, SignalView, Snapshot
from tocsin.metrics_slo import escape

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_INFINITE = {np.inf: b"+Inf", -np.inf: b"-Inf"}
#: Texts of small whole numbers.
_SMALL = np.array([b"%d.0" % number for number in range(100)], np.object_)
#: Lines that are made at once: their parts stay in the processor's cache, and the heap has room for them already.
_BLOCK = 4096

#: One published family of a signal: family, its own label values, values (C,).
Row = tuple[str, tuple[str, ...], Floats]


def _duration(seconds: int) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _severity(view: SignalView) -> Iterator[Row]:
    tier = view.grades.tier.astype(np.float64)
    yield "severity_level", (), tier if view.sight is Sight.CLEAR else np.full_like(tier, -1.0)


def _graded(view: SignalView) -> Iterator[Row]:
    g = view.grades
    yield "value", (), g.x
    yield "expected_lower", (), g.lower
    yield "expected_upper", (), g.upper
    yield "zscore", (), g.z
    yield "held_samples", (), view.held.astype(np.float64)
    for tier in (3, 4):
        yield "tier_run_start_timestamp_seconds", (str(tier),), view.since[tier - 1]


def _baseline(view: SignalView) -> Iterator[Row]:
    g = view.grades
    yield "baseline_mean", (), g.mean
    yield "baseline_mean_lower", (), g.mean_lower
    yield "baseline_mean_upper", (), g.mean_upper
    yield "baseline_stddev", (), g.stddev
    yield "baseline_samples", (), g.n.astype(np.float64)
    yield "baseline_mature", (), g.mature.astype(np.float64)
    yield "coefficient_of_variation", (), g.cv
    if view.settings.zscore is not None:
        yield "detector_severity_level", ("zscore",), g.zscore_tier.astype(np.float64)
    if view.settings.seasonal is not None:
        yield "seasonal_residual", (), g.residual
        if view.settings.seasonal.delta_scale is not None:
            yield "residual_delta", (), g.delta
        yield "seasonal_zscore", (), g.seasonal_z
        yield "detector_severity_level", ("seasonal",), g.seasonal_tier.astype(np.float64)


def _forecast(view: SignalView) -> Iterator[Row]:
    f = view.forecasts
    if f is None:
        return
    horizon = _duration(f.horizon)
    point, half = np.where(view.forecasts_known, f.published(f.point), np.nan), f.published(f.half)
    yield "forecast_value", (horizon,), point
    yield "forecast_upper", (horizon,), point + half
    yield "breach_timestamp_seconds", (), f.breach
    for index, reason in enumerate(REASONS):
        yield "no_breach", (reason,), np.where(f.reason == index, 1.0, np.nan)


def _forecast_detail(view: SignalView) -> Iterator[Row]:
    f = view.forecasts
    if f is None:
        return
    horizon = _duration(f.horizon)
    known = view.forecasts_known
    yield "forecast_lower", (horizon,), np.where(known, f.published(f.point) - f.published(f.half), np.nan)
    yield "breach_earliest_timestamp_seconds", (), f.earliest
    yield "breach_latest_timestamp_seconds", (), f.latest
    for index, model in enumerate(MODELS):
        yield "model_forecast_value", (model, horizon), np.where(known, f.point[index], np.nan)
        yield "forecast_error_ratio", (model,), f.ratio[index]
        yield "forecast_coverage_ratio", (model,), f.coverage[index]


_ESSENTIAL: tuple[Callable[[SignalView], Iterator[Row]], ...] = (_graded, _forecast)
_FULL = (*_ESSENTIAL, _baseline, _forecast_detail)
#: Families that say something of a resource without a value.
_ABOUT_ABSENCE = frozenset({"no_breach", "held_samples", "tier_run_start_timestamp_seconds"})


def rows(view: SignalView, publish: str) -> Iterator[Row]:
    """Every row that a signal publishes; while the source is blind only that nothing is known."""
    if view.sight is Sight.GONE:
        return
    yield from _severity(view)
    if view.sight is Sight.CLEAR:
        present = np.isfinite(view.grades.x)
        whole = bool(present.all())
        for part in _FULL if publish == "full" else _ESSENTIAL:
            for short, own, values in part(view):
                # What is expected of a resource that has no value now would be a frozen gauge.
                yield short, own, values if whole or short in _ABOUT_ABSENCE else np.where(present, values, np.nan)


def _labels(service: str, signal: str, identity: Identity | None) -> bytes:
    if identity is None:
        return b""
    pairs = [(names.SERVICE, service), (names.SIGNAL, signal), (names.RESOURCE, identity.resource), *identity.labels]
    text = ",".join(f'{name}="{escape(value)}"' for name, value in pairs)
    # Lone surrogates cannot be UTF-8 and must not break the page.
    return text.encode("utf-8", "replace") + b"} "


def format_values(values: Floats) -> list[bytes]:
    """Shortest decimal text of each value."""
    if values.size and values[0].is_integer() and not np.signbit(values).any() and values.max() < _SMALL.size:
        # Tiers, flags and counts: a look-up costs a fifth.
        small = values.astype(np.intp)
        if (small == values).all():
            text: list[bytes] = _SMALL[small].tolist()
            return text
    text = orjson.dumps(np.ascontiguousarray(values), option=_NUMPY)[1:-1].split(b",")
    infinite = np.isinf(values)
    if infinite.any():
        for i in np.flatnonzero(infinite):
            text[i] = _INFINITE[float(values[i])]
    return text


@dataclass(frozen=True, slots=True)
class _Signal:
    """What is kept of a signal between pages: each column's labels (C,) as bytes, and a list of those that live."""

    version: int
    labels: NDArray[np.object_]
    live: Bools
    whole: list[bytes]

    @classmethod
    def of(cls, view: SignalView) -> "_Signal":
        """Labels of every resource of the view."""
        labels = np.array([_labels(view.service, view.signal, identity) for identity in view.resources], np.object_)
        return cls(view.version, labels, view.live, labels[view.live].tolist())

    def of_present(self, present: Bools) -> list[bytes]:
        """Labels of these columns; most families have a value for all that live."""
        return self.whole if np.array_equal(present, self.live) else self.labels[present].tolist()


def _own(registry: CollectorRegistry, openmetrics: bool) -> bytes:
    if openmetrics:
        page: bytes = openmetrics_exposition.generate_latest(registry)  # type: ignore[no-untyped-call]  # untyped there
        return page
    return text_page(registry)


class Exposition:
    """Renders pages; keeps labels between them. Not for several threads at once."""

    def __init__(self, registry: CollectorRegistry, publish: str) -> None:
        """`registry` holds Tocsin's own metrics; `publish` is essential or full."""
        self._registry, self._publish = registry, publish
        self._signals: dict[tuple[str, str], _Signal] = {}

    def page(self, snapshot: Snapshot, *, openmetrics: bool = False) -> Iterator[bytes]:
        """The page as chunks of whole lines, in the order of the contract, own metrics last.

        Each chunk is made when it is asked for: a page of a hundred megabytes is never in memory as a whole.
        """
        families: dict[str, list[tuple[_Signal, tuple[str, ...], Floats]]] = {}
        kept = {}
        for view in snapshot.signals:
            signal = kept[view.service, view.signal] = self._signal(view)
            for short, own, values in rows(view, self._publish):
                families.setdefault(short, []).append((signal, own, values))
        self._signals = kept
        for short, family in names.FAMILIES.items():
            head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n".encode()
            for signal, own, values in families.pop(short, ()):
                present = signal.live & ~np.isnan(values)
                if not present.any():
                    continue
                shown = values if present.all() else values[present]
                for chunk in _lines(_beginning(family, own), signal.of_present(present), shown):
                    yield head + chunk if head else chunk
                    head = b""
        yield from metrics_slo.page(snapshot.slos)
        yield _own(self._registry, openmetrics)

    def _signal(self, view: SignalView) -> _Signal:
        known = self._signals.get((view.service, view.signal))
        current = known is not None and known.version == view.version and len(known.labels) == len(view.resources)
        return known if known is not None and current else _Signal.of(view)


def _beginning(family: names.Family, own: Sequence[str]) -> bytes:
    """A line up to the labels of its resource: the metric's name and the family's own labels."""
    extra = "".join(f'{name}="{escape(value)}",' for name, value in zip(family.labels, own, strict=True))
    return f"{family.name}{{{extra}".encode()


def _lines(beginning: bytes, labels: list[bytes], values: Floats) -> Iterator[bytes]:
    """Lines of one row, in blocks."""
    for start in range(0, len(labels), _BLOCK):
        texts = format_values(values[start : start + _BLOCK])
        # The end of a line is the beginning of the next one's first part.
        parts = [b"\n" + beginning] * (3 * len(texts) + 1)
        parts[0], parts[-1] = beginning, b"\n"
        parts[1::3] = labels[start : start + _BLOCK]
        parts[2::3] = texts
        yield b"".join(parts)
