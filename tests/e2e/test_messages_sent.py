"""A real Alertmanager renders each message, and each is what its golden file says.

`GOLDEN=write` writes the files of tests/testdata/messages instead; look at the difference before it is kept.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from running import get, until

from alertmanagers import HOOK, site, version
from generated import service
from messages import CASES, EXTERNAL, TOCSIN, Case, acknowledge
from sinks import mailbox, posts
from site_client import WEBHOOK, Site, bearer, caller, notification
from tocsin.config.models import Receiver
from tocsin.generate import render
from tocsin.generate.alertmanager import channels, messages
from tocsin.generate.alertmanager.channels import Context
from tools.servers import alertmanager

pytestmark = pytest.mark.e2e

Taken = list[tuple[str, dict[str, Any]]]

GOLDEN = Path(__file__).parent.parent / "testdata" / "messages"
ODD = (
    "piano",
    "a b + c/d?e=f;g",
    "100%25 %41",
    "\"q\" 'r' <s> \\t `u` (v) [w] {x} |y| !z",
    "a&b=c#d&amp;e",
    "größe 音 \U0001f3b9\u2028",
)
TIMING = {"group_wait": "1s", "group_interval": "1s", "repeat_interval": "1h"}
SERVICES = (service("amas", severity="P0-P3"), service("melody-meter"), service("maestro", severity="page-ticket"))
ENDED = re.compile(r"until \d{4}-\d\d-\d\d \d\d:\d\d UTC")


def receiver(folder: Path, url: str, smarthost: str) -> dict[str, Any]:
    """One receiver with every channel that this Alertmanager knows, as they are generated."""
    for name, text in {"key": "a-key", "slack": f"{url}/slack", "teams": f"{url}/teams", "token": "a-token"}.items():
        (folder / name).write_text(text)
    age = "0.28" if version() >= (0, 28) else "0.25"
    smtp = {"smarthost": smarthost, "from": "tocsin@example.com", "require_tls": False}
    there = site(*SERVICES, version=age, smtp=smtp, external_url=TOCSIN, alertmanager={"webhook": HOOK})
    jira = {"project": "OPS", "token_file": str(folder / "token"), "resolve_transition": "Done"}
    given: list[dict[str, Any]] = [
        {"pagerduty": {"routing_key_file": str(folder / "key")}},
        {"slack": {"api_url_file": str(folder / "slack")}},
        {"email": {"to": ["somebody@example.com"]}},
    ]
    if age != "0.25":
        given.append({"teams": {"webhook_url_file": str(folder / "teams")}})
        given += [{"jira": {"api_url": f"{url}/jira-{n}/rest/api/{n}/", **jira}} for n in (2, 3)]
    made: dict[str, Any] = {"name": "all"}
    for one in given:
        model = Receiver.model_validate(one)
        (kind,) = one
        for key, config in channels.made(kind, getattr(model, kind), Context(there)):
            made.setdefault(key, []).append(config)
    return made


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, Taken, list[EmailMessage]]]:
    """Alertmanager with the generated templates and every channel; its URL, and what was sent."""
    with posts() as (url, heard), mailbox() as (smarthost, mails):
        (folder / "templates").mkdir()
        (folder / messages.FILE).write_text(messages.file(SERVICES, "0", "0", TOCSIN), encoding="utf-8")
        config: dict[str, Any] = {
            "global": {"pagerduty_url": f"{url}/pagerduty"},
            "templates": [messages.GLOB],
            "route": {"receiver": "all", "group_by": ["tocsin_service", "alertname", "signal", "resource"], **TIMING},
            "receivers": [receiver(folder, url, smarthost)],
        }
        config["route"]["routes"] = [
            {"matchers": ['alertname="AmasPoolExhausted"'], "group_by": ["tocsin_service", "alertname"]}
        ]
        flags = [f"--web.external-url={EXTERNAL}", "--web.route-prefix=/"]
        with alertmanager(folder, render.document(config, "0", "0"), flags) as server:
            yield server.url, heard, mails


def post(url: str, case: Case, *, over: bool) -> None:
    now = datetime.now(UTC)
    ends = now - timedelta(seconds=1) if over else now + timedelta(hours=1)
    # What has begun long ago is sent at once, and not when the whole group is there.
    alerts = [{**one, "startsAt": now.isoformat()} if case.each[1:] else one for one in case.alerts(ends.isoformat())]
    body = json.dumps(alerts).encode()
    status, said = get(f"{url}/api/v2/alerts", "POST", body, Content_Type="application/json")
    assert status == 200, said


def parts(heard: Taken, mails: list[EmailMessage]) -> Iterator[tuple[str, str, Any]]:
    """Channel, name of the golden file's end, and what is compared, of everything that was sent."""
    for path, body in heard:
        channel = path.strip("/").split("/")[0]
        if channel == "slack":
            kept = ("title", "title_link", "text", "fallback")
            yield channel, "slack.json", {key: body["attachments"][0][key] for key in kept}
        elif channel == "teams":
            yield channel, "teams.json", [block["text"] for block in body["attachments"][0]["content"]["body"]]
        elif channel == "pagerduty":
            yield channel, "pagerduty.json", _pagerduty(body)
        elif body.get("fields") and isinstance(body["fields"], dict):
            found = {key: body["fields"][key] for key in ("summary", "description")}
            yield channel, f"{channel}.json", found
    for mail in mails:
        for kind, end in (("plain", "txt"), ("html", "html")):
            part = mail.get_body((kind,))
            assert part is not None
            head = f"Subject: {mail['Subject']}\n\n" if end == "txt" else ""
            yield "email", end, head + part.get_content().replace("\r\n", "\n")


