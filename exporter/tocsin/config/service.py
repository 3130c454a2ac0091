"""The service file: a system under watch, its signals, how they are graded and whom that tells."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tocsin.config.alerts import Absent, Expression, ForecastBreach, RateOfChange, Threshold, Unit
from tocsin.config.base import (
    AlertName,
    Model,
    Name,
    NonNegative,
    NonNegativeRatio,
    Positive,
    PositiveInt,
    PositiveRatio,
    ServiceName,
    Text,
)
from tocsin.config.escalation import Escalation
from tocsin.config.remediation import Remediation, Resource
from tocsin.config.slo import Slo
from tocsin.config.types import Duration, Season, Seconds, parse_whole_seconds

Scale = Literal["tiers", "P0-P3", "P1-P3", "high-medium-low", "warning-critical", "page-ticket"]


class ZScoreModel(Model):
    """Distance from the baseline mean in standard deviations."""

    threshold: NonNegative = 1.8
    """Standard deviations below which nothing is reported; the lower end of tier 1 by default."""


class SeasonalModel(Model):
    """Distance from the Holt-Winters expectation."""

    season: Season
    """Length of a season: steps, or a duration such as `1d` that is a multiple of `step`; 2 to 2016 steps."""
    threshold: NonNegative = 1.8
    """Standard deviations of the residual below which nothing is reported, unless the delta is reached."""
    delta_threshold: NonNegativeRatio | None = None
    """Residual delta below which nothing is reported, 0.05 where deltas apply; needs `unit: ratio` or a `scale`."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of an error that moves the level; small, so that an anomaly is not learnt at once."""
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Share of the level's move that moves the trend."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of an error that moves the season's slot."""


class Detect(Model):
    """The detectors of a signal; the worst one gives the tier."""

    zscore: ZScoreModel | None = None
    """Distance from the baseline mean; `{}` for its defaults."""
    seasonal: SeasonalModel | None = None
    """Distance from the Holt-Winters expectation."""


class ForecastModel(Model):
    """How far and with what to look ahead."""

    horizon: Seconds | None = None
    """How far to look ahead, a multiple of `step`; the length of the window by default."""
    model: Literal["auto", "heuristic", "smoothing", "holt_winters"] = "auto"
    """Model to publish; by default the one that was nearest so far, per resource."""


class TierAlert(Model):
    """An alert on a tier: fires after `grades` grades in a row, or after `for`."""

    model_config = ConfigDict(populate_by_name=True)

    tier: Annotated[int, Field(ge=1, le=4)]
    """Lowest tier that fires it."""
    grades: Annotated[int, Field(ge=1, le=1000)] = 2
    """Grades in a row before it fires; 2, so that one outlier wakes nobody."""
    for_: Annotated[Duration | None, Field(alias="for")] = None
    """How long the tier must last before it fires; instead of `grades`."""
    keep_firing_for: Duration | None = None
    """How long it fires on after the tier is left; at least 5m and two cycles in any case."""
    page: bool = False
    """Whether a human is to be woken; nothing pages by default."""
    name: AlertName | None = None
    """Name of the alert; by default service, signal and the key here in CamelCase."""
    severity: Name | None = None
    """Severity label; by default from the service's scale."""
    summary: Text | None = None
    """Summary annotation; by default a sentence with the resource and its tier."""
    description: Text | None = None
    """Description annotation; by default one that says what to look at."""


DEFAULT_ALERTS = {"critical": TierAlert(tier=4), "action": TierAlert(tier=3, for_="5m")}


