"""Configuration -> specs: each signal of each service as the engine runs it, with every default worked out."""

from collections.abc import Mapping

from tocsin.budgets import SloSpec
from tocsin.config.escalation_checks import longest_after
from tocsin.config.load import Config
from tocsin.config.models import CalendarModel, Maintenance, Service, Signal
from tocsin.config.signals import relearn_after
from tocsin.core.budget import Terms
from tocsin.core.calendar import Calendar, Recurring, Single, Windows
from tocsin.core.settings import Forecast, Seasonal, Settings
from tocsin.core.tiers import TierTable
from tocsin.generate.slo import KINDS, Objective, inline_exprs, objectives
from tocsin.source.freshness import timestamp_expr, why_unstamped
from tocsin.spec import Spec

#: Seconds for which a resource that is gone keeps its state and its tier of -1 (docs/numbers.md, section 1).
FORGET_AFTER = 3600
#: A sample is no older than this unless two intervals are longer: what is scraped every minute is not stale at 61 s.
STALE_AFTER = 120
#: Where tier 1 of a residual delta begins, unless it is tuned.
DELTA_THRESHOLD = TierTable().delta[0]


def _seasonal(signal: Signal) -> Seasonal | None:
    model = signal.detect.seasonal
    if model is None or signal.season_slots is None:
        return None
    return Seasonal(
        slots=signal.season_slots,
        threshold=model.threshold,
        delta_threshold=DELTA_THRESHOLD if model.delta_threshold is None else model.delta_threshold,
        delta_scale=1.0 if signal.unit == "ratio" and signal.scale is None else signal.scale,
        alpha=model.alpha,
        beta=model.beta,
        gamma=model.gamma,
    )


def _forecast(signal: Signal) -> Forecast | None:
    if signal.forecast is False or signal.horizon is None:
        return None
    return Forecast(horizon=signal.horizon // signal.grid, model=signal.forecast.model)


def _calendar(model: CalendarModel) -> Calendar:
    return Calendar.of(model.time_zone, model.holidays, [(m.days, m.hours, m.times) for m in model.multipliers])


def _window(model: Maintenance) -> Recurring | Single:
    if model.on is not None:
        return Recurring.of(model.name, model.on, model.hours, model.time_zone)
    return Single.of(model.name, model.start or "", model.end or "", model.time_zone)


def settings_of(service: Service, name: str, calendars: Mapping[str, Calendar]) -> Settings:
    """The numbers of one signal for the fold."""
    signal = service.signals[name]
    zscore = signal.detect.zscore
    return Settings(
        interval=signal.interval,
        step=signal.grid,
        window=signal.window,
        min_samples=signal.min_samples,
        min_deviation=signal.min_deviation,
        min_deviation_ratio=signal.min_deviation_ratio,
        direction=signal.direction,
        zscore=None if zscore is None else zscore.threshold,
        seasonal=_seasonal(signal),
        hold_from=signal.hold_from,
        relearn_after=relearn_after(signal, longest_after(service, name)),
        tiers=TierTable(z=service.tiers.z, delta=service.tiers.delta),
        normal=signal.normal,
        limit=signal.limit,
        forecast=_forecast(signal),
        multiplier=None if signal.calendar is None else calendars[signal.calendar],
    )


def spec_of(config: Config, service: Service, name: str) -> Spec:
    """One signal as the engine runs it."""
    signal = service.signals[name]
    settings = settings_of(service, name, {key: _calendar(m) for key, m in config.process.calendars.items()})
    return Spec(
        service=service.service,
        signal=name,
        expr=signal.expr,
        timestamps=timestamp_expr(signal.expr),
        unstamped=why_unstamped(signal.expr),
        capacity=signal.capacity,
        unit=signal.unit,
        by=signal.by,
        ignored=frozenset({"job", *config.process.source.replica_labels}),
        settings=settings,
        windows=windows_of(config, service.service),
        stale_after=signal.stale_after or max(2 * signal.interval, STALE_AFTER),
        forget_after=signal.forget_after or max(3 * settings.step, FORGET_AFTER),
        warmup_steps=settings.warmup_steps if signal.warmup is None else -(-signal.warmup // settings.step),
        max_series=signal.max_series or config.process.max_series,
    )


def windows_of(config: Config, service: str) -> Windows:
    """Maintenance windows of a service."""
    return Windows(tuple(_window(m) for m in config.process.maintenance if not m.services or service in m.services))


def specs_of(config: Config) -> list[Spec]:
    """Every signal of every service, in the order of the files."""
    return [spec_of(config, service, name) for service in config.services for name in service.signals]


def slo_specs_of(config: Config) -> list[SloSpec]:
    """Every SLO of every service, in the order of the files."""
    return [_slo_spec(slo) for service in config.services for slo in objectives(service, config.process.target)]


def _slo_spec(slo: Objective) -> SloSpec:
    terms = Terms(
        service=slo.service.service,
        slo=slo.name,
        objective=slo.model.objective,
        period=slo.period,
        min_bad=slo.model.min_bad,
        counted=slo.measure.counted,
        description=" ".join(slo.model.description.split()),
        alerts=tuple((kind, name) for kind in KINDS if (name := slo.alert_name(kind)) is not None),
    )
    return SloSpec(terms, tuple(inline_exprs(slo).items()))
