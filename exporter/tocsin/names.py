"""Every metric, label, rule and alert name: the contract between the exporter, the rules and the dashboards.

Nothing else in Tocsin spells one of these names. A family is published only if it is in :data:`FAMILIES`; a test holds
the documentation, the exposition and the generated rules to this module.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

PREFIX = "tocsin_"

SERVICE = "tocsin_service"
SIGNAL = "signal"
RESOURCE = "resource"
SLO = "slo"
BASE_LABELS = (SERVICE, SIGNAL, RESOURCE)
SLO_LABELS = (SERVICE, SLO)

#: Labels by which alerts are told apart, routed, inhibited and escalated: an alert has the values that Tocsin sets, and
#: no others, so no label of a scraped series can wake anybody or choose who is told.
ALERT_LABELS = frozenset(
    {"alertname", "alertstate", SERVICE, SIGNAL, SLO, "severity", "team", "dimension", "page"}
    | {"receiver", "escalation", "escalated_alert", "remediation"}
)

#: Identity labels with one of these names are exported with :data:`PREFIX`: the first group is put on every target by
#: Prometheus or its operator (ours would come back as ``exported_...``), the second is used by our own families, the
#: third by alerts.
RESERVED_LABELS = (
    frozenset({"service", "job", "instance", "namespace", "pod", "container", "endpoint"})
    | {"horizon", "model", "detector", "reason", "window", "tier", "le"}
    | ALERT_LABELS
)

TIER_LABELS = {-1: "Unknown", 0: "Normal", 1: "Informational", 2: "Watch", 3: "Action", 4: "Critical"}

Publish = Literal["essential", "full", "always"]


@dataclass(frozen=True, slots=True)
class Family:
    """One exposed metric family: its name without prefix, where it is published, its own labels and its HELP."""

    short: str
    publish: Publish
    help: str
    labels: tuple[str, ...] = ()
    kind: Literal["gauge", "counter"] = "gauge"
    prefix: str = PREFIX
    #: Of a gauge without labels: exposed once it was set, and not as 0 from the start.
    when_known: bool = False

    @property
    def name(self) -> str:
        """The full metric name."""
        return self.prefix + self.short


def _families(*families: Family) -> dict[str, Family]:
    return {family.short: family for family in families}


#: Gauges of one resource, in the order in which the page shows them.
FAMILIES = _families(
    Family("value", "essential", "Value of the signal that was graded in the last evaluation cycle."),
    Family("expected_lower", "essential", "Lower bound of the 95 % prediction interval for the value."),
    Family("expected_upper", "essential", "Upper bound of the 95 % prediction interval for the value."),
    Family("zscore", "essential", "Distance of the value from the baseline mean, in standard deviations."),
    Family(
        "severity_level",
        "essential",
        "Severity tier: 0 normal, 1 informational, 2 watch, 3 action, 4 critical, -1 unknown; the worst detector.",
    ),
    Family(
        "forecast_value",
        "essential",
        "Value that the published forecast model expects at the horizon.",
        ("horizon",),
    ),
    Family("forecast_upper", "essential", "Upper bound of the 95 % interval of forecast_value.", ("horizon",)),
    Family(
        "breach_timestamp_seconds",
        "essential",
        "Unix time at which the forecast first crosses the signal's limit; absent when no breach is forecast.",
    ),
    Family(
        "no_breach",
        "essential",
        "1 for the reason why there is no breach time: no_limit, no_breach, insufficient_data, poor_fit, "
        "already_breached or stale.",
        ("reason",),
    ),
    Family("held_samples", "essential", "Samples in a row that a detector refused to learn because they were severe."),
    Family(
        "tier_run_start_timestamp_seconds",
        "essential",
        "Unix time since which the resource has been at or above the tier; unknown grades do not end a run.",
        ("tier",),
    ),
    Family("baseline_mean", "full", "Mean of the baseline window, without the value being graded."),
    Family("baseline_mean_lower", "full", "Lower bound of the 95 % confidence interval of the baseline mean."),
    Family("baseline_mean_upper", "full", "Upper bound of the 95 % confidence interval of the baseline mean."),
    Family("baseline_stddev", "full", "Sample standard deviation of the baseline window."),
    Family("baseline_samples", "full", "Number of learnt samples in the baseline window."),
    Family("baseline_mature", "full", "1 when intervals use the normal distribution (30 samples or more), 0 for t."),
    Family("seasonal_residual", "full", "Value less the seasonal expectation for its time."),
    Family(
        "residual_delta",
        "full",
        "Distance of the residual from the mean residual, as a ratio of the signal's scale (1 for ratios).",
    ),
    Family("seasonal_zscore", "full", "Distance of the residual from the mean residual, in standard deviations."),
    Family("coefficient_of_variation", "full", "Standard deviation of the baseline over its mean, clamped to 0..1."),
    Family(
        "detector_severity_level",
        "full",
        "Severity tier of one detector; -1 while it is not ready.",
        ("detector",),
    ),
    Family(
        "model_forecast_value",
        "full",
        "Value that one forecast model expects at the horizon.",
        ("model", "horizon"),
    ),
    Family("forecast_lower", "full", "Lower bound of the 95 % interval of forecast_value.", ("horizon",)),
    Family(
        "breach_earliest_timestamp_seconds",
        "full",
        "Unix time at which the near bound of the forecast first crosses the limit.",
    ),
    Family(
        "breach_latest_timestamp_seconds",
        "full",
        "Unix time at which the far bound of the forecast first crosses the limit; absent when it never does.",
    ),
    Family(
        "forecast_error_ratio",
        "full",
        "Mean absolute error of the model at the horizon over that of the naive forecast; below 1 is better.",
        ("model",),
    ),
    Family("forecast_coverage_ratio", "full", "Share of outcomes that fell inside the model's interval.", ("model",)),
)

#: Tocsin's own metrics, published always.
OWN = _families(
    Family("build_info", "always", "1, with the version of Tocsin and of Python.", ("version", "python_version")),
    Family("config_last_reload_successful", "always", "1 when the last attempt to load the configuration succeeded."),
    Family(
        "config_last_reload_success_timestamp_seconds",
        "always",
        "Unix time of the last successful load of the configuration.",
    ),
    Family(
        "evaluation_last_success_timestamp_seconds",
        "always",
        "Unix time of the signal's last successful cycle; its gauges are as of then, less the query delay.",
        (SERVICE, SIGNAL),
    ),
    Family(
        "evaluation_duration_seconds",
        "always",
        "Duration of the phases of the signal's last cycle.",
        (SERVICE, SIGNAL, "phase"),
    ),
    Family("evaluations_total", "always", "Evaluation cycles by outcome.", (SERVICE, SIGNAL, "outcome"), "counter"),
    Family("series", "always", "Series that the signal publishes.", (SERVICE, SIGNAL)),
    Family(
        "series_dropped_total",
        "always",
        "Series that were refused in a cycle or in the history, by reason.",
        (SERVICE, SIGNAL, "reason"),
        "counter",
    ),
    Family(
        "stale",
        "always",
        "1 while nothing is known of the signal: never graded since the start, or no answer for two cycles.",
        (SERVICE, SIGNAL),
    ),
    Family(
        "warm_start_missing_samples",
        "always",
        "Grid times that the warm start asked for and the source had no sample for, mean over the series.",
        (SERVICE, SIGNAL),
    ),
    Family(
        "level_shifts_total",
        "always",
        "Relearnt baselines after a lasting change of level.",
        (SERVICE, SIGNAL),
        "counter",
    ),
    Family("source_requests_total", "always", "Requests to the source, by class of outcome.", ("class",), "counter"),
    Family("source_warnings_total", "always", "Warnings that came with answers of the source.", (), "counter"),
    Family("source_query_seconds_total", "always", "Seconds spent waiting for answers of the source.", (), "counter"),
    Family("source_clock_skew_seconds", "always", "Clock of the source less ours, from the Date header; 0 within 2 s."),
    Family("collector_running", "always", "1 while the evaluation loop runs.", ()),
    Family("self_cpu_ratio", "always", "CPU seconds that Tocsin spent per second since the last scrape."),
    Family(
        "slo_evaluations_total",
        "always",
        "Readings of all SLOs, and failed ones of an SLO without rules, by outcome.",
        ("outcome",),
        "counter",
    ),
    Family(
        "slo_last_success_timestamp_seconds",
        "always",
        "Unix time of the last successful reading of the SLOs; what is recorded is as of then, less the query delay.",
    ),
    Family("alerts_received_total", "always", "Alerts that arrived at the webhook, by status.", ("status",), "counter"),
    Family("webhook_requests_total", "always", "Requests to the webhook, by HTTP status.", ("code",), "counter"),
    Family("refusals_total", "always", "Callers and actions that were refused, by reason.", ("reason",), "counter"),
    Family("episodes", "always", "Episodes of alerts that are open.", (SERVICE,)),
    Family("acknowledged", "always", "1 while the alert is acknowledged.", ("alertname", SERVICE, SIGNAL, RESOURCE)),
    Family(
        "reconciliations_total",
        "always",
        "Comparisons of what is open with Alertmanager's list, by outcome: ok, unreachable, unreadable, store, fault.",
        ("outcome",),
        "counter",
    ),
    Family("storm", "always", "1 while so many new alerts arrive that no action is begun.", when_known=True),
    Family("actions_total", "always", "Actions that ended, by outcome.", ("operation", "outcome"), "counter"),
    Family("actions_held", "always", "Actions that wait to be decided again, by reason.", ("reason",)),
    Family("actions_unknown", "always", "Resources held because nobody knows how an action ended.", (SERVICE,)),
    Family("remediation_hold", "always", "1 while an action may mend it and nobody is paged.", (SERVICE, RESOURCE)),
    Family(
        "service_auto_remediations_total",
        "always",
        "Actions that ended, by result: ok, failed, refused, dry_run or unknown.",
        (SERVICE, "action", "result"),
        "counter",
        prefix="",
    ),
    Family(
        "kill_switch_armed",
        "always",
        "1 while operations may run; 0 when they are switched off, or nobody knows.",
        when_known=True,
    ),
    Family(
        "kill_switch_generation",
        "always",
        "How often the kill switch was flipped since the store is there.",
        when_known=True,
    ),
    Family(
        "audit_seq",
        "always",
        "Number of the last audit record, by the store's id; it falls when the store is an older state of itself.",
        ("store",),
    ),
    Family("audit_head_info", "always", "1, with the hash of the last audit record.", ("hash",)),
    Family("store_up", "always", "1 while the last access to the store succeeded.", when_known=True),
    Family("store_errors_total", "always", "Accesses to the store that failed, by reason.", ("reason",), "counter"),
)


#: Gauges of one SLO, published always.
SLO_FAMILIES = _families(
    Family("slo_objective_ratio", "essential", "Share of events that has to be good.", SLO_LABELS),
    Family(
        "slo_burn_rate",
        "essential",
        "How many times faster than the objective allows the error budget was spent over the window.",
        (*SLO_LABELS, "window"),
    ),
    Family(
        "slo_error_budget_remaining_ratio",
        "essential",
        "Share of the period's error budget that is left; below 0 when it is overspent.",
        SLO_LABELS,
    ),
    Family(
        "slo_error_budget_exhaustion_timestamp_seconds",
        "essential",
        "Unix time at which nothing is left at the burn rate of the last day; absent when nothing burns or is left, "
        "and beyond 100 periods.",
        SLO_LABELS,
    ),
    Family(
        "slo_history_ratio",
        "essential",
        "Share of the period that was seen; below 0.99 the remaining budget is that of a partial history.",
        SLO_LABELS,
    ),
    Family(
        "slo_error_ratio_lower",
        "essential",
        "Lower bound of the exact 95 % binomial interval of the share of bad events over a day.",
        SLO_LABELS,
    ),
    Family(
        "slo_error_ratio_upper",
        "essential",
        "Upper bound of the exact 95 % binomial interval of the share of bad events over a day.",
        SLO_LABELS,
    ),
    Family(
        "slo_held_back",
        "essential",
        "1 while a burn rate is at its threshold and no alert fires, because traffic is low: few_bad_events or "
        "not_significant.",
        (*SLO_LABELS, "reason"),
    ),
)


def slo_metric(short: str) -> str:
    """Full name of an SLO's gauge; KeyError for a name that is not in the contract."""
    return SLO_FAMILIES[short].name