class Signal(Model):
    """A PromQL expression whose result series are watched."""

    expr: Text
    """PromQL expression; each series of its result is a resource."""
    by: tuple[Name, ...] | None = None
    """Labels that name a resource; by default all but `job` and the source's replica labels."""
    description: str = ""
    """What the value is, for people."""
    dimension: Name | None = None
    """Side of the business that it is about: the label `dimension` of its alerts."""
    unit: Unit = "none"
    """Unit of the value; with `ratio` (0..1) residual deltas are graded too."""
    scale: Positive | None = None
    """What counts as 1 for residual deltas of a value that is no ratio."""
    interval: Seconds = 60
    """How often a value is graded."""
    step: Seconds | None = None
    """Grid on which values are learnt, a multiple of `interval`; the interval by default."""
    window: Annotated[int, Field(ge=3, le=500)] = 60
    """Learnt samples in the baseline."""
    min_samples: Annotated[int, Field(ge=3, le=500)] = 10
    """Learnt samples below which the tier is unknown."""
    min_deviation: NonNegative = 0.0
    """Least standard deviation, in the value's unit."""
    min_deviation_ratio: NonNegativeRatio = 0.01
    """Least standard deviation, as a share of the mean: a change of 3 % in what never moved is not critical."""
    direction: Literal["both", "up", "down"] = "both"
    """Which side is bad."""
    hold_from: Annotated[int, Field(ge=3, le=4)] = 4
    """Lowest tier whose samples are not learnt, so that an incident does not become normal."""
    relearn_after: Annotated[int | None, Field(ge=3, le=2016)] = None
    """Held samples after which the new level is learnt; by default 60, or twice what alerts and escalation wait."""
    forget_after: Seconds | None = None
    """Time unseen after which a resource is dropped, at least 3 steps; 1h or 3 steps by default."""
    stale_after: Seconds | None = None
    """Age of a sample above which it counts as missing; 2m or two intervals by default."""
    warmup: Seconds | None = None
    """History to read at start; by default what window, season, relearning and horizon need."""
    limit: float | None = None
    """Value at which capacity ends, for breach forecasts; none by default."""
    capacity: Text | None = None
    """PromQL expression of the capacity that the value is a share of: when it changes the baseline is rescaled."""
    normal: tuple[float | None, float | None] | None = None
    """Static range `[low, high]` for dashboards, one of them may be null; leaving it gives tier 1 at least."""
    calendar: Name | None = None
    """Calendar of the process file whose multipliers are expected."""
    max_series: PositiveInt | None = None
    """Most resources of this signal; only the process's limit by default."""
    detect: Detect = Detect(zscore=ZScoreModel())
    """Detectors."""
    forecast: ForecastModel | Literal[False] = ForecastModel()
    """Forecast, or `false` for none."""
    alert: dict[Name, TierAlert] = DEFAULT_ALERTS
    """Tier alerts by level; `{}` for none."""

    @property
    def grid(self) -> int:
        """Seconds between samples that are learnt: the step, or the interval where none is given."""
        return self.step or self.interval

    @property
    def season_seconds(self) -> int | None:
        """Length of a season, None without a seasonal detector."""
        if self.detect.seasonal is None:
            return None
        season = self.detect.seasonal.season
        return season * self.grid if isinstance(season, int) else parse_whole_seconds(season)

    @property
    def season_slots(self) -> int | None:
        """Steps of a season, None without a seasonal detector."""
        return None if self.season_seconds is None else self.season_seconds // self.grid

    @property
    def horizon(self) -> int | None:
        """Seconds that the forecast looks ahead, None without one."""
        return None if self.forecast is False else self.forecast.horizon or self.window * self.grid


class TierTableModel(Model):
    """Lower ends of tiers 1, 2 and 3 (inclusive) and of tier 4 (exclusive)."""

    z: tuple[Positive, Positive, Positive, Positive] = (1.8, 2.5, 3.5, 5.0)
    """Standard deviations."""
    delta: tuple[PositiveRatio, PositiveRatio, PositiveRatio, PositiveRatio] = (0.05, 0.07, 0.10, 0.15)
    """Residual deltas."""


class Links(Model):
    """Templates of links; {alert}, {service}, {signal} and {resource} are filled in."""

    runbook: Text | None = None
    """What to do about an alert."""
    dashboard: Text | None = None
    """Where it can be seen."""
    logs: Text | None = None
    """Logs of the resource."""
    traces: Text | None = None
    """Traces of the resource."""
    deploys: Text | None = None
    """What was deployed lately."""


class Service(Model):
    """The service file: a system under watch."""

    service: ServiceName
    """Name of the system: letters, digits, `.`, `_` and `-`, because files are named after it."""
    team: Name | None = None
    """Who gets the alerts: the label `team`."""
    severity: Scale = "tiers"
    """Scale of the severity label."""
    links: Links = Links()
    """Links in the annotations of alerts."""
    tiers: TierTableModel = TierTableModel()
    """Where the tiers begin."""
    default_receiver: Name | None = None
    """Receiver of the process file for alerts that no escalation policy is about."""
    down: tuple[AlertName, ...] = ()
    """Alerts that say that the service is down: while one fires, Alertmanager hides the others of the service."""
    signals: dict[Name, Signal] = Field(default_factory=dict)
    """What is watched, by name."""
    thresholds: dict[Name, Threshold] = Field(default_factory=dict)
    """Alerts on fixed bounds, by name."""
    records: dict[Name, Text] = Field(default_factory=dict)
    """Expressions that the rules record under a name of their own, such as `shop:orders:rate5m`."""
    slos: dict[Name, Slo] = Field(default_factory=dict)
    """Service level objectives, by name."""
    absent: tuple[Absent, ...] = ()
    """Alerts on what is not there."""
    rate_of_change: tuple[RateOfChange, ...] = ()
    """Alerts on how fast a value changes."""
    forecast_breach: tuple[ForecastBreach, ...] = ()
    """Alerts on a limit that the forecast reaches."""
    alerts: tuple[Expression, ...] = ()
    """Alerts on any expression."""
    escalation: dict[Name, Escalation] = Field(default_factory=dict)
    """Timed escalation, by name of the policy."""
    resources: tuple[Resource, ...] = ()
    """What operations may be applied to, beside the resources of the signals."""
    remediation: tuple[Remediation, ...] = ()
    """Operations that are run for alerts."""
