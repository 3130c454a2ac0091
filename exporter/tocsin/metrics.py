"""Snapshot -> exposition: fresh families for every page, written from cached label bytes.

A line is `name{labels} value`. Labels change only when a resource comes or goes, so each signal has a template with one
`%b` per line, and a family costs formatting the numbers (orjson does a whole array at once), one substitution, and
putting its name at the beginning of each line. Values that are absent (NaN) have no line: a template belongs to the set
of those present.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import orjson
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest as text_page
from prometheus_client.openmetrics import exposition as openmetrics_exposition

from tocsin import names
from tocsin.core.columns import Bools, Floats
from tocsin.core.forecast import REASONS
from tocsin.core.resources import Identity
from tocsin.core.settings import MODELS
from tocsin.core.snapshot import Sight, SignalView, Snapshot

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_INFINITE = {np.inf: b"+Inf", -np.inf: b"-Inf"}

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


def escape(value: str) -> str:
    """A label value inside quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _labels(service: str, signal: str, identity: Identity | None) -> bytes:
    if identity is None:
        return b""
    pairs = [(names.SERVICE, service), (names.SIGNAL, signal), (names.RESOURCE, identity.resource), *identity.labels]
    text = ",".join(f'{name}="{escape(value)}"' for name, value in pairs)
    # Templates are bytes with %b in them; lone surrogates cannot be UTF-8 and must not break the page.
    return text.encode("utf-8", "replace").replace(b"%", b"%%")


def format_values(values: Floats) -> list[bytes]:
    """Shortest decimal text of each value."""
    text = orjson.dumps(np.ascontiguousarray(values), option=_NUMPY)[1:-1].split(b",")
    infinite = np.isinf(values)
    if infinite.any():
        for i in np.flatnonzero(infinite):
            text[i] = _INFINITE[float(values[i])]
    return text


@dataclass(slots=True)
class _Template:
    """Lines of the resources that are `present`, all but the metric's name and its own labels: see _lines."""

    present: Bools
    text: bytes


@dataclass(slots=True)
class _Signal:
    """What can be kept of a signal between pages: its labels, and a template for every set of resources in use."""

    version: int
    labels: list[bytes]
    whole: _Template
    parts: dict[tuple[str, tuple[str, ...]], _Template] = field(default_factory=dict)

    def template(self, short: str, own: tuple[str, ...], present: Bools) -> bytes:
        """Template for these resources; most families have a value for every one of them and share one."""
        if np.array_equal(self.whole.present, present):
            return self.whole.text
        part = self.parts.get((short, own))
        if part is None or not np.array_equal(part.present, present):
            part = self.parts[short, own] = _Template(present, _template(self.labels, present))
        return part.text


def _own(registry: CollectorRegistry, openmetrics: bool) -> bytes:
    if openmetrics:
        page: bytes = openmetrics_exposition.generate_latest(registry)  # type: ignore[no-untyped-call]  # untyped there
        return page
    return text_page(registry)


class Exposition:
    """Renders pages; keeps templates between them. Not for several threads at once."""

    def __init__(self, registry: CollectorRegistry, publish: str) -> None:
        """`registry` holds Tocsin's own metrics; `publish` is essential or full."""
        self._registry, self._publish = registry, publish
        self._signals: dict[tuple[str, str], _Signal] = {}

    def page(self, snapshot: Snapshot, *, openmetrics: bool = False) -> Iterator[bytes]:
        """The page as chunks of whole families, in the order of the contract, own metrics last.

        Each chunk is made when it is asked for: a page of a hundred megabytes is never in memory as a whole.
        """
        families: dict[str, list[tuple[_Signal, SignalView, tuple[str, ...], Floats]]] = {}
        kept = {}
        for view in snapshot.signals:
            signal = kept[view.service, view.signal] = self._signal(view)
            for short, own, values in rows(view, self._publish):
                families.setdefault(short, []).append((signal, view, own, values))
        self._signals = kept
        for short, family in names.FAMILIES.items():
            texts = (
                self._lines(signal, short, own, values, view.live)
                for signal, view, own, values in families.pop(short, ())
            )
            if lines := [text for text in texts if text]:
                head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n"
                yield b"".join([head.encode(), *lines])
        yield _own(self._registry, openmetrics)

    def _signal(self, view: SignalView) -> _Signal:
        known = self._signals.get((view.service, view.signal))
        if known is None or known.version != view.version or len(known.labels) != len(view.resources):
            labels = [_labels(view.service, view.signal, r) for r in view.resources]
            known = _Signal(view.version, labels, _Template(view.live, _template(labels, view.live)))
        return known

    def _lines(
        self, signal: _Signal, short: str, own: tuple[str, ...], values: Floats, live: NDArray[np.bool_]
    ) -> bytes:
        present = live & ~np.isnan(values)
        if not present.any():
            return b""
        lines = signal.template(short, own, present) % tuple(
            format_values(values if present.all() else values[present])
        )
        # Each line still lacks its beginning. A label value has no raw newline, so they are where lines begin.
        family = names.FAMILIES[short]
        extra = "".join(f'{name}="{escape(value)}",' for name, value in zip(family.labels, own, strict=True))
        head = f"{family.name}{{{extra}".encode()
        return head + lines.replace(b"\n", b"\n" + head)[: -len(head)]


def _template(labels: list[bytes], present: Bools) -> bytes:
    return b"".join([labels[i] + b"} %b\n" for i in np.flatnonzero(present).tolist()])
