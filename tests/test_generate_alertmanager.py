"""Alertmanager's configuration: who is told of what, by which channel of which receiver, at which version."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alertmanagers import HOOK, MAIL, PAGER, RECEIVERS, SLACK, accepted, shop, site, told, version
from generated import service
from tocsin import names
from tocsin.config.scales import SCALES
from tocsin.config.types import parse_whole_seconds as parse_seconds
from tocsin.generate import meta
from tocsin.generate.alertmanager import build, severity, table
from tocsin.generate.alertmanager.matchers import among, equal
from tocsin.generate.alertmanager.node import Node
from tocsin.generate.alertmanager.site import Refused, Site
from tocsin.generate.alertmanager.tellers import without

EVERYTHING: dict[str, Any] = {
    "all": {
        **PAGER,
        **SLACK,
        **MAIL,
        "phone": {"pagerduty": {"routing_key_file": "/etc/tocsin/phone"}},
        "sms": {"webhook": {"url": "http://127.0.0.1:1/sms", "bearer_file": "/etc/tocsin/sms"}},
        "teams": {"webhook_url_file": "/etc/tocsin/teams"},
        "jira": {
            "api_url": "https://jira.example.com/rest/api/2/",
            "project": "OPS",
            "token_file": "/etc/tocsin/jira",
            "username": "bot",
            "labels": ["tocsin"],
        },
        "webhook": {"url": "http://127.0.0.1:1/hook"},
        "quiet_hours": [{"hours": "22:00-06:00", "time_zone": "Europe/Berlin"}],
    }
}


def expected(one: Site) -> dict[str, list[str]]:
    """Receivers by alert, of the table; an alert with several label sets has the last one's."""
    return {row.labels["alertname"]: list(row.receivers) for row in table.rows(one)}


