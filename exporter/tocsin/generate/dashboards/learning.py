"""The dashboard `opx-learning-operations`: what the learning jobs do, in six rows.

The jobs count their runs in metrics whose names are those of their runbook, without Tocsin's prefix.
"""

from collections.abc import Callable

from tocsin.generate.dashboards import frame, grid, look, panel
from tocsin.generate.dashboards.frame import Dashboard, Places

UID = "opx-learning-operations"

#: Runs that have ended, with the labels operation, trigger and status.
RUNS = "learning_operations_total"
DURATION = "learning_operation_duration_seconds"
DRIFT, OUTCOMES, SKIPPED = "learning_drift", "learning_outcomes", "learning_skipped"
#: One series for each of the last runs: its value is when the run ended, its labels say the rest.
RECENT = "learning_operation_info"

_CHOSEN = 'operation=~"$operation"'
_KINDS = {"PATTERN_EXTRACTION": "Pattern extraction", "CALIBRATION": "Calibration", "SNAPSHOT": "Snapshot"}
_FAILED, _SUCCEEDED, _RAN = 'status=~"FAILURE|TIMEOUT"', 'status="SUCCESS"', 'status!="BLOCKED"'
_ERRORS, _TOO_LONG, _LAST, _DRIFT = 0.1, 300, 20, 0.15


def dashboard(places: Places) -> Dashboard:
    """The dashboard; its metrics come with the learning jobs."""
    return Dashboard(
        uid=UID,
        title=UID,
        about="Pattern extraction, calibration and snapshots: whether they succeed, and how long they take.",
        sections=[
            grid.Section("Row 1: Success and failure, by the hour", _each(_counts)),
            grid.Section("Row 2: Error rates", _each(_errors)),
            grid.Section("Row 3: Durations", _each(_durations)),
            grid.Section("Row 4: Triggers", grid.spread([_triggers("SCHEDULED"), _triggers("MANUAL|EMERGENCY")], 8)),
            grid.Section("Row 5: Calibration drift", [grid.line(8, (_drift(), 16), (_details(), 8))]),
            grid.Section("Row 6: Recent operations", [grid.line(12, (_recent(), 24))]),
        ],
        variables=[frame.variable("operation", "Operation", RUNS, "operation")],
        annotations=[frame.alerts('alertname=~"Learning.+"')],
        links=[frame.link("Rules", places.rules, "The rules as Prometheus evaluates them")],
        since="now-7d",
    )


def _each(make: Callable[[str, str], grid.Panel]) -> list[list[grid.Panel]]:
    return grid.spread([make(kind, title) for kind, title in _KINDS.items()], 8)


def _of(kind: str) -> str:
    """Runs of one kind, if it is among those that are chosen."""
    return f'operation="{kind}", {_CHOSEN}'


def _increase(where: str, window: str = "$__interval", by: str = "") -> str:
    return f"sum{by} (increase({RUNS}{{{where}}}[{window}]))"


def _counts(kind: str, title: str) -> grid.Panel:
    queries = [
        panel.query(_increase(f"{_of(kind)}, {_SUCCEEDED}"), "Success", "A", every="1h"),
        panel.query(_increase(f"{_of(kind)}, {_FAILED}"), "Failure", "B", every="1h"),
    ]
    return panel.timeseries(
        f"{title}: success and failure",
        f"Runs of {title.lower()} by how they ended, each in the bar of its hour. A timeout is a failure; a run that "
        "the kill switch blocked is neither.",
        queries,
        "short",
        overrides=[
            panel.named("Success", color=panel.fixed(look.GOOD)),
            panel.named("Failure", color=panel.fixed(look.CRITICAL)),
        ],
        drawStyle="bars",
        fillOpacity=60,
    )


def _errors(kind: str, title: str) -> grid.Panel:
    failed, ran = (_increase(f"{_of(kind)}, {status}", "1d") for status in (_FAILED, _RAN))
    return panel.timeseries(
        f"{title}: error rate",
        f"Share of the runs of {title.lower()} that failed, over a day. Above the red line (10 %) somebody is told.",
        [panel.query(f"{failed} / ({ran} > 0)", "Error rate")],
        "percentunit",
        bounds=[(_ERRORS, look.CRITICAL)],
    )


def _durations(kind: str, title: str) -> grid.Panel:
    where = f"{{{_of(kind)}}}[1d]"
    mean = f"sum (increase({DURATION}_sum{where})) / (sum (increase({DURATION}_count{where})) > 0)"
    p99 = f"histogram_quantile(0.99, sum by (le) (increase({DURATION}_bucket{where})))"
    return panel.timeseries(
        f"{title}: duration",
        f"How long {title.lower()} takes, over a day: the mean, and the time in which 99 % of the runs ended. The red "
        "line is at 5 minutes; a calibration may take 10.",
        [panel.query(mean, "Mean", "A"), panel.query(p99, "p99", "B")],
        "s",
        bounds=[(_TOO_LONG, look.CRITICAL)],
    )


def _triggers(trigger: str) -> grid.Panel:
    manual = trigger != "SCHEDULED"
    where = f'{_CHOSEN}, trigger=~"{trigger}"'
    return panel.timeseries(
        "Manual operations, by kind" if manual else "Scheduled operations, by kind",
        ("Runs that somebody asked for, in an emergency or not" if manual else "Runs that the schedule began")
        + ", each in the bar of its day.",
        [panel.query(_increase(where, by=" by (operation, trigger)"), "{{operation}} {{trigger}}", every="1d")],
        "short",
        drawStyle="bars",
        fillOpacity=60,
    )


def _drift() -> grid.Panel:
    return panel.timeseries(
        "Calibration drift",
        "How far outcomes are from the confidence that was predicted. Beyond the lines (0.15 on either side) somebody "
        "should look at the recommended bands; nothing is changed by itself.",
        [panel.query(f"max ({DRIFT})", "Drift")],
        "percentunit",
        bounds=[(-_DRIFT, look.CRITICAL), (_DRIFT, look.CRITICAL)],
    )


def _details() -> grid.Panel:
    return panel.timeseries(
        "Calibration: outcomes",
        "How many outcomes the last calibration looked at, and how many it skipped. Fewer than 30 are refused.",
        [panel.query(f"max ({OUTCOMES})", "Outcomes", "A"), panel.query(f"max ({SKIPPED})", "Skipped", "B")],
        "short",
        bounds=[(30, look.WARNING)],
    )


def _recent() -> grid.Panel:
    columns = {
        "Value": "Time",
        "operation": "Operation",
        "trigger": "Trigger",
        "status": "Status",
        "duration": "Duration",
        "audit_id": "Audit id",
    }
    return panel.table(
        "Last 20 operations",
        "The last runs, newest first, with the id under which the audit has them.",
        [
            panel.rows(
                f"topk({_LAST}, max by (operation, trigger, status, duration, audit_id) ({RECENT}{{{_CHOSEN}}})) * 1000"
            )
        ],
        columns,
        [panel.named("Time", unit="dateTimeAsIso")],
        sort=("Time", True),
    )
