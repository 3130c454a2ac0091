"""The templates of messages: what their files say is inert, short, and known to every Alertmanager."""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from alertmanagers import HOOK, RECEIVERS, accepted, shop, site, version
from generated import service
from messages import CASES, EVIL, EXTERNAL, TOCSIN, Case, acknowledge
from tocsin.generate import templates
from tocsin.generate.alertmanager import build, messages
from tocsin.generate.alertmanager.matchers import equal
from tools.servers import require

GOLDEN = Path(__file__).parent / "testdata" / "messages"
TEXT = messages.file([service("amas", severity="P0-P3"), service("other", severity="P1-P3")], "0", "0")
#: Functions of Alertmanager 0.25, and those of Go's templates that are used.
KNOWN = {
    "match",
    "reReplaceAll",
    "stringSlice",
    "and",
    "eq",
    "gt",
    "index",
    "len",
    "lt",
    "not",
    "or",
    "printf",
    "slice",
}
KNOWN |= {"urlquery"}
WORDS = {"define", "else", "end", "if", "range", "template", "with"}
LINK = r"Runbook|Dashboard|Logs|Traces|Acknowledge|Silence|Alertmanager"
OURS = ("https://wiki.example.com/", "https://kibana.example.com/", f"{TOCSIN}/alerts?", f"{EXTERNAL}/#/")


def golden(case: str, end: str) -> str:
    return (GOLDEN / f"{case}.{end}").read_text(encoding="utf-8")


def alerts(case: Case) -> dict[str, Any]:
    """A group as templates see it."""
    status = "resolved" if case.over else "firing"
    made = [{**one, "status": status} for one in case.alerts("2026-01-05T11:00:00Z")]
    common = {
        kind: {key: text for key, text in made[0][kind].items() if all(one[kind].get(key) == text for one in made)}
        for kind in ("labels", "annotations")
    }
    return {
        "status": status,
        "alerts": made,
        "groupLabels": {"alertname": case.labels["alertname"]},
        "commonLabels": common["labels"],
        "commonAnnotations": common["annotations"],
        "externalURL": EXTERNAL,
    }


