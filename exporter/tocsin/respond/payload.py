"""Alertmanager's alerts, from its notifications and from its API: checked one by one, and bounded.

The shape of a notification is that of version 4, the same in Alertmanager 0.25 and in the newest:
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Fields that are not named here are ignored.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

import msgspec
import orjson

from tocsin import names

#: Version of the payload; it has been the same since Alertmanager 0.4.
VERSION = "4"
#: Bytes of an alert's labels together; a label longer than this is no name of anything.
MAX_LABELS = 32_768
#: Characters of one annotation, and how many of them: what is longer is cut, because it is only shown.
MAX_ANNOTATION = 4_096
MAX_ANNOTATIONS = 64

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CUT = "…"


class Malformed(ValueError):
    """A body that is not Alertmanager's payload; says what is wrong with it."""


class Invalid(ValueError):
    """One alert that cannot be taken; `cause` is one of a few words, the message says more."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, checked. Times are unix seconds, `ends_at` None where Alertmanager does not say (year 1).

    `labels` are without replica labels and without empty ones, which Prometheus takes for absent; `identity` is their
    hash. `active` is False when a silence or another alert hides it, `receivers` are whom it is routed to; only
    Alertmanager's API says either.
    """

    identity: str
    firing: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: float
    ends_at: float | None = None
    fingerprint: str = ""
    active: bool = True
    receivers: frozenset[str] = frozenset()

    @property
    def status(self) -> str:
        """Alertmanager's word for `firing`."""
        return "firing" if self.firing else "resolved"

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.get(names.ALERTNAME, "")

    @property
    def service(self) -> str:
        """The service that it is about, empty when it is none of ours."""
        return self.labels.get(names.SERVICE, "")


@dataclass(frozen=True, slots=True)
class Notification:
    """What Alertmanager sent: the alerts that are good, why the others are not, and how many it left out."""

    alerts: tuple[Alert, ...]
    invalid: tuple[Invalid, ...] = ()
    receiver: str = ""
    truncated: int = 0


class _Notification(msgspec.Struct):
    version: str
    alerts: list[msgspec.Raw]
    receiver: str = ""
    truncatedAlerts: int = 0  # noqa: N815  Alertmanager's spelling


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    status: str = ""
    annotations: dict[str, str] = {}
    startsAt: str = ""  # noqa: N815  Alertmanager's spelling
    endsAt: str = ""  # noqa: N815  Alertmanager's spelling
    fingerprint: str = ""


class _Status(msgspec.Struct):
    state: Literal["unprocessed", "active", "suppressed"] = "unprocessed"


class _Receiver(msgspec.Struct):
    name: str


class _Listed(msgspec.Struct):
    labels: dict[str, str]
    startsAt: str  # noqa: N815  Alertmanager's spelling
    annotations: dict[str, str] = {}
    endsAt: str = ""  # noqa: N815  Alertmanager's spelling
    fingerprint: str = ""
    status: _Status = msgspec.field(default_factory=_Status)
    receivers: list[_Receiver] = []


#: What a decoder says to bytes that it cannot read; nesting ends as RecursionError.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NOTIFICATION = msgspec.json.Decoder(_Notification)
_ALERT = msgspec.json.Decoder(_Alert)
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_LISTED = msgspec.json.Decoder(_Listed)


@dataclass(slots=True)
class _Sorted:
    good: list[Alert] = field(default_factory=list)
    bad: list[Invalid] = field(default_factory=list)


def notification(body: bytes, now: float, replica_labels: Collection[str]) -> Notification:
    """The notification in a request's body. Raises Malformed; an alert that cannot be taken is in `invalid`.

    `now` is the arrival, unix time: no alert begins or ends after it, and one without a beginning begins with it.
    """
    try:
        sent = _NOTIFICATION.decode(body)
    except _UNREADABLE as error:
        raise Malformed(f"not Alertmanager's webhook payload: {error}") from None
    if sent.version != VERSION:
        raise Malformed(f"found payload version {sent.version!r}, expected {VERSION!r}")
    found = _each(sent.alerts, lambda raw: _sent(raw, now, replica_labels))
    return Notification(merged(found.good), tuple(found.bad), sent.receiver, sent.truncatedAlerts)


