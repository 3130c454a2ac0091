"""What arrives at the webhook: Alertmanager's notifications, checked, counted and shown.

Nothing acts on them yet. The last ones are kept in memory for the status page; a restart forgets them.
"""

from collections import deque
from dataclasses import dataclass

import msgspec

from tocsin.telemetry import Telemetry

#: Notified alerts that are kept for the status page.
KEPT = 50
#: Version of Alertmanager's webhook payload; it has been the same since 0.4.
PAYLOAD_VERSION = "4"


class Alert(msgspec.Struct, frozen=True):
    """One alert of a notification, in Alertmanager's words; fields that are not listed are ignored."""

    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: str = ""  # noqa: N815  Alertmanager's spelling
    endsAt: str = ""  # noqa: N815  Alertmanager's spelling
    fingerprint: str = ""


class Notification(msgspec.Struct, frozen=True):
    """Alertmanager's webhook payload."""

    version: str
    alerts: list[Alert]
    status: str = ""
    receiver: str = ""
    truncatedAlerts: int = 0  # noqa: N815  Alertmanager's spelling


class Malformed(ValueError):
    """A body that is not Alertmanager's payload; says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An alert and when it arrived, unix time."""

    at: float
    alert: Alert

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.alert.labels.get("alertname", "")


_DECODER = msgspec.json.Decoder(Notification)


class Intake:
    """Counts and keeps what arrives."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._arrivals: deque[Arrival] = deque(maxlen=KEPT)

    def receive(self, body: bytes, now: float) -> int:
        """Take a notification; return how many alerts it had. Raises Malformed."""
        try:
            notification = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"not Alertmanager's webhook payload: {error}") from None
        if notification.version != PAYLOAD_VERSION:
            raise Malformed(f"found payload version {notification.version!r}, expected {PAYLOAD_VERSION!r}")
        for alert in notification.alerts:
            status = alert.status if alert.status in ("firing", "resolved") else "unknown"
            self._telemetry.count("alerts_received_total", status)
            self._arrivals.appendleft(Arrival(now, alert))
        return len(notification.alerts)

    def latest(self) -> tuple[Arrival, ...]:
        """What arrived last, newest first."""
        return tuple(self._arrivals)