def rendered(folder: Path, name: str, data: dict[str, Any], *, text: str = TEXT) -> str:
    """What a template makes of a group, by amtool."""
    file, given = folder / "tocsin.tmpl", folder / "data.json"
    file.write_text(text, encoding="utf-8")
    given.write_text(json.dumps(data))
    asked = [require("amtool"), "template", "render", f"--template.glob={file}", f"--template.data={given}"]
    done = subprocess.run(
        [*asked, f'--template.text={{{{ template "{name}" . }}}}'],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_name_is_ours_and_there_once() -> None:
    defined = Counter(re.findall(r'define "([^"]*)"', TEXT))
    assert set(defined.values()) == {1}
    assert all(name.startswith("tocsin.") for name in defined)
    used = set(re.findall(r'template "([^"]*)"', TEXT))
    assert used <= set(defined), used - set(defined)


def test_only_functions_are_used_that_the_oldest_alertmanager_has() -> None:
    for action in re.findall(r"\{\{-?(.*?)-?\}\}", TEXT, re.DOTALL):
        if action.lstrip().startswith("/*"):
            continue
        bare = re.sub(r'"(?:\\.|[^"\\])*"|`[^`]*`', "", action)
        found = set(re.findall(r"(?<![\w.$])[A-Za-z]\w*", bare))
        assert found <= KNOWN | WORDS, (found - KNOWN - WORDS, action)


def test_the_bytes_depend_on_the_services_scales_alone() -> None:
    there = [service("amas", severity="P0-P3"), service("other", severity="P1-P3")]
    assert messages.file([*there, service("third")], "0", "0") == TEXT
    assert not re.search(r"@[a-z]+@", TEXT)


@pytest.mark.parametrize("age", ["0.25", "0.28"])
def test_amtool_takes_the_templates_with_the_configuration(tmp_path: Path, age: str) -> None:
    if version() < tuple(map(int, age.split("."))):
        pytest.skip("needs a newer amtool")
    (tmp_path / "templates").mkdir()
    (tmp_path / messages.FILE).write_text(TEXT, encoding="utf-8")
    data, _ = build.whole(site(shop(), version=age))
    assert data["templates"] == ["templates/*.tmpl"]
    accepted(tmp_path, data)
    (tmp_path / messages.FILE).write_text(TEXT + "{{ nothing }}", encoding="utf-8")
    with pytest.raises(AssertionError, match='function "nothing" not defined'):
        accepted(tmp_path, data)


def test_a_part_names_the_one_file_and_a_configuration_may_name_another() -> None:
    assert build.parts(site(shop())).data()["templates"] == ["templates/tocsin.tmpl"]
    there = site(shop(), alertmanager={"templates": "/etc/alertmanager/config/tocsin.tmpl"})
    assert build.parts(there).data()["templates"] == ["/etc/alertmanager/config/tocsin.tmpl"]
    assert build.whole(there)[0]["templates"] == ["/etc/alertmanager/config/tocsin.tmpl"]


@pytest.mark.parametrize("case", list(CASES))
def test_a_title_is_one_short_line_and_the_first_line_is_the_summary(case: str) -> None:
    head, _, body = golden(case, "txt").partition("\n\n")
    assert head.startswith("Subject: ")
    assert len(head.removeprefix("Subject: ").replace("\u2060", "")) <= 60
    summary = {**CASES[case].annotations, **CASES[case].each[0][1]}["summary"]
    if case != "hostile":
        assert body.splitlines()[0].removeprefix("• ") == summary


def test_the_tier_is_in_words_of_the_services_scale(tmp_path: Path) -> None:
    def facts(of: str, severity: str) -> str:
        labels = {"alertname": "A", "tocsin_service": of, "severity": severity}
        return rendered(tmp_path, "tocsin.plain.facts", alerts(Case(labels, {}))).partition(" · ")[0]

    assert facts("amas", "P1") == "Severity P1 (action)"
    assert facts("other", "P1") == "Severity P1 (critical)"
    assert facts("third", "4") == "Tier 4 (critical)"
    assert facts("third", "page") == "Severity page"


def test_a_group_in_which_some_have_ended_lists_at_most_ten(tmp_path: Path) -> None:
    each = tuple(({"resource": f"r{i:02d}"}, {"summary": f"summary {i}"}) for i in range(20))
    data = alerts(Case({"alertname": "A", "tocsin_service": "shop", "signal": "load", "severity": "3"}, {}, each))
    for one in data["alerts"][12:]:
        one["status"] = "resolved"
    assert rendered(tmp_path, "tocsin.plain.title", data) == "Tier 3 shop load (12 firing, 8 resolved)"
    lines = rendered(tmp_path, "tocsin.plain.alerts", data).splitlines()
    firing, resolved = [f"• summary {i}" for i in range(7)], [f"• summary {i}" for i in range(12, 15)]
    assert lines == [*firing, "and 5 more", "Resolved:", *resolved, "and 5 more"]


@pytest.mark.parametrize("number", [1, 120])
@pytest.mark.parametrize("more", [{}, {"escalation": "top", "receiver": "product-ops-team-lead"}])
@pytest.mark.parametrize("ended", [0, 0.5, 1])
def test_no_title_is_longer_than_sixty_signs(tmp_path: Path, number: int, more: dict[str, str], ended: float) -> None:
    long = {
        "alertname": "A",
        "tocsin_service": "s" * 30,
        "signal": "l" * 30,
        "resource": "r" * 30,
        "severity": "medium",
    }
    data = alerts(Case({**long, **more}, {}, (({}, {}),) * number))
    for one in data["alerts"][: int(ended * number)]:
        one["status"] = "resolved"
    title = rendered(tmp_path, "tocsin.plain.title", data)
    assert 50 <= len(title) <= 60, title
    assert title.startswith("medium ssss")


def test_an_alert_of_a_group_shows_its_band_and_its_forecast(tmp_path: Path) -> None:
    tier = CASES["tier"]
    data = alerts(Case(tier.labels, tier.annotations, (({"resource": "a"}, {}), ({"resource": "b"}, {}))))
    first, second, *_ = rendered(tmp_path, "tocsin.plain.alerts", data).splitlines()
    assert first == second
    assert first == (
        "• utilization of piano (melody-meter) has reached tier 4 (critical). The value is 97.5%, expected 41% to 63%. "
        "The forecast reaches the limit of 100% at 2026-01-05 16:00:00 +0000 UTC."
    )


def test_what_an_alert_of_a_group_shows_is_what_the_rules_write() -> None:
    signal = service("shop", {"load": {"limit": 1.0}}).signals["load"]
    lines = templates.description(signal, 4)
    assert "\nThe value is " in lines
    assert "\nThe forecast reaches the limit of " in lines


def test_a_silence_has_the_groups_labels_whatever_is_in_them() -> None:
    labels = CASES["hostile"].labels
    wanted = ",".join(str(equal(name, labels[name])) for name in ("alertname", "resource", "signal", "tocsin_service"))
    (link,) = re.findall(
        rf"^Silence: {EXTERNAL}/#/silences/new\?filter=([\w.~%-]*)$", golden("hostile", "txt"), re.MULTILINE
    )
    assert unquote(link) == f"{{{wanted}}}"
    assert "Silence" not in golden("resolved", "txt")


@pytest.mark.parametrize("case", list(CASES))
def test_a_message_links_to_the_page_that_shows_its_alerts_while_they_fire(case: str) -> None:
    labels = CASES[case].labels
    keys = {"alertname": "alertname", "service": "tocsin_service", "signal": "signal", "resource": "resource"}
    wanted = {key: [labels[label]] for key, label in keys.items() if label in labels}
    for file in sorted(GOLDEN.glob(f"{case}.*")):
        found = acknowledge(file.name.removeprefix(f"{case}."), file.read_text(encoding="utf-8"))
        assert len(found) == (not CASES[case].over), file.name
        for url in found:
            parts = urlsplit(url)
            assert url.startswith(f"{TOCSIN}/alerts?")
            assert (parse_qs(parts.query), parts.fragment) == (wanted, ""), file.name


LINKED = messages.file([], "0", "0", TOCSIN)


def linked(folder: Path, labels: dict[str, str], text: str = LINKED) -> str:
    data = alerts(Case({"tocsin_service": "shop", **labels}, {}))
    return rendered(folder, "tocsin.acknowledge", data, text=text)


def test_a_level_that_names_the_alert_which_it_follows_links_to_that_one(tmp_path: Path) -> None:
    level = {"alertname": "ShopEscalationTopLead", "escalation": "top", "receiver": "lead", "resource": "a b+c"}
    query = "service=shop&resource=a%20b%2Bc"
    assert linked(tmp_path, level) == f"{TOCSIN}/alerts?alertname=ShopEscalationTopLead&{query}"
    level["escalated_alert"] = "ShopDown"
    assert linked(tmp_path, level) == f"{TOCSIN}/alerts?alertname=ShopDown&{query}"


def test_alerts_of_which_tocsin_is_not_told_have_no_link_to_acknowledge(tmp_path: Path) -> None:
    assert linked(tmp_path, {"alertname": "TocsinDown"}) == ""
    assert linked(tmp_path, {"alertname": "TocsinDowner"}) != ""
    assert linked(tmp_path, {"alertname": "ShopDown"}, text=messages.file([], "0", "0")) == ""
    for name in ("plain", "slack", "teams", "jira", "document", "html"):
        data = alerts(Case({"alertname": "TocsinDown", "tocsin_service": "shop"}, {}))
        assert "Acknowledge" not in rendered(tmp_path, f"tocsin.{name}.links", data, text=LINKED)


def test_messages_link_to_tocsin_where_people_reach_it_and_it_hears_of_what_they_hear() -> None:
    there, hook = "https://ops.example.com/tocsin", {"webhook": HOOK}
    assert site(shop(), external_url=f"{there}/", alertmanager=hook).pages == there
    assert site(shop(), alertmanager=hook).pages is None
    assert site(shop(), external_url=there).pages is None
    for given, last in (
        (hook, ["Acknowledge", "Silence", "Alertmanager"]),
        ({}, ["Traces", "Silence", "Alertmanager"]),
    ):
        receivers = build.parts(site(shop(), external_url=there, alertmanager=given)).receivers
        found = [one for receiver in receivers for one in receiver.get("pagerduty_configs", [])]
        assert found
        assert all([link["text"] for link in one["links"]][-3:] == last for one in found)


def test_what_is_hostile_stays_text_in_slack() -> None:
    found = json.loads(golden("hostile", "slack.json"))
    assert EVIL[:5] == "x<!ch"
    assert "x&lt;!channel&gt;" in found["text"]
    for key in ("title", "text", "fallback"):
        rest = re.sub(
            rf"<https://(?:wiki|kibana|alertmanager|tocsin)\.example\.com/[^<>|\s]*\|(?:{LINK})>", "", found[key]
        )
        assert not re.search(r"[<>`*~]|://|(?i:www\.)|@\w|&(?!amp;|lt;|gt;)", rest), key
    assert len(found["title"].replace("\u2060", "")) < 120


def test_what_is_hostile_stays_text_in_teams() -> None:
    for text in json.loads(golden("hostile", "teams.json")):
        rest = re.sub(
            rf"\[(?:{LINK})\]\(https://(?:wiki|kibana|alertmanager|tocsin)\.example\.com/[^\s()<>]*\)", "", text
        )
        assert not re.search(r"\][(\[:]|<\w|://|(?i:www\.)|@\w|[`*~]|\\[^\u2060]|&\w", rest), rest


def test_what_is_hostile_stays_text_in_jiras_markup() -> None:
    found = json.loads(golden("hostile", "jira-2.json"))
    rest = re.sub(
        rf"\[(?:{LINK})\|https://(?:wiki|kibana|alertmanager|tocsin)\.example\.com/[^\s|\[\]{{}}!]*\]",
        "",
        found["description"],
    )
    assert not re.search(r"(?<!\\)[\[\]{}!|*~^]|\\\\|://|(?i:www\.)", rest), rest
    assert "\n" not in found["summary"]


def _nodes(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, dict):
        yield data
        for value in data.values():
            yield from _nodes(value)
    elif isinstance(data, list):
        for value in data:
            yield from _nodes(value)


@pytest.mark.parametrize("case", list(CASES))
def test_jiras_document_has_text_and_links_of_ours_and_nothing_else(case: str) -> None:
    for node in _nodes(json.loads(golden(case, "jira-3.json"))["description"]):
        assert node.get("type") in ("doc", "paragraph", "text", "hardBreak", "link", None)
        assert node.get("text") != ""
        if node.get("type") == "link":
            hosts = ("https://grafana.example.com/", "https://jaeger.example.com/", *OURS)
            assert node["attrs"]["href"].startswith(hosts)
        elif "text" in node and "marks" not in node:
            assert "://" not in node["text"]


def test_what_is_hostile_stays_text_in_mail() -> None:
    head, _, body = golden("hostile", "txt").partition("\n\n")
    assert "\n" not in head
    rest = re.sub(
        rf"^(?:{LINK}): https://(?:wiki|kibana|alertmanager|tocsin)\.example\.com/\S*$", "", body, flags=re.MULTILINE
    )
    assert not re.search(r"://|(?i:www\.|mailto:)|\u202e", rest)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [text or "" for name, text in attrs if name in ("href", "src")]
        assert {name for name, _ in attrs} <= {"class", "style", "href", "lang", "charset", "name", "content"}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("case", list(CASES))
def test_mail_has_no_elements_but_its_own(case: str) -> None:
    page = _Tags()
    page.feed(golden(case, "html"))
    own = {"html", "head", "meta", "title", "style", "body", "div", "h1", "p", "a"}
    assert page.tags == own
    hosts = ("https://grafana.example.com/", "https://jaeger.example.com/", *OURS)
    assert all(link.startswith(hosts) for link in page.links)
    assert "://" not in page.text


def test_pagerduty_reads_no_detail_as_anything_but_text() -> None:
    found = json.loads(golden("hostile", "pagerduty.json"))
    details = found["payload"]["custom_details"]
    assert all(isinstance(value, str) for value in details.values())
    assert EXTERNAL not in json.dumps(details)
    assert "://" not in json.dumps(found["payload"])
    assert [link["text"] for link in found["links"]] == ["Runbook", "Logs", "Acknowledge", "Silence", "Alertmanager"]
    assert all(link["href"].startswith(OURS) for link in found["links"])


@pytest.mark.parametrize(
    ("given", "told", "template"),
    [
        ({"api_url": "https://jira.example.com/rest/api/2/"}, False, "tocsin.jira.body"),
        ({"api_url": "https://x.example.com/rest/api/3", "resolve_transition": "Done"}, True, "tocsin.document"),
    ],
)
def test_jira_is_told_of_the_end_where_there_is_a_transition(given: dict[str, str], told: bool, template: str) -> None:
    jira = {"project": "OPS", "token_file": "/etc/tocsin/jira", **given}
    there = site(shop(default_receiver="jira"), version="0.28", receivers={**RECEIVERS, "jira": {"jira": jira}})
    (found,) = (one["jira_configs"][0] for one in build.parts(there).receivers if "jira_configs" in one)
    assert (found["send_resolved"], found["description"]) == (told, f'{{{{ template "{template}" . }}}}')
