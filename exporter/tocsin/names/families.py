"""Every metric family that Tocsin exposes: its name, where it is published, its labels and its HELP."""

from dataclasses import dataclass
from typing import Literal

from tocsin.names.labels import PREFIX, RESOURCE, SERVICE, SIGNAL, SLO_LABELS

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