def receiver(one: Site, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(found for found in build.parts(one).receivers if found["name"] == name)
    return found


def whole(one: Site) -> dict[str, Any]:
    return build.whole(one)[0]


def test_only_an_alert_that_pages_reaches_the_pager() -> None:
    page = {"critical": {"tier": 4, "page": True}}
    quiet = {"critical": {"tier": 4}}
    policy = {"top": {"when": "tier >= 4", "steps": [{"to": "oncall"}]}}
    for alert, name, keys in (
        (page, "tocsin-oncall", {"name", "pagerduty_configs", "slack_configs"}),
        (quiet, "tocsin-oncall-no-page", {"name", "slack_configs"}),
    ):
        one = site(shop(signals={"load": {"alert": alert}}, escalation=policy))
        assert expected(one)["ShopLoadCritical"] == [name]
        assert receiver(one, name).keys() == keys


def test_who_can_only_be_paged_is_not_told_of_what_does_not_page() -> None:
    policy = {"top": {"when": "tier >= 3", "steps": [{"to": "boss"}, {"to": "boss", "after": "15m", "name": "Late"}]}}
    one = site(shop(escalation=policy))
    assert expected(one)["ShopLoadAction"] == ["tocsin-ops"]
    assert expected(one)["Late"] == ["tocsin-ops"]
    rows = table.rows(one)
    assert list(table.warnings(one, rows)) == [
        "shop: Late (severity=3) does not page, and boss can only be paged: tocsin-ops is told instead",
        *[f"nobody is told of {whose}: {name} (severity={word})" for whose, name, word in meta_words(one)],
    ]


def meta_words(one: Site) -> list[tuple[str, ...]]:
    return [
        (row["tocsin_service"], row["alertname"], row["severity"])
        for row in one.meta()
        if row["alertname"] not in (names.ALERT_WATCHDOG, names.ALERT_SLO_IDLE)
    ]


def test_a_level_of_escalation_goes_to_whom_it_names_without_resolved_messages() -> None:
    both = {**PAGER, **SLACK, **MAIL, "webhook": {"url": "http://127.0.0.1:1/"}}
    one = site(receivers={**RECEIVERS, "lead": both})
    assert expected(one)["ShopEscalationTopLead"] == ["tocsin-lead-escalated"]
    found = receiver(one, "tocsin-lead-escalated")
    resolved = {key: [made["send_resolved"] for made in found[key]] for key in found if key != "name"}
    assert resolved == {
        "pagerduty_configs": [True],
        "slack_configs": [False],
        "email_configs": [False],
        "webhook_configs": [True],
    }
    assert receiver(one, "tocsin-oncall")["slack_configs"][0]["send_resolved"] is True


def test_several_policies_and_routes_tell_several_people_and_nobody_twice() -> None:
    policies = {
        "by-tier": {"when": "tier >= 4", "steps": [{"to": "oncall"}]},
        "by-severity": {"when": "severity = 4", "steps": [{"to": "lead"}]},
        "again": {"when": "severity = 4", "steps": [{"to": "oncall"}]},
    }
    routes = [
        {"to": "lead", "team": "keys", "severity": "3"},
        {"to": "lead", "team": "keys"},
        {"to": "boss", "team": "strings"},
        {"to": "boss", "service": "other"},
    ]
    one = site(shop(escalation=policies, team="keys"), routes=routes)
    assert expected(one)["ShopLoadCritical"] == ["tocsin-oncall", "tocsin-lead"]
    assert expected(one)["ShopLoadAction"] == ["tocsin-lead"]
    assert expected(one)["ShopLoadWatch"] == ["tocsin-lead"]
    assert not list(table.faults(one, build.parts(one).node, table.rows(one)))


def test_matchers_less_others_cover_what_is_left_and_never_overlap() -> None:
    earlier = [[equal("a", "1"), equal("b", "2")], [equal("b", "1")]]
    ways = without([equal("c", "3")], earlier)
    for a in "12":
        for b in "12":
            labels = {"a": a, "b": b, "c": "3"}
            holds = sum(all(matcher.holds(labels) for matcher in way) for way in ways)
            assert holds == (0 if any(all(m.holds(labels) for m in one) for one in earlier) else 1)


def test_a_dimension_has_people_of_its_own() -> None:
    signals = {"load": {"alert": {"action": {"tier": 3}}, "dimension": "revenue"}}
    one = site(shop(signals=signals, escalation={}), routes=[{"to": "lead", "dimension": "revenue"}])
    assert expected(one)["ShopLoadAction"] == ["tocsin-lead"]


def test_alerts_about_tocsin_go_to_those_who_run_it_and_the_watchdog_to_who_waits_for_it() -> None:
    one = site(default_receiver="lead", alertmanager={"watchdog": "ops"})
    found = expected(one)
    assert found[names.ALERT_DOWN] == ["tocsin-lead"]
    assert found[names.ALERT_WATCHDOG] == ["tocsin-ops"]
    root = Node(names.NOT_OURS, routes=[build.parts(one).node])
    assert root.told({"alertname": names.ALERT_STALE, "tocsin_service": "shop", "severity": "2"}) == ["tocsin-lead"]
    assert root.told({"alertname": "KubePodCrashLooping", "severity": "critical"}) == [names.NOT_OURS]


def test_the_names_of_the_alerts_about_tocsin_are_those_of_its_rules() -> None:
    slo = {"api": {"objective": "99%", "sli": {"bad": "b", "total": "t"}}}
    one = site(shop(slos=slo))
    made = [alert.name for alert in meta.alerts(one.services, one.process.target)]
    assert sorted(names.META_ALERTS) == sorted(made)


def test_every_alert_is_handed_to_tocsin_with_its_token() -> None:
    one = site(alertmanager={"webhook": HOOK})
    assert expected(one)["ShopLoadCritical"] == ["tocsin-webhook", "tocsin-oncall"]
    (hook,) = receiver(one, "tocsin-webhook")["webhook_configs"]
    assert hook == {
        "send_resolved": True,
        "url": HOOK["url"],
        "http_config": {"authorization": {"credentials_file": HOOK["token_file"]}},
    }


@pytest.mark.parametrize("target", ["0.25", "0.26", "0.27", "0.28", "0.31"])
def test_every_channel_at_every_version_passes_amtool(target: str, tmp_path: Path) -> None:
    made = shop(default_receiver="all", escalation={})
    one = site(made, receivers=EVERYTHING, version=target, default_receiver="all", alertmanager={"webhook": HOOK})
    data, parts = build.whole(one)
    keys = receiver(one, "tocsin-all-no-page").keys() - {"name"}
    old = one.version < (0, 28)
    assert keys == {"slack_configs", "email_configs", "webhook_configs"} | (
        set() if old else {"msteamsv2_configs", "jira_configs"}
    )
    assert any("jira" in note and "responder" in note for note in parts.notes) == old
    if not old and version() < one.version:
        pytest.skip("needs a newer amtool")
    accepted(tmp_path, data)


def test_what_a_version_cannot_do_is_refused_with_what_is_right() -> None:
    url = {"webhook": {"url_file": "/etc/tocsin/url"}}
    teams = {"teams": {"webhook_url_file": "/etc/tocsin/teams"}}
    jira = {"jira": {"api_url": "https://jira.example.com/", "project": "OPS", "token_file": "/etc/tocsin/jira"}}
    receivers = {**RECEIVERS, "oncall": {**url, **teams}, "lead": {**jira, **MAIL}}
    made, newer = "Alertmanager 0.25 is what files are made for", 'expected `target.alertmanager: "0.28"` or newer'
    none = "below 0.28 it cannot read the URL of a channel from a file, and none below 0.26 knows Teams"
    smtp = "`smtp: {smarthost: HOST:PORT, from: ADDRESS}`"
    url_and_newer = 'expected `url` with what is secret in bearer_file, or `target.alertmanager: "0.28"` or newer'
    with pytest.raises(Refused) as caught:
        build.whole(site(receivers=receivers, smtp=None))
    assert sorted(caught.value.reasons) == [
        f"receivers.lead.email: found mail and no `smtp`, expected {smtp} beside it",
        f"receivers.lead.jira: {made}, and below 0.28 it has no receiver for Jira; {newer}, or `alertmanager.webhook`",
        f"receivers.oncall.teams: {made}, and {none}; {newer}, or `alertmanager.webhook`",
        f"receivers.oncall.webhook: found url_file, which Alertmanager 0.25 cannot read, {url_and_newer}",
    ]
    assert build.whole(site(receivers=receivers, version="0.28"))


def test_the_part_for_somebodys_own_file_may_leave_mail_to_it_and_prefixes_every_name() -> None:
    one = site(receivers={**RECEIVERS, "lead": {**MAIL, "quiet_hours": [{"hours": "22:00-06:00"}]}}, smtp=None)
    data = build.parts(one).data()
    assert data["route"]["matchers"] == ['tocsin_service=~".+"']
    listed = [made["name"] for key in ("receivers", "time_intervals") for made in data[key]]
    assert listed
    assert all(name.startswith("tocsin-") for name in listed)
    for rule in data["inhibit_rules"]:
        for side in ("source_matchers", "target_matchers"):
            assert any(matcher.startswith("tocsin_service=") for matcher in rule[side])


def test_the_whole_and_the_part_are_made_of_the_same_parts() -> None:
    one = site(default_receiver="lead")
    data, part = whole(one), build.parts(one).data()
    assert data["route"].pop("routes") == [part["route"]]
    assert data["receivers"][1:] == part["receivers"]
    assert data["inhibit_rules"] == part["inhibit_rules"]
    assert data["route"] == {"receiver": names.NOT_OURS, "group_by": ["alertname"]}


def test_names_that_would_break_out_stay_inside_and_reach_whom_they_should(tmp_path: Path) -> None:
    evil = '"} {{ .X }}\n,a="b\\'
    receivers = {evil: {"slack": {"api_url_file": "/x", "channel": evil}}, "ops": RECEIVERS["ops"]}
    made = service(
        "shop",
        {"load": {"alert": {"critical": {"tier": 4, "severity": evil}}, "dimension": evil}},
        team=evil,
        default_receiver="ops",
        escalation={evil: {"when": "tier >= 4", "steps": [{"to": "ops"}, {"to": evil, "after": "15m"}]}},
    )
    one = site(
        made,
        receivers=receivers,
        routes=[{"to": evil, "severity": evil, "team": evil, "dimension": evil}],
        maintenance=[{"name": evil, "on": "sunday", "hours": "02:00-04:00"}],
    )
    file = accepted(tmp_path, whole(one))
    rows = table.rows(one)
    assert not list(table.faults(one, build.parts(one).node, rows))
    ours = [row for row in rows if row.labels[names.ALERTNAME] not in names.META_ALERTS]
    assert [",".join(row.receivers) for row in ours] == [f"tocsin-ops,tocsin-{evil}", f"tocsin-{evil}-escalated"]
    for row in ours:
        assert told(file, row.labels) == ",".join(row.receivers)
    assert receiver(one, f"tocsin-{evil}")["slack_configs"][0]["channel"] == evil.replace("{", '{{ "{" }}')


def test_a_receiver_that_is_called_as_a_variant_of_another_one_is_refused() -> None:
    receivers = {**RECEIVERS, "lead-escalated": SLACK, "nobody": SLACK}
    with pytest.raises(Refused) as caught:
        build.parts(site(receivers=receivers))
    would = "Alertmanager would know it and"
    assert caught.value.reasons == [
        f"receivers.lead-escalated: {would} 'lead' as tocsin-lead-escalated, expected another name",
        f"receivers.nobody: {would} one of Tocsin's own as tocsin-nobody, expected another name",
    ]


@pytest.mark.parametrize(("change", "fault"), [("receiver", "goes to"), ("lost", "falls through")])
def test_a_tree_that_does_something_else_is_found(change: str, fault: str) -> None:
    one = site()
    services = build.parts(one).node
    about, node = services.routes
    wrong = replace(node, receiver="tocsin-lead") if change == "receiver" else replace(node, matchers=[equal("a", "b")])
    under = replace(services, routes=[about, wrong]) if change == "receiver" else wrong
    assert any(fault in found for found in table.faults(one, under, table.rows(one)))


def test_a_level_that_two_owners_send_is_found() -> None:
    steps = [{"to": "oncall"}, {"to": "lead", "after": "15m"}]
    both = {
        "one": {"when": "tier >= 4", "steps": steps},
        "two": {"via": "responder", "when": "tier >= 4", "steps": steps},
    }
    one = site(shop(escalation=both))
    assert list(table.faults(one, build.parts(one).node, table.rows(one))) == [
        (
            "escalation.two and escalation.one of shop both tell lead about load/critical: "
            "one is of the rules, one of the responder"
        )
    ]
    alone = site(shop(escalation={"two": both["two"]}))
    assert not list(table.faults(alone, build.parts(alone).node, table.rows(alone)))
    # The first step waits for nothing: Alertmanager tells it, whoever owns the policy.
    assert expected(alone)["ShopLoadCritical"] == ["tocsin-oncall"]


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ("tiers", {"1": "info", "2": "warning", "3": "error", "4": "critical"}),
        ("P0-P3", {"P3": "info", "P2": "warning", "P1": "error", "P0": "critical"}),
        ("P1-P3", {"P3": "warning", "P2": "error", "P1": "critical"}),
        ("high-medium-low", {"low": "info", "medium": "warning", "high": "critical"}),
        ("warning-critical", {"warning": "warning", "critical": "critical"}),
        ("page-ticket", {"ticket": "warning", "page": "critical"}),
    ],
)
def test_every_severity_of_a_scale_has_a_word_of_pagerduty(scale: Any, words: dict[str, str]) -> None:
    assert severity.pagerduty(SCALES[scale]) == words