def listed(body: bytes, now: float, replica_labels: Collection[str]) -> Notification:
    """The alerts that `GET /api/v2/alerts` answers with, all of them firing. Raises Malformed."""
    try:
        sent = _LIST.decode(body)
    except _UNREADABLE as error:
        raise Malformed(f"not the alerts of Alertmanager's API: {error}") from None
    found = _each(sent, lambda raw: _of_list(raw, now, replica_labels))
    return Notification(merged(found.good), tuple(found.bad))


def merged(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """One alert for each identity: replicas of a Prometheus send the same one each.

    While one of them fires it fires, since the earliest beginning; else it ended with the last of them.
    """
    found: dict[str, Alert] = {}
    for alert in alerts:
        other = found.get(alert.identity)
        found[alert.identity] = alert if other is None else _both(other, alert)
    return tuple(found.values())


def instant(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time; None for none, and for year 1, which is Go's zero. Raises ValueError."""
    if not text:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("found a time without its zone")
    return None if found.year <= 1 else (found - _EPOCH).total_seconds()


def identity(labels: Mapping[str, str]) -> str:
    """Hash of labels, which tells alerts apart."""
    return hashlib.sha256(orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _both(one: Alert, other: Alert) -> Alert:
    if one.firing != other.firing:
        return one if one.firing else other
    first, last = sorted((one, other), key=lambda alert: alert.starts_at)
    ends = None if one.ends_at is None or other.ends_at is None else max(one.ends_at, other.ends_at)
    return replace(
        last,
        starts_at=first.starts_at,
        ends_at=ends,
        active=one.active or other.active,
        receivers=one.receivers | other.receivers,
    )


def _each(sent: Iterable[msgspec.Raw], checked: Callable[[msgspec.Raw], Alert]) -> _Sorted:
    found = _Sorted()
    for raw in sent:
        try:
            found.good.append(checked(raw))
        except Invalid as error:
            found.bad.append(error)
        except _UNREADABLE as error:
            found.bad.append(Invalid("unreadable", str(error)))
    return found


def _sent(raw: msgspec.Raw, now: float, replica_labels: Collection[str]) -> Alert:
    alert = _ALERT.decode(raw)
    if alert.status not in ("firing", "resolved"):
        raise Invalid("status", f"found status {alert.status[:40]!r}, expected firing or resolved")
    return _alert(alert, now, replica_labels, firing=alert.status == "firing")


def _of_list(raw: msgspec.Raw, now: float, replica_labels: Collection[str]) -> Alert:
    alert = _LISTED.decode(raw)
    found = _alert(alert, now, replica_labels, firing=True)
    return replace(
        found,
        active=alert.status.state == "active",
        receivers=frozenset(receiver.name for receiver in alert.receivers),
    )


def _alert(alert: _Alert | _Listed, now: float, replica_labels: Collection[str], *, firing: bool) -> Alert:
    if sum(len(name.encode()) + len(value.encode()) for name, value in alert.labels.items()) > MAX_LABELS:
        raise Invalid("too_large", f"found more than {MAX_LABELS} bytes of labels")
    labels = {name: value for name, value in alert.labels.items() if value and name not in replica_labels}
    if not labels:
        raise Invalid("no_labels", "found no label that is not a replica's")
    if any("\0" in text for pair in labels.items() for text in pair):
        raise Invalid("nul", "found a NUL in a label")
    try:
        starts, ends = instant(alert.startsAt), instant(alert.endsAt)
    except ValueError:
        raise Invalid("time", f"found {alert.startsAt[:40]!r} and {alert.endsAt[:40]!r}, expected RFC 3339") from None
    return Alert(
        identity=identity(labels),
        firing=firing,
        labels=labels,
        annotations=_bounded(alert.annotations),
        # A clock that is ahead of ours makes no alert of the future: what comes after it would be older than it.
        starts_at=now if starts is None else min(starts, now),
        ends_at=ends if firing or ends is None else min(ends, now),
        fingerprint=alert.fingerprint[:64].replace("\0", ""),
    )


def _bounded(annotations: Mapping[str, str]) -> dict[str, str]:
    found = list(annotations.items())[:MAX_ANNOTATIONS]
    return {name[:MAX_ANNOTATION]: _cut(text) for name, text in found}


def _cut(text: str) -> str:
    return text if len(text) <= MAX_ANNOTATION else text[: MAX_ANNOTATION - len(_CUT)] + _CUT
