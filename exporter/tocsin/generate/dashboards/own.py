"""The dashboard of Tocsin itself: whether it sees, how fast it is, what it refused."""

from tocsin import names
from tocsin.core.resources import NATIVE_HISTOGRAM, REFUSALS
from tocsin.generate.dashboards import frame, grid, look, panel, query, service
from tocsin.generate.dashboards.frame import Dashboard, Places

UID = "tocsin"

_CHOSEN = query.matchers({}, {names.SERVICE: "service"})
_SIGNAL = (names.SERVICE, names.SIGNAL)
_LEGEND = f"{{{{{names.SERVICE}}}}} {{{{{names.SIGNAL}}}}}"
_RATE = "$__rate_interval"


def dashboard(places: Places, stale_after: int) -> Dashboard:
    """The dashboard; an evaluation whose last success is `stale_after` seconds ago fires an alert."""
    return Dashboard(
        uid=UID,
        title="Tocsin",
        about="Tocsin itself: whether it sees what it should, how long that takes, and what it refused.",
        sections=[
            grid.Section("Now", _now(stale_after)),
            grid.Section("Evaluation", _evaluation()),
            grid.Section("Source", _source()),
            grid.Section("Series and baselines", _series()),
            grid.Section("Alerts", _alerts()),
        ],
        variables=[frame.variable("service", "Service", names.own("series"), names.SERVICE)],
        annotations=[frame.alerts('alertname=~"Tocsin.+"')],
        links=[
            frame.link("Tocsin's page", places.tocsin, "What is unusual now, in words"),
            frame.link("Rules", places.rules, "The rules as Prometheus evaluates them"),
        ],
    )


def _now(stale_after: int) -> list[list[grid.Panel]]:
    return [*grid.spread(_stats(stale_after), 4), *grid.spread(_program(), 7)]