def test_the_severity_of_a_page_depends_on_the_service_where_scales_share_a_word() -> None:
    other = (
        '{{ if eq .CommonLabels.severity "4" "P0" "critical" "high" "page" }}critical'
        '{{ else if eq .CommonLabels.severity "2" "P2" "medium" "ticket" "warning" }}warning'
        '{{ else if eq .CommonLabels.severity "1" "P3" "low" "none" }}info{{ else }}error{{ end }}'
    )
    assert severity.template([shop()]) == other
    assert severity.template([shop(severity="P1-P3"), shop("b", severity="P0-P3")]) == (
        '{{ if eq .CommonLabels.tocsin_service "shop" }}{{ if eq .CommonLabels.severity "P1" }}critical'
        '{{ else if eq .CommonLabels.severity "P3" }}warning{{ else }}error{{ end }}{{ else }}' + other + "{{ end }}"
    )


def test_an_interval_repeats_in_multiples_and_pages_are_grouped_by_resource() -> None:
    services = build.parts(site()).node.data()
    assert services["group_by"] == ["tocsin_service", "alertname", "escalated_alert"]
    assert (services["group_wait"], services["group_interval"], services["repeat_interval"]) == ("30s", "5m", "12h")
    (branch,) = (node for node in services["routes"][1]["routes"] if node["matchers"] == ['page="true"'])
    assert branch["group_by"] == ["tocsin_service", "alertname", "escalated_alert", "signal", "resource"]
    assert (branch["group_wait"], branch["repeat_interval"]) == ("10s", "4h")


