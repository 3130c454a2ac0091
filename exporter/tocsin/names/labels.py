"""Labels of our series and alerts, and those that others may not bring."""

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