def _stats(stale_after: int) -> list[grid.Panel]:
    yes_no = look.values({0: ("no", look.CRITICAL), 1: ("yes", look.GOOD)})
    broken = look.steps(look.CRITICAL, [(1, look.GOOD)])
    some = look.steps(look.GOOD, [(1, look.CRITICAL)])
    latest = query.largest(names.own("evaluation_last_success_timestamp_seconds"), _CHOSEN, _SIGNAL)
    return [
        panel.stat(
            "Running",
            "Whether the evaluation loop runs. Also `no` when nothing of Tocsin arrives.",
            f"min({names.own('collector_running')}) or vector(0)",
            "short",
            broken,
            yes_no,
        ),
        panel.stat(
            "Configuration in force",
            "Whether the last load of the configuration succeeded; after a failure the old one stays in force.",
            f"min({names.own('config_last_reload_successful')})",
            "short",
            broken,
            yes_no,
        ),
        panel.stat(
            "Signals that see nothing",
            "Signals that were never graded since the start, or had no answer for two cycles.",
            f"sum({query.largest(names.own('stale'), _CHOSEN, _SIGNAL)})",
            "short",
            some,
        ),
        panel.stat(
            "Age of the oldest evaluation",
            "Time since the last successful cycle of the signal that waited longest. On red an alert fires.",
            f"time() - min({latest})",
            "s",
            look.steps(look.GOOD, [(stale_after * 3 // 5, look.WARNING), (stale_after, look.CRITICAL)]),
        ),
    ]


def _program() -> list[grid.Panel]:
    versions = panel.table(
        "Versions",
        "Each Tocsin that Prometheus scrapes, and its version.",
        [panel.rows(names.own("build_info"))],
        {"instance": "Instance", "version": "Tocsin", "python_version": "Python"},
    )
    processor = _lines(
        "Share of a processor",
        "CPU seconds that Tocsin spends per second: what watching costs.",
        f"max by (instance) ({names.own('self_cpu_ratio')})",
        "percentunit",
        "{{instance}}",
    )
    reload_ = _lines(
        "Age of the configuration",
        "Time since the configuration was loaded.",
        f"time() - max by (instance) ({names.own('config_last_reload_success_timestamp_seconds')})",
        "s",
        "{{instance}}",
    )
    return [versions, processor, reload_]


def _lines(title: str, about: str, expr: str, unit: str, legend: str) -> grid.Panel:
    return panel.timeseries(title, about, [panel.query(expr, legend)], unit)


def _evaluation() -> list[list[grid.Panel]]:
    duration, cycles = names.own("evaluation_duration_seconds"), names.own("evaluations_total")
    blind = panel.timeline(
        "Blind signals",
        "1 while nothing is known of a signal: never graded since the start, or no answer for two cycles.",
        [panel.query(query.largest(names.own("stale"), _CHOSEN, _SIGNAL), _LEGEND)],
    )
    words = {0: ("sees", look.GOOD), 1: ("blind", look.CRITICAL)}
    blind["fieldConfig"]["defaults"] |= {
        "mappings": look.values(words),
        "thresholds": look.steps(look.GOOD, [(1, look.CRITICAL)]),
    }
    return [
        grid.line(12, (blind, 24)),
        *grid.spread(
            [
                _lines(
                    "Time of a cycle, by phase",
                    "How long the phases of a signal's last cycle took; the slowest signal of each service.",
                    f"max by ({names.SERVICE}, phase) ({duration}{{{_CHOSEN}}})",
                    "s",
                    f"{{{{{names.SERVICE}}}}} {{{{phase}}}}",
                ),
                _lines(
                    "Cycles, by outcome",
                    "Evaluation cycles per second. Outcomes other than success leave gaps in the grades.",
                    f"sum by (outcome) (rate({cycles}{{{_CHOSEN}}}[{_RATE}]))",
                    "cps",
                    "{{outcome}}",
                ),
                _lines(
                    "Readings of objectives, by outcome",
                    "Readings of all SLOs per second.",
                    f"sum by (outcome) (rate({names.own('slo_evaluations_total')}[{_RATE}]))",
                    "cps",
                    "{{outcome}}",
                ),
            ],
            8,
        ),
    ]


def _source() -> list[list[grid.Panel]]:
    requests, seconds = names.own("source_requests_total"), names.own("source_query_seconds_total")
    return grid.spread(
        [
            _lines(
                "Requests to the source",
                "Queries per second, by class of outcome: retryable errors pass, others need somebody.",
                f"sum by (class) (rate({requests}[{_RATE}]))",
                "reqps",
                "{{class}}",
            ),
            _lines(
                "Queries at the same time",
                "Seconds per second that Tocsin waits for answers: on average so many queries are under way.",
                f"sum(rate({seconds}[{_RATE}]))",
                "short",
                "under way",
            ),
            _lines(
                "Warnings of the source",
                "Warnings per second that came with answers: partial data, above all.",
                f"sum(rate({names.own('source_warnings_total')}[{_RATE}]))",
                "cps",
                "warnings",
            ),
            panel.timeseries(
                "Clock of the source, less ours",
                "Grades are as of the source's time. More than 30 seconds fire an alert.",
                [panel.query(f"max({names.own('source_clock_skew_seconds')})", "skew")],
                "s",
                bounds=[(-30, look.CRITICAL), (30, look.CRITICAL)],
            ),
        ],
        8,
    )


def _series() -> list[list[grid.Panel]]:
    of_signal = f"{{{_CHOSEN}}}"
    dropped = f"increase({names.own('series_dropped_total')}{of_signal}[{_RATE}])"
    by = f"by ({names.joined(_SIGNAL)})"
    return grid.spread(
        [
            _lines(
                "Series",
                "Resources that each signal publishes. A signal at 0 watches nothing.",
                f"max {by} ({names.own('series')}{of_signal})",
                "short",
                _LEGEND,
            ),
            _lines(
                "Series that were refused",
                f"By reason: {', '.join((*REFUSALS, NATIVE_HISTOGRAM))}. Nobody watches them. Empty is good.",
                f"sum by ({names.joined(_SIGNAL)}, reason) ({dropped}) > 0",
                "short",
                f"{_LEGEND} {{{{reason}}}}",
            ),
            _lines(
                "Samples that the start missed",
                "Grid times of the warm start for which the source had no sample: how much history was not there.",
                f"max {by} ({names.own('warm_start_missing_samples')}{of_signal})",
                "short",
                _LEGEND,
            ),
            _lines(
                "Relearnt levels",
                "Baselines that were learnt anew after a lasting change of level, per hour.",
                f"sum {by} (increase({names.own('level_shifts_total')}{of_signal}[1h]))",
                "short",
                _LEGEND,
            ),
        ],
        8,
    )


def _alerts() -> list[list[grid.Panel]]:
    received, webhook = names.own("alerts_received_total"), names.own("webhook_requests_total")
    return [
        [
            *grid.line(
                9,
                (
                    _lines(
                        "Webhook, by status",
                        "Requests per second to the webhook.",
                        f"sum by (code) (rate({webhook}[{_RATE}]))",
                        "reqps",
                        "{{code}}",
                    ),
                    6,
                ),
                (
                    _lines(
                        "Alerts that arrived",
                        "Alerts per second that Alertmanager delivered.",
                        f"sum by (status) (rate({received}[{_RATE}]))",
                        "cps",
                        "{{status}}",
                    ),
                    6,
                ),
                (service.alerts_now('alertname=~"Tocsin.+"'), 12),
            )
        ]
    ]