def own(short: str) -> str:
    """Full name of one of Tocsin's own metrics; KeyError for a name that is not in the contract."""
    return OWN[short].name


def metric(short: str) -> str:
    """Full name of a resource gauge; KeyError for a name that is not in the contract."""
    return FAMILIES[short].name


#: Recorded series of an SLO, each with :data:`SLO_LABELS` alone; windows as Prometheus writes
#: them. The first is the share of bad events at this moment, of an SLI that counts no events.
RECORD_ERROR = "tocsin_slo:error:ratio"
RECORD_ERROR_OVER = "tocsin_slo:error:ratio_rate"
RECORD_EVENTS_OVER = "tocsin_slo:events:increase"
RECORD_OBJECTIVE = "tocsin_slo:objective:ratio"
RECORD_HISTORY = "tocsin_slo:history:ratio"
RECORD_REMAINING = "tocsin_slo:error_budget_remaining:ratio"

#: Alerts about Tocsin itself, in rules/tocsin.yml.
META_GROUP = "tocsin-meta"
ALERT_DOWN = "TocsinDown"
ALERT_STALE = "TocsinEvaluationStale"
ALERT_RELOAD_FAILED = "TocsinConfigReloadFailed"
ALERT_SERIES_DROPPED = "TocsinSeriesDropped"
ALERT_NO_SERIES = "TocsinNoSeries"
ALERT_CLOCK_SKEW = "TocsinSourceClockSkew"
ALERT_HONOR_LABELS = "TocsinScrapedWithoutHonorLabels"
ALERT_WATCHDOG = "TocsinWatchdog"
ALERT_ACTION_UNKNOWN = "TocsinActionUnknown"
ALERT_KILL_SWITCH = "TocsinKillSwitchFlipped"
ALERT_AUDIT_WENT_BACK = "TocsinAuditWentBack"
ALERT_STORE_DOWN = "TocsinStoreDown"
ALERT_SLO_ABSENT = "TocsinSLOAbsent"
ALERT_SLO_BROKEN = "TocsinSLOBroken"
ALERT_SLO_IDLE = "TocsinSLOIdle"


