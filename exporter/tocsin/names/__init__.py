"""Every metric, label, rule and alert name: the contract between the exporter, the rules and the dashboards.

Nothing else in Tocsin spells one of these names. A family is published only if it is in :data:`FAMILIES`; a test holds
the documentation, the exposition and the generated rules to this module.
"""

from collections.abc import Iterable

from tocsin.names.families import FAMILIES as FAMILIES
from tocsin.names.families import OWN as OWN
from tocsin.names.families import SLO_FAMILIES as SLO_FAMILIES
from tocsin.names.families import Family as Family
from tocsin.names.families import Publish as Publish
from tocsin.names.families import metric as metric
from tocsin.names.families import own as own
from tocsin.names.families import slo_metric as slo_metric
from tocsin.names.labels import ALERT_LABELS as ALERT_LABELS
from tocsin.names.labels import BASE_LABELS as BASE_LABELS
from tocsin.names.labels import PREFIX as PREFIX
from tocsin.names.labels import RESERVED_LABELS as RESERVED_LABELS
from tocsin.names.labels import RESOURCE as RESOURCE
from tocsin.names.labels import SERVICE as SERVICE
from tocsin.names.labels import SIGNAL as SIGNAL
from tocsin.names.labels import SLO as SLO
from tocsin.names.labels import SLO_LABELS as SLO_LABELS
from tocsin.names.labels import TIER_LABELS as TIER_LABELS

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
