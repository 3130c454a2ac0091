"""Alertmanager's alerts as they arrive: what is taken, what is not and why, and what is bounded."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.respond import payload
from tocsin.respond.payload import MAX_ANNOTATION, MAX_ANNOTATIONS, MAX_LABELS, Alert, Malformed, Notification

NOW = 1_700_000_000.0
BEGAN = "2023-11-14T22:13:10.123456789Z"
NEVER = "0001-01-01T00:00:00Z"


def sent(**changes: Any) -> dict[str, Any]:
    """An alert as Alertmanager 0.25 sends it."""
    return {
        "status": "firing",
        "labels": {"alertname": "TooHigh", "tocsin_service": "shop", "resource": "piano"},
        "annotations": {"summary": "s"},
        "startsAt": BEGAN,
        "endsAt": NEVER,
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "0123456789abcdef",
        **changes,
    }


def taken(*alerts: Any, replicas: tuple[str, ...] = ("replica",), **more: Any) -> Notification:
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="TooHigh"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "tocsin",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "alerts": list(alerts),
        **more,
    }
    return payload.notification(json.dumps(body).encode(), NOW, replicas)


def one(**changes: Any) -> Alert:
    found = taken(sent(**changes))
    assert found.invalid == ()
    (alert,) = found.alerts
    return alert


def refused(**changes: Any) -> str:
    found = taken(sent(**changes))
    assert found.alerts == ()
    (error,) = found.invalid
    return error.cause


def test_an_alert_is_taken_as_it_was_sent() -> None:
    found = taken(sent(), truncatedAlerts=7, addedLater={"a": [1]})
    assert (found.receiver, found.truncated, found.invalid) == ("tocsin", 7, ())
    (alert,) = found.alerts
    assert (alert.firing, alert.status, alert.name, alert.service) == (True, "firing", "TooHigh", "shop")
    assert alert.starts_at == pytest.approx(NOW - 9.876544, abs=1e-6)
    assert (alert.ends_at, alert.fingerprint, alert.annotations) == (None, "0123456789abcdef", {"summary": "s"})


def test_the_end_of_a_resolved_alert_is_known_and_that_of_a_firing_one_is_when_alertmanager_gives_up() -> None:
    assert one(status="resolved", endsAt="2023-11-14T22:13:19Z").ends_at == NOW - 1
    assert one(status="resolved", endsAt=NEVER).ends_at is None
    assert one(endsAt="2023-11-14T22:17:20Z").ends_at == NOW + 240


@pytest.mark.parametrize("text", [NEVER, "", "0001-01-01T00:00:00+02:00"])
def test_an_alert_without_a_beginning_begins_when_it_arrives(text: str) -> None:
    assert one(startsAt=text).starts_at == NOW


def test_a_clock_that_is_ahead_makes_no_alert_of_the_future() -> None:
    ahead = one(status="resolved", startsAt="2033-11-14T22:13:10Z", endsAt="2033-11-14T22:13:20Z")
    assert (ahead.starts_at, ahead.ends_at) == (NOW, NOW)


def test_a_time_may_have_any_zone() -> None:
    assert one(startsAt="2023-11-15T00:13:10+02:00").starts_at == NOW - 10


def test_the_identity_is_a_hash_of_the_labels_that_are_no_replicas() -> None:
    labels = {"resource": "piano", "alertname": "TooHigh", "tocsin_service": "shop"}
    assert one(labels={**labels, "replica": "b", "empty": ""}).identity == one().identity
    assert one(labels={**labels, "replica": "b"}).labels == labels
    assert one(labels={**labels, "resource": "organ"}).identity != one().identity
    text = b'{"alertname":"TooHigh","resource":"piano","tocsin_service":"shop"}'
    assert one().identity == hashlib.sha256(text).hexdigest()


def test_labels_cannot_be_put_so_that_they_look_like_others() -> None:
    assert payload.identity({"a": "b", "c": "d"}) != payload.identity({"a": 'b","c":"d'})


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"status": "odd"}, "status"),
        ({"status": ""}, "status"),
        ({"status": None}, "unreadable"),
        ({"labels": None}, "unreadable"),
        ({"labels": {"a": 1}}, "unreadable"),
        ({"labels": {}}, "no_labels"),
        ({"labels": {"replica": "a"}}, "no_labels"),
        ({"labels": {"a": "\0"}}, "nul"),
        ({"labels": {"a": "x" * 2**20}}, "too_large"),
        ({"labels": {"a": "é" * (MAX_LABELS // 2)}}, "too_large"),
        ({"startsAt": "yesterday"}, "time"),
        ({"startsAt": "2023-11-14T22:13:10"}, "time"),
        ({"endsAt": "10000-01-01T00:00:00Z"}, "time"),
        ({"startsAt": 5}, "unreadable"),
        ({"annotations": []}, "unreadable"),
    ],
)
def test_an_alert_that_cannot_be_taken_says_why(changes: dict[str, Any], cause: str) -> None:
    assert refused(**changes) == cause


def test_what_is_only_shown_is_cut() -> None:
    many = {f"a{i}": "x" * (MAX_ANNOTATION + 1) for i in range(MAX_ANNOTATIONS + 5)}
    found = one(annotations=many, fingerprint="f" * 1000)
    assert (len(found.annotations), len(found.fingerprint)) == (MAX_ANNOTATIONS, 64)
    assert {(len(text), text[-1]) for text in found.annotations.values()} == {(MAX_ANNOTATION, "…")}
    assert one(annotations={"a": "x" * MAX_ANNOTATION}).annotations == {"a": "x" * MAX_ANNOTATION}


def test_one_bad_alert_leaves_the_others() -> None:
    found = taken(None, sent(), {"labels": {"a": "b"}}, sent(labels={"alertname": "Other"}))
    assert [alert.name for alert in found.alerts] == ["TooHigh", "Other"]
    assert [error.cause for error in found.invalid] == ["unreadable", "status"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"version":"4","alerts":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
        b'{"version":"4","x":' + b'{"a":' * 100_000,
        b'{"version":"4","alerts":[{"labels":{"a":"\xff"}}',
        b'{"version":"4","alerts":[{"labels":{"a":"\\ud800"}}]}',
        b'{"version":4,"alerts":[]}',
        b'{"version":"3","alerts":[]}',
        b'{"alerts":[]}',
        b"",
    ],
)
def test_a_body_that_is_no_notification_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        payload.notification(body, NOW, ())


@pytest.mark.parametrize("text", [b'"\xff"', b"[" * 900 + b"]" * 900, b"1e999"])
def test_what_cannot_be_read_in_one_alert_is_its_own_fault(text: bytes) -> None:
    body = (
        b'{"version":"4","alerts":[{"status":"firing","labels":{"a":"b"},"x":1},{"status":"firing","labels":{"a":%s}}]}'
    )
    found = payload.notification(body.replace(b"%s", text), NOW, ())
    assert (len(found.alerts), [error.cause for error in found.invalid]) == (1, ["unreadable"])


def test_replicas_of_one_alert_are_one_that_fires_while_one_of_them_does() -> None:
    def replica(name: str, **changes: Any) -> dict[str, Any]:
        return sent(labels={"alertname": "A", "replica": name}, **changes)

    early, late, end = "2023-11-14T22:10:00Z", "2023-11-14T22:11:00Z", "2023-11-14T22:12:00Z"
    (firing,) = taken(replica("a", startsAt=late), replica("b", startsAt=early)).alerts
    assert (firing.firing, firing.starts_at) == (True, NOW - 200)
    both = replica("a", startsAt=late), replica("b", status="resolved", startsAt=early, endsAt=end)
    for order in (both, both[::-1]):
        (mixed,) = taken(*order).alerts
        assert (mixed.firing, mixed.starts_at) == (True, NOW - 140)
    (over,) = taken(
        replica("a", status="resolved", startsAt=early, endsAt=late),
        replica("b", status="resolved", startsAt=early, endsAt=end),
    ).alerts
    assert (over.firing, over.ends_at) == (False, NOW - 80)


def test_the_list_of_the_api_says_who_is_told_and_what_is_hidden() -> None:
    listed = {
        "annotations": {},
        "endsAt": "2023-11-14T22:17:20.000Z",
        "fingerprint": "f",
        "receivers": [{"name": "tocsin"}, {"name": "oncall"}],
        "startsAt": BEGAN,
        "status": {"inhibitedBy": [], "silencedBy": ["s"], "state": "suppressed"},
        "updatedAt": BEGAN,
        "generatorURL": "",
        "labels": {"alertname": "A"},
    }
    shown = {**listed, "labels": {"alertname": "B"}, "status": {**listed["status"], "state": "active"}}  # type: ignore[dict-item]  # a plain dict of JSON
    found = payload.listed(json.dumps([listed, shown, {"labels": {}}]).encode(), NOW, ())
    assert [(alert.name, alert.active, sorted(alert.receivers)) for alert in found.alerts] == [
        ("A", False, ["oncall", "tocsin"]),
        ("B", True, ["oncall", "tocsin"]),
    ]
    assert (len(found.invalid), found.alerts[0].ends_at) == (1, NOW + 240)
    with pytest.raises(Malformed):
        payload.listed(b'{"data":[]}', NOW, ())


@given(st.binary(max_size=200) | st.from_regex(rb'\{"version":"4","alerts":\[.*\]\}', fullmatch=True))
def test_no_body_breaks_the_decoder(body: bytes) -> None:
    try:
        payload.notification(body, NOW, ())
    except Malformed:
        return


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1), st.text(max_size=30))
def test_whatever_the_labels_and_times_are_an_alert_is_taken_or_refused(labels: dict[str, str], time: str) -> None:
    found = taken(sent(labels=labels, startsAt=time))
    assert len(found.alerts) + len(found.invalid) == 1
    assert all(alert.starts_at <= NOW for alert in found.alerts)
