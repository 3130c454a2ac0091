"""The configuration as frozen models: what a key is called, which values it takes and what it defaults to.

A model checks what can be seen in one value; what needs a second one (a calendar by name, a season on a step) is
checked in :mod:`tocsin.config.references`. Durations are seconds, sizes bytes, ratios 0..1 by the time they are here.
The text under a field is its description in CONFIGURATION.md and in the JSON Schema.
"""

from tocsin.config.alertmanager import AlertmanagerModel, OperatorModel, Route, Smtp, Timing, TocsinWebhook
from tocsin.config.alerts import Absent, Alert, Expression, ForecastBreach, Level, Observed, RateOfChange, Threshold
from tocsin.config.base import Model, Name
from tocsin.config.escalation import Escalation, Step
from tocsin.config.operations import HttpParameters, PostgresPoolRecycle
from tocsin.config.process import (
    Auth,
    BasicAuth,
    CalendarModel,
    Limits,
    Maintenance,
    Multiplier,
    OpenRoute,
    Principal,
    ProcessModel,
    Scope,
    SourceKind,
    SourceModel,
    Target,
    Tls,
)
from tocsin.config.receivers import Call, Email, Jira, PagerDuty, QuietHours, Receiver, Slack, Teams, Webhook
from tocsin.config.remediation import Confirm, Guard, Remediation, Resource, Storm
from tocsin.config.service import (
    DEFAULT_ALERTS,
    Detect,
    ForecastModel,
    Links,
    Scale,
    SeasonalModel,
    Service,
    Signal,
    TierAlert,
    TierTableModel,
    ZScoreModel,
)
from tocsin.config.slo import Latency, SignalBound, Sli, Slo, SloAlert, SloAlerts
from tocsin.config.webfile import TlsServer, WebFile

__all__ = [
    "DEFAULT_ALERTS",
    "Absent",
    "Alert",
    "AlertmanagerModel",
    "Auth",
    "BasicAuth",
    "CalendarModel",
    "Call",
    "Confirm",
    "Detect",
    "Email",
    "Escalation",
    "Expression",
    "ForecastBreach",
    "ForecastModel",
    "Guard",
    "HttpParameters",
    "Jira",
    "Latency",
    "Level",
    "Limits",
    "Links",
    "Maintenance",
    "Model",
    "Multiplier",
    "Name",
    "Observed",
    "OpenRoute",
    "OperatorModel",
    "PagerDuty",
    "PostgresPoolRecycle",
    "Principal",
    "ProcessModel",
    "QuietHours",
    "RateOfChange",
    "Receiver",
    "Remediation",
    "Resource",
    "Route",
    "Scale",
    "Scope",
    "SeasonalModel",
    "Service",
    "Signal",
    "SignalBound",
    "Slack",
    "Sli",
    "Slo",
    "SloAlert",
    "SloAlerts",
    "Smtp",
    "SourceKind",
    "SourceModel",
    "Step",
    "Storm",
    "Target",
    "Teams",
    "Threshold",
    "TierAlert",
    "TierTableModel",
    "Timing",
    "Tls",
    "TlsServer",
    "TocsinWebhook",
    "WebFile",
    "Webhook",
    "ZScoreModel",
]
