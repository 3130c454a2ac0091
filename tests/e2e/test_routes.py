"""A real Alertmanager with the generated configuration: the right local receiver gets each alert, and nobody else."""

import http.server
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from running import get, until

from alertmanagers import shop, site
from generated import service
from tocsin.config.models import Service
from tocsin.generate import render
from tocsin.generate.alertmanager import build, messages
from tools.servers import alertmanager

pytestmark = pytest.mark.e2e

TIMING = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h", "page_repeat_interval": "1h"}


class Heard:
    """What a local program was posted, as (path, body, authorization)."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any], str]] = []

    def paths(self, word: str, status: str = "") -> set[str]:
        """Paths that were posted something with this word and this status in it."""
        found = [(path, json.dumps(body)) for path, body, _ in self.posts]
        return {path for path, text in found if word in text and status.lower() in text.lower()}


@contextmanager
def listening() -> Iterator[tuple[str, Heard]]:
    """A program that takes every post; gives its URL and what it heard."""
    heard = Heard()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.posts.append((self.path, json.loads(body), self.headers.get("Authorization", "")))
            answer = b'{"status":"success","dedup_key":"x","ok":true}'
            # What PagerDuty says is 202; the others take any success.
            self.send_response(202 if self.path.startswith("/pagerduty") else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(url: str, alerts: list[Mapping[str, str]], *, over: bool = False) -> None:
    """Tell Alertmanager of alerts as Prometheus would, firing or resolved."""
    now = datetime.now(UTC)
    ends = now - timedelta(seconds=1) if over else now + timedelta(hours=1)
    texts = {"summary": "a summary", "runbook_url": "https://wiki.example.com/x"}
    times = {"startsAt": (now - timedelta(minutes=5)).isoformat(), "endsAt": ends.isoformat()}
    body = json.dumps([{"labels": dict(labels), "annotations": texts, **times} for labels in alerts]).encode()
    status, said = get(f"{url}/api/v2/alerts", "POST", body, Content_Type="application/json")
    assert status == 200, said


def hidden(url: str) -> dict[str, bool]:
    """Whether each alert that fires is inhibited, by name."""
    _, said = get(f"{url}/api/v2/alerts")
    return {one["labels"]["alertname"]: bool(one["status"]["inhibitedBy"]) for one in json.loads(said)}


@contextmanager
def running(folder: Path, *services: Service) -> Iterator[tuple[str, Heard]]:
    """Alertmanager with what is generated for services, else for two; each channel is a path of the local program."""
    with listening() as (url, heard):

        def slack(name: str) -> dict[str, Any]:
            file = folder / f"slack-{name}"
            file.write_text(f"{url}/slack/{name}")
            return {"slack": {"api_url_file": str(file), "channel": "#x"}}

        (folder / "key").write_text("a-key")
        (folder / "token").write_text("a-token")
        pager = {"pagerduty": {"routing_key_file": str(folder / "key")}}
        receivers = {
            "oncall": {**pager, **slack("oncall")},
            "lead": slack("lead"),
            "ops": {"webhook": {"url": f"{url}/ops", "bearer_file": str(folder / "token")}},
            "monitoring": {"webhook": {"url": f"{url}/monitoring"}},
        }
        other = service(
            "other",
            {"load": {"dimension": "api", "alert": {"critical": {"tier": 4}, "watch": {"tier": 2}}}},
            severity="P1-P3",
            default_receiver="ops",
            alerts=[{"name": "Gone", "expr": "vector(1) == 0", "level": "critical"}],
            down=["Gone"],
        )
        process = {
            "receivers": receivers,
            "default_receiver": "monitoring",
            "alertmanager": {
                "webhook": {"url": f"{url}/tocsin", "token_file": str(folder / "token")},
                "timing": TIMING,
            },
        }
        services = services or (shop(), other)
        data, _ = build.whole(site(*services, **process))
        data = {"global": {"pagerduty_url": f"{url}/pagerduty"}, **data}
        (folder / "templates").mkdir()
        (folder / messages.FILE).write_text(messages.file(services, "0", "0"), encoding="utf-8")
        with alertmanager(folder, render.document(data, "0", "0")) as server:
            yield server.url, heard


def labels(name: str, severity: str, of: str = "shop", **more: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, "tocsin_service": of, **more}


def test_each_alert_reaches_its_receiver_and_an_escalated_one_tells_no_resolution(tmp_path: Path) -> None:
    level = {"escalation": "top", "receiver": "lead"}
    page = labels("ShopLoadCritical", "4", page="true", signal="load", resource="a")
    late = labels("ShopEscalationTopLead", "4", page="true", signal="load", resource="a", **level)
    alerts = [
        page,
        late,
        labels("ShopLoadAction", "3", signal="load", resource="b"),
        labels("ShopLoadWatch", "2", signal="load", resource="c"),
        labels("TocsinDown", "critical", "tocsin"),
        {"alertname": "NotOurs", "severity": "critical"},
    ]
    with running(tmp_path) as (url, heard):
        post(url, alerts)
        wanted = {
            "ShopLoadCritical": {"/pagerduty", "/slack/oncall", "/tocsin"},
            "ShopEscalationTopLead": {"/slack/lead", "/tocsin"},
            "ShopLoadAction": {"/ops", "/tocsin"},
            "ShopLoadWatch": {"/ops", "/tocsin"},
            "TocsinDown": {"/monitoring"},
            "NotOurs": set(),
        }

        def reached() -> bool:
            return {name: heard.paths(f'"{name}"') | heard.paths(f"%22{name}%22") for name in wanted} == wanted

        until(reached, "everybody was told")
        (event,) = (body for path, body, _ in heard.posts if path == "/pagerduty")
        assert (event["routing_key"], event["event_action"]) == ("a-key", "trigger")
        assert (event["payload"]["severity"], event["payload"]["summary"]) == ("critical", "a summary")
        assert {"href": "https://wiki.example.com/x", "text": "Runbook"} in event["links"]
        assert {token for path, _, token in heard.posts if path in ("/ops", "/tocsin")} == {"Bearer a-token"}

        post(url, alerts, over=True)
        until(lambda: heard.paths("ShopLoadCritical", "resolve") >= {"/pagerduty", "/slack/oncall"}, "it is over")
        until(lambda: "/tocsin" in heard.paths("ShopEscalationTopLead", '"resolved"'), "the level is over too")
        # Its group was flushed with that of the webhook: what was not sent by now is not sent.
        assert len([path for path, _, _ in heard.posts if path == "/slack/lead"]) == 1
        assert len([path for path, _, _ in heard.posts if path == "/slack/oncall"]) == 2


def test_the_worst_hides_the_lesser_of_the_same_dimension_and_down_hides_the_symptoms(tmp_path: Path) -> None:
    top = labels("Top", "P1", "other", dimension="api", signal="load", resource="a")
    alerts = [
        top,
        labels("SameDimension", "P2", "other", dimension="api", signal="else", resource="b"),
        labels("OtherDimension", "P2", "other", dimension="web", signal="else", resource="a"),
        labels("SameResource", "P3", "other", signal="load", resource="a"),
        labels("OtherResource", "P3", "other", signal="load", resource="b"),
        labels("NeitherHasDimension", "P3", "other"),
        labels("NoDimensionTop", "P1", "other"),
        labels("Paging", "P2", "other", dimension="api", page="true"),
        labels("OtherService", "P2", dimension="api", signal="load", resource="a"),
        {"alertname": "NotOurs", "severity": "P2", "dimension": "api"},
    ]
    with running(tmp_path) as (url, _):
        post(url, alerts)
        until(lambda: len(hidden(url)) == len(alerts), "all alerts are there")
        found = {name for name, inhibited in hidden(url).items() if inhibited}
        assert found == {"SameDimension", "SameResource"}
        gone = labels("Gone", "P1", "other")
        ticket, level = labels("Ticket", "ticket", "other"), labels("Late", "P1", "other", escalated_alert="Gone")
        stale = labels("TocsinEvaluationStale", "warning", "other", signal="load")
        post(url, [gone, ticket, level, stale])
        until(lambda: len(hidden(url)) == len(alerts) + 4, "so are the others")
        shown = {name for name, found in hidden(url).items() if not found}
        assert shown == {"Gone", "Ticket", "Late", "TocsinEvaluationStale", "Paging", "OtherService", "NotOurs"}


def web() -> Service:
    """A service that is down when `up` says so, with pages on another signal, and levels about both."""
    page = {"tier": 4, "page": True}
    return service(
        "web",
        {"up": {"alert": {"critical": {"tier": 4}}}, "errors": {"alert": {"critical": page}}},
        severity="P1-P3",
        default_receiver="oncall",
        escalation={"top": {"when": "tier >= 4", "steps": [{"to": "oncall"}, {"to": "lead", "after": "15m"}]}},
        down=["WebUpCritical"],
    )


def test_down_lets_its_own_escalation_through_and_never_keeps_back_the_end_of_a_page(tmp_path: Path) -> None:
    level = {"escalation": "top", "receiver": "lead", "resource": "a"}
    error = labels("WebErrorsCritical", "P1", "web", page="true", signal="errors", resource="a")
    quiet = labels("WebErrorsQuiet", "P1", "web", signal="errors", resource="a")
    up = labels("WebUpCritical", "P1", "web", signal="up", resource="a")
    own = labels("WebEscalationTopLead", "P1", "web", signal="up", **level)
    symptom = labels("WebEscalationTopSymptom", "P1", "web", signal="errors", **level)
    with running(tmp_path, web()) as (url, heard):
        post(url, [up])
        until(lambda: hidden(url) == {"WebUpCritical": False}, "it is down")
        post(url, [error, quiet, own, symptom])
        until(lambda: "/slack/lead" in heard.paths("WebEscalationTopLead"), "its own level is told")
        until(lambda: "/pagerduty" in heard.paths("WebErrorsCritical", '"trigger"'), "a page is told")
        assert {name for name, inhibited in hidden(url).items() if inhibited} == {
            "WebErrorsQuiet",
            "WebEscalationTopSymptom",
        }
        post(url, [error], over=True)
        until(lambda: "/pagerduty" in heard.paths("WebErrorsCritical", '"resolve"'), "its incident ends")
        # What is hidden is handed to Tocsin by nobody either.
        assert not heard.paths("WebErrorsQuiet")
        assert not heard.paths("WebEscalationTopSymptom")


def test_what_gets_worse_silences_no_level_no_other_resource_and_nothing_about_tocsin(tmp_path: Path) -> None:
    thresholds = {key: {"expr": key, "critical": 2, "warning": 1, "page": key == "cpu"} for key in ("cpu", "mem")}
    policy = {"act": {"when": "tier >= 3", "steps": [{"to": "lead"}, {"to": "ops", "after": "30m"}]}}
    alert = {"critical": {"tier": 4}, "action": {"tier": 3}}
    one = service(
        "thr",
        {"load": {"alert": alert, "by": ["node"]}},
        severity="warning-critical",
        thresholds=thresholds,
        escalation=policy,
        default_receiver="oncall",
    )
    load = {"signal": "load", "resource": "a"}
    alerts = [
        labels("ThrLoadCritical", "critical", "thr", **load),
        labels("ThrLoadAction", "warning", "thr", **load),
        labels("ThrEscalationActOps", "warning", "thr", **load, escalation="act", receiver="ops"),
        labels("TocsinNoSeries", "warning", "thr", **load),
        labels("ThrMemCritical", "critical", "thr", signal="mem", instance="A"),
        labels("ThrMemWarning", "warning", "thr", signal="mem", instance="B"),
    ]
    pages = [labels("ThrCpuCritical", "critical", "thr", signal="cpu", page="true", instance=i) for i in "AB"]
    with running(tmp_path, one) as (url, heard):
        post(url, alerts[:1])
        until(lambda: "ThrLoadCritical" in hidden(url), "it is critical")
        # Who waits for `tier >= 3` is told of the critical alert too, which hides the other one.
        until(lambda: "/slack/lead" in heard.paths("ThrLoadCritical"), "the first step is told")
        post(url, alerts)
        until(lambda: len(hidden(url)) == len(alerts), "all alerts are there")
        assert {name for name, inhibited in hidden(url).items() if inhibited} == {"ThrLoadAction"}
        until(lambda: "/ops" in heard.paths("ThrEscalationActOps"), "its level is told")
        until(lambda: "/monitoring" in heard.paths("TocsinNoSeries"), "those who run Tocsin are told")

        def incidents() -> set[str]:
            found = (body for path, body, _ in heard.posts if path == "/pagerduty")
            return {body["dedup_key"] for body in found if body["event_action"] == "trigger"}

        post(url, pages[:1])
        until(lambda: len(incidents()) == 1, "one page is an incident")
        post(url, pages)
        until(lambda: len(incidents()) == 2, "another series is another one")