def page_of(alert: str) -> str:
    """Name of the alert that pages when nothing has helped against this one."""
    return f"{alert}Page"


def camel(*parts: str) -> str:
    """CamelCase of words in any of the usual spellings: ``camel("melody-meter", "p99")`` is ``MelodyMeterP99``."""
    words: list[str] = []
    for part in parts:
        words += "".join(c if c.isascii() and c.isalnum() else " " for c in part).split()
    return "".join(word[0].upper() + word[1:] for word in words)


def alert_name(service: str, signal: str, level: str) -> str:
    """Default name of a tier alert."""
    return camel(service, signal, level)


def rule_group(service: str, *parts: str) -> str:
    """Name of a rule group."""
    return "-".join(("tocsin", service, *parts))


def joined(labels: Iterable[str]) -> str:
    """Labels as a PromQL grouping list."""
    return ", ".join(labels)


#: Labels of alerts, and the series that Prometheus keeps about them.
ALERTS = "ALERTS"
ALERTNAME = "alertname"
ALERTSTATE = "alertstate"
SEVERITY = "severity"
TEAM = "team"
PAGE = "page"
DIMENSION = "dimension"
#: Of an alert that goes to Tocsin alone: something is done about it, and another alert pages when that does not help.
REMEDIATION = "remediation"
#: Labels of an escalation level: its policy, and the receiver that it is addressed to.
ESCALATION = "escalation"
RECEIVER = "receiver"
#: The alert that is escalated, where a policy is about alerts: the level has a name of its own.
ESCALATED = "escalated_alert"
#: 1 while somebody has acknowledged an alert (alertname and BASE_LABELS): the responder's, absent without one.
ACKNOWLEDGED = f"{PREFIX}acknowledged"