def _pagerduty(body: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in body.items() if key not in ("dedup_key", "routing_key")}
    details = body["payload"]["custom_details"]
    # Alertmanager before 0.28 makes every detail a text, and from then on an empty one nothing.
    found["payload"]["custom_details"] = {key: str(value) for key, value in details.items() if value not in (None, "")}
    found["payload"].pop("timestamp", None)
    return found


def _is(case: Case, text: str) -> bool:
    return f"alertname%3d%22{case.labels['alertname']}%22".lower() in text.lower()


@cache
def _ends() -> list[str]:
    new = ["teams.json", "jira-2.json", "jira-3.json"] if version() >= (0, 28) else []
    return ["slack.json", "pagerduty.json", "txt", "html", *new]


def sent(case: Case, heard: Taken, mails: list[EmailMessage]) -> dict[str, str] | None:
    """The last message about a case by the end of its file; None while one is missing."""
    found: dict[str, str] = {}
    for _, end, what in parts(heard, mails):
        text = what if isinstance(what, str) else json.dumps(what, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        if _is(case, text) and ("until " in text or not case.over):
            found[end] = ENDED.sub("until TIME", text)
    return found if sorted(found) == sorted(_ends()) else None


def all_sent(url: str, heard: Taken, mails: list[EmailMessage]) -> dict[str, dict[str, str]]:
    """Fire every case, end those that end, and collect what was sent, by case and end of file."""

    def fired(case: Case) -> bool:
        return any(_is(case, text) for text in _texts(heard, mails))

    for case in CASES.values():
        post(url, case, over=False)
    for name, case in CASES.items():
        if case.over:
            until(partial(fired, case), f"{name} has fired")
            post(url, case, over=True)
    return {
        name: until(partial(sent, case, heard, mails), f"{name} was sent everywhere") for name, case in CASES.items()
    }


def test_every_message_is_what_its_golden_file_says(tmp_path: Path) -> None:
    with running(tmp_path) as (url, heard, mails):
        found = all_sent(url, heard, mails)
    for name, by_end in found.items():
        for end, text in by_end.items():
            file = GOLDEN / f"{name}.{end}"
            if os.environ.get("GOLDEN") == "write":
                file.write_text(text, encoding="utf-8")
            assert text == file.read_text(encoding="utf-8"), file.name


def _texts(heard: Taken, mails: list[EmailMessage]) -> Iterator[str]:
    for _, _, what in parts(heard, mails):
        yield what if isinstance(what, str) else json.dumps(what)


def test_the_link_to_acknowledge_opens_the_page_of_that_alert_in_every_medium(tmp_path: Path) -> None:
    tier = CASES["tier"]
    cases = [
        Case({**tier.labels, "alertname": f"Odd{i}", "resource": resource}, tier.annotations)
        for i, resource in enumerate(ODD)
    ]
    with running(tmp_path) as (url, heard, mails):
        for case in cases:
            post(url, case, over=False)
        found = [until(partial(sent, case, heard, mails), "it was sent everywhere") for case in cases]
    page = Site(None, caller(), prefix="/tocsin")
    now = datetime.now(UTC)
    told = [alert for case in cases for alert in case.alerts(now.isoformat())]
    # Beside each one that is like it but for one label.
    told += [{**alert, "labels": {**alert["labels"], "signal": "other"}} for alert in told]
    body = notification(*({**alert, "status": "firing"} for alert in told))
    assert page.ask("POST", f"/tocsin{WEBHOOK}", json=body, headers=bearer())[0] == 200
    for case, by_end in zip(cases, found, strict=True):
        for end, text in by_end.items():
            (link,) = acknowledge(end, text)
            status, _, shown = page.ask("GET", link.removeprefix(TOCSIN.removesuffix("/tocsin")))
            names = re.findall(r"<strong>(Odd\d)</strong>\s*<div class=\"dim\">([^<]*)<", shown)
            assert (status, names) == (200, [(case.labels["alertname"], "melody-meter, utilization, 4")]), (end, link)