@pytest.mark.parametrize(
    ("more", "each"),
    [
        ({"thresholds": {"cpu": {"expr": "cpu", "critical": 1, "page": True}}}, True),
        ({"thresholds": {"cpu": {"expr": "cpu", "critical": 1, "page": True, "by": ["node"]}}}, False),
        ({"thresholds": {"cpu": {"signal": "load", "critical": 1, "page": True}}}, True),
        ({"thresholds": {"cpu": {"expr": "cpu", "critical": 1}}}, False),
        ({"alerts": [{"name": "Any", "expr": "cpu > 1", "level": "critical", "page": True}]}, True),
        ({"alerts": [{"name": "Any", "expr": "cpu > 1", "level": "critical", "page": True, "by": []}]}, False),
    ],
)
def test_a_page_whose_resource_nobody_knows_is_a_group_of_its_own(more: dict[str, Any], each: bool) -> None:
    services = build.parts(site(shop(**more))).node.data()
    (branch,) = (node for node in services["routes"][1]["routes"] if node["matchers"] == ['page="true"'])
    assert (branch["group_by"] == ["..."]) == each


def test_the_watchdog_is_told_more_often_than_it_is_looked_at_twice() -> None:
    about = build.parts(site()).node.routes[0]
    options = next(node.options for node in about.routes if names.ALERT_WATCHDOG in str(node.matchers[0]))
    every, again = (parse_seconds(options[key]) for key in ("group_interval", "repeat_interval"))
    # Sent at the first look that is later than `again`: at the second one, after a minute.
    assert every < again < 2 * every == 60


def test_a_pattern_of_several_values_matches_them_alone() -> None:
    pattern = among("a", ["x.y", "p|q", "z"])
    assert str(pattern) == 'a=~"x\\\\.y|p\\\\|q|z"'
    assert [pattern.holds({"a": value}) for value in ("x.y", "p|q", "z", "xxy", "p", "q", "")] == [True] * 3 + [
        False
    ] * 4