#: Where Tocsin takes alerts.
WEBHOOK = "/api/v2/webhook"

#: What Prometheus puts before a label of ours that clashes with one of the target's, without ``honor_labels``.
EXPORTED = "exported_"

#: Where the rules are, and the file of the alerts about Tocsin itself: no service can have this name.
RULES = "rules"
RULE_TESTS = "rules/tests"
RULES_KUBERNETES = "rules/kubernetes"
RULE_STAND_INS = "rules/tests/stand-ins"
META = "tocsin"

#: Where the files for Alertmanager are.
ALERTMANAGER = "alertmanager"
ALERTMANAGER_TESTS = "alertmanager/tests"
ALERTMANAGER_KUBERNETES = "alertmanager/kubernetes"
#: What the name of each of our receivers and time intervals begins with, so that none is somebody else's.
ROUTE_PREFIX = "tocsin-"
#: Receivers of nobody: of alerts that are not ours, and of those of ours that are only looked at.
NOT_OURS = ROUTE_PREFIX + "not-ours"
NOBODY = ROUTE_PREFIX + "nobody"
#: The receiver that hands every alert to Tocsin.
TO_TOCSIN = ROUTE_PREFIX + "webhook"
#: How a variant of a receiver is called: for alerts that page nobody, and for levels of escalation.
NO_PAGE = "-no-page"
ESCALATED_SUFFIX = "-escalated"
#: Time intervals: a maintenance window, and the quiet hours of a receiver.
MAINTENANCE_INTERVAL = ROUTE_PREFIX + "maintenance-"
QUIET_INTERVAL = ROUTE_PREFIX + "quiet-"
#: The alerts about Tocsin itself.
META_ALERTS = (
    ALERT_DOWN,
    ALERT_STALE,
    ALERT_RELOAD_FAILED,
    ALERT_SERIES_DROPPED,
    ALERT_NO_SERIES,
    ALERT_CLOCK_SKEW,
    ALERT_HONOR_LABELS,
    ALERT_WATCHDOG,
    ALERT_ACTION_UNKNOWN,
    ALERT_KILL_SWITCH,
    ALERT_AUDIT_WENT_BACK,
    ALERT_STORE_DOWN,
    ALERT_SLO_ABSENT,
    ALERT_SLO_BROKEN,
    ALERT_SLO_IDLE,
)
