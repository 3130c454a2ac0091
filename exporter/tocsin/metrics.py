"""Snapshot -> exposition: fresh families for every page, written from cached label bytes.

A line is `name{labels} value`. Everything but the value changes only when a resource comes or goes, so each family of
each signal has a template with one `%b` per line, and a page costs formatting the numbers (orjson does a whole array at
once) and one substitution. Values that are absent (NaN) have no line: the template belongs to the set of those present.
"""

from collections.abc import Callable, Iterable, Iterator
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
    point, half = f.published(f.point), f.published(f.half)
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
    yield "forecast_lower", (horizon,), f.published(f.point) - f.published(f.half)
    yield "breach_earliest_timestamp_seconds", (), f.earliest
    yield "breach_latest_timestamp_seconds", (), f.latest
    for index, model in enumerate(MODELS):
        yield "model_forecast_value", (model, horizon), f.point[index]
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
    present: Bools
    text: bytes


@dataclass(slots=True)
class _Signal:
    """What can be kept of a signal between pages."""

    version: int
    labels: list[bytes]
    templates: dict[tuple[str, tuple[str, ...]], _Template] = field(default_factory=dict)


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

    def page(self, snapshot: Snapshot, *, openmetrics: bool = False) -> list[bytes]:
        """The page as chunks of whole families, in the order of the contract, own metrics last."""
        lines: dict[str, list[bytes]] = {short: [] for short in names.FAMILIES}
        kept = {}
        for view in snapshot.signals:
            signal = kept[view.service, view.signal] = self._signal(view)
            for short, own, values in rows(view, self._publish):
                if text := self._lines(signal, short, own, values, view.live):
                    lines[short].append(text)
        self._signals = kept
        chunks = []
        for short, texts in lines.items():
            if texts:
                family = names.FAMILIES[short]
                chunks += [f"# HELP {family.name} {family.help}\n# TYPE {family.name} gauge\n".encode(), *texts]
        chunks.append(_own(self._registry, openmetrics))
        return chunks

    def _signal(self, view: SignalView) -> _Signal:
        known = self._signals.get((view.service, view.signal))
        if known is None or known.version != view.version or len(known.labels) != len(view.resources):
            known = _Signal(view.version, [_labels(view.service, view.signal, r) for r in view.resources])
        return known

    def _lines(
        self, signal: _Signal, short: str, own: tuple[str, ...], values: Floats, live: NDArray[np.bool_]
    ) -> bytes:
        present = live & ~np.isnan(values)
        template = signal.templates.get((short, own))
        if template is None or not np.array_equal(template.present, present):
            template = signal.templates[short, own] = _Template(present, _template(signal.labels, present, short, own))
        if not template.text:
            return b""
        return template.text % tuple(format_values(values if present.all() else values[present]))


def _template(labels: list[bytes], present: Bools, short: str, own: Iterable[str]) -> bytes:
    family = names.FAMILIES[short]
    extra = "".join(f',{name}="{escape(value)}"' for name, value in zip(family.labels, own, strict=True))
    head, tail = f"{family.name}{{".encode(), f"{extra}}} ".encode() + b"%b\n"
    return b"".join([head + labels[i] + tail for i in np.flatnonzero(present).tolist()])
