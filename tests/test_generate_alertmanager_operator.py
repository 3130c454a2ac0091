"""AlertmanagerConfig objects: what the operator's schema allows, and the same people as by the plain file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import examples
from alertmanagers import HOOK, MAIL, PAGER, SLACK, SMTP, accepted, shop, site, told
from operators import SCHEMA, breaches, operated
from tocsin.cli import main
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tocsin.generate.alertmanager import build, operator, table
from tocsin.generate.alertmanager.site import Refused, Site
from tools.servers import require

OPERATOR = {"namespace": "monitoring", "secret": "tocsin-secrets", "matcher_strategy": "None"}
BEARER = {"url": "https://sms.example.com/", "bearer_file": "/etc/tocsin/sms"}
#: Every channel but Jira, windows of all kinds, and names that have to be escaped.
EVERYTHING: dict[str, Any] = {
    "version": "0.28",
    "receivers": {
        "oncall": {
            **PAGER,
            "sms": {"webhook": BEARER},
            "phone": {"pagerduty": {"routing_key_file": "/etc/tocsin/call"}},
        },
        "lead": {"slack": {"api_url_file": "/etc/tocsin/slack", "channel": '#a"b\\c'}, **MAIL},
        "ops": {
            "teams": {"webhook_url_file": "/etc/tocsin/teams"},
            "webhook": {"url_file": "/etc/tocsin/hook", "bearer_file": "/etc/tocsin/token"},
            "quiet_hours": [{"on": "mon-fri", "hours": "22:00-06:00"}, {"on": "last friday of month"}],
        },
    },
    "smtp": {**SMTP, "username": "tocsin", "password_file": "/etc/tocsin/smtp"},
    "default_receiver": "ops",
    "maintenance": [
        {"name": "quarterly", "on": "first sunday of quarter", "hours": "02:00-04:00"},
        {"name": "move", "start": "2026-05-01T22:00:00", "end": "2026-05-03T02:00:00", "time_zone": "America/New_York"},
    ],
}


def asking(*services: Any, operator: Mapping[str, Any] | None = None, **more: Any) -> Site:
    given = {"webhook": HOOK, "operator": {**OPERATOR, **(operator or {})}}
    return site(*services, **{"alertmanager": given, **more})


def everything(**more: Any) -> Site:
    return asking(shop(down=["ShopLoadCritical"]), **{**EVERYTHING, **more})


def made(given: Site) -> tuple[dict[str, Any], list[str]]:
    found = operator.made(given, build.parts(given))
    assert found is not None
    return found


def refused(given: Site) -> list[str]:
    with pytest.raises(Refused) as caught:
        made(given)
    return caught.value.reasons


def test_nothing_is_made_that_nobody_asked_for() -> None:
    assert operator.made(site(), build.parts(site())) is None


def test_the_object_says_who_and_where_it_is() -> None:
    data, _ = made(asking(operator={"name": "alerts", "labels": {"release": "prometheus"}}))
    assert (data["apiVersion"], data["kind"]) == ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig")
    assert data["metadata"] == {
        "name": "alerts",
        "namespace": "monitoring",
        "labels": {
            "app.kubernetes.io/name": "tocsin",
            "app.kubernetes.io/instance": "alerts",
            "app.kubernetes.io/component": "routes",
            "app.kubernetes.io/managed-by": "tocsin",
            "release": "prometheus",
        },
    }


def test_the_operators_schema_allows_every_channel_window_and_route() -> None:
    data, _ = made(everything())
    kinds = {kind for receiver in data["spec"]["receivers"] for kind in receiver}
    assert kinds == set(SCHEMA["properties"]["receivers"]["items"]["properties"])
    assert len(data["spec"]["muteTimeIntervals"]) == 3
    assert list(breaches(SCHEMA, data["spec"])) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"route": {"receivers": "a"}}, "spec.route: unknown receivers"),
        ({"route": {"receiver": "a", "routes": [{"group_by": []}]}}, "spec.route.routes[0]: unknown group_by"),
        ({"receivers": [{"slackConfigs": []}]}, "spec.receivers[0]: needs name"),
        ({"inhibitRules": [{"equal": "a"}]}, "spec.inhibitRules[0].equal: no array"),
        (
            {"route": {"matchers": [{"name": "a", "matchType": "=="}]}},
            "spec.route.matchers[0].matchType: '==' is none of ['!=', '=', '=~', '!~']",
        ),
        (
            {"muteTimeIntervals": [{"name": "a", "timeIntervals": [{"daysOfMonth": [{"start": 32, "end": 1}]}]}]},
            "spec.muteTimeIntervals[0].timeIntervals[0].daysOfMonth[0].start: 32 is out of range",
        ),
    ],
)
def test_the_schema_refuses_what_the_operator_does_not_know(spec: dict[str, Any], expected: str) -> None:
    assert list(breaches(SCHEMA, spec)) == [expected]


def test_what_is_secret_is_a_key_of_the_secret_and_no_file_is_left() -> None:
    data, notes = made(everything())
    receivers = {receiver["name"]: receiver for receiver in data["spec"]["receivers"]}
    ops, lead, oncall = (receivers[f"tocsin-{name}"] for name in ("ops", "lead-escalated", "oncall"))
    assert ops["webhookConfigs"] == [
        {
            "sendResolved": True,
            "urlSecret": {"name": "tocsin-secrets", "key": "hook"},
            "httpConfig": {"authorization": {"credentials": {"name": "tocsin-secrets", "key": "token"}}},
        }
    ]
    assert ops["msteamsv2Configs"][0]["webhookURL"] == {"name": "tocsin-secrets", "key": "teams"}
    assert lead["emailConfigs"][0]["authPassword"] == {"name": "tocsin-secrets", "key": "smtp"}
    assert lead["slackConfigs"][0]["apiURL"] == {"name": "tocsin-secrets", "key": "slack"}
    assert lead["slackConfigs"][0]["channel"] == '#a"b\\c'
    assert [one["routingKey"]["key"] for one in oncall["pagerdutyConfigs"]] == ["pd", "call"]
    assert "/etc/tocsin" not in str(data)
    keys = "call, hook, pd, slack, sms, smtp, teams, token"
    assert f"the Secret tocsin-secrets in monitoring needs the keys {keys}: texts without a line break" in notes


def test_lists_of_pairs_are_what_mappings_become() -> None:
    data, _ = made(asking())
    plain = {receiver["name"]: receiver for receiver in build.parts(asking()).receivers}["tocsin-oncall"]
    pager = next(one for one in data["spec"]["receivers"] if one["name"] == "tocsin-oncall")["pagerdutyConfigs"][0]
    assert {one["key"]: one["value"] for one in pager["details"]} == plain["pagerduty_configs"][0]["details"]
    links = [{"href": one["href"], "text": one["alt"]} for one in pager["pagerDutyLinkConfigs"]]
    assert links == plain["pagerduty_configs"][0]["links"]


@pytest.mark.parametrize(
    ("given", "strategy", "own"),
    [
        (everything(), "None", "monitoring"),
        (everything(), "OnNamespaceExceptForAlertmanagerNamespace", "monitoring"),
        (asking(shop(), shop("mall")), "None", "elsewhere"),
    ],
)
def test_every_alert_reaches_the_receivers_of_the_plain_file(
    given: Site, strategy: str, own: str, tmp_path: Path
) -> None:
    require("amtool")
    data, _ = made(given)
    file = accepted(tmp_path, operated(data, strategy, own))
    rows = table.rows(given)
    assert len(rows) > 10
    for row in rows:
        assert told(file, row.labels) == ",".join(f"monitoring/tocsin/{name}" for name in row.receivers), row.labels
    assert told(file, {"alertname": "Other"}) == "theirs"


def test_with_the_operators_default_strategy_nobody_would_be_told(tmp_path: Path) -> None:
    require("amtool")
    data, _ = made(asking())
    file = accepted(tmp_path, operated(data, "OnNamespace"))
    assert {told(file, row.labels) for row in table.rows(asking())} == {"theirs"}


def test_the_same_alerts_are_hidden_and_muted_as_by_the_plain_file() -> None:
    given = everything()
    plain, (data, _) = build.parts(given), made(given)
    found = operated(data)
    assert found["inhibit_rules"] == plain.inhibit_rules
    bare = [{**one, "name": one["name"].removeprefix("monitoring/tocsin/")} for one in found["time_intervals"]]
    for one in plain.time_intervals:
        for part in one["time_intervals"]:
            days = part.get("days_of_month")
            if days is not None:
                part["days_of_month"] = [text if ":" in text else f"{text}:{text}" for text in days]
    assert bare == plain.time_intervals


def test_the_note_says_which_strategy_the_alertmanager_object_needs() -> None:
    _, notes = made(asking())
    assert notes[0] == (
        "the Alertmanager object in the namespace monitoring that selects this needs "
        "alertmanagerConfigMatcherStrategy: {type: None}: with OnNamespace, the default, the operator asks for the "
        'label namespace="monitoring" in every route and inhibition, and Tocsin\'s alerts would reach nobody'
    )
    spared = {"matcher_strategy": "OnNamespaceExceptForAlertmanagerNamespace", "alertmanager_namespace": "monitoring"}
    _, notes = made(asking(operator=spared))
    assert "needs alertmanagerConfigMatcherStrategy: {type: OnNamespaceExceptForAlertmanagerNamespace}:" in notes[0]


EXCEPT = "OnNamespaceExceptForAlertmanagerNamespace"
VERSION = "alertmanager.operator.version: found"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"matcher_strategy": "OnNamespace"},
            (
                "alertmanager.operator.matcher_strategy: found OnNamespace, expected None: with it the operator adds "
                "namespace='monitoring' to every route, and Tocsin's alerts have no such label, or that of what they "
                "are about"
            ),
        ),
        (
            {"matcher_strategy": EXCEPT, "alertmanager_namespace": "central"},
            (
                f"alertmanager.operator.matcher_strategy: found {EXCEPT} and the namespace monitoring, expected None, "
                "or `namespace: central`: only objects in central, the namespace of the Alertmanager object, are "
                "spared the matcher for a namespace"
            ),
        ),
        (
            {"matcher_strategy": EXCEPT, "version": "0.84.1"},
            f'{VERSION} 0.84.1, expected "0.85" or newer, or another strategy: older ones do not know {EXCEPT}',
        ),
        (
            {"version": "0.60"},
            f'{VERSION} 0.60, expected "0.61" or newer: older ones have no strategy but OnNamespace',
        ),
    ],
)
def test_an_operator_that_would_not_tell_them_is_refused(given: dict[str, str], expected: str) -> None:
    assert refused(asking(operator=given)) == [expected]


def test_teams_need_an_operator_that_knows_workflows() -> None:
    more = {"alertmanager": {"operator": {**OPERATOR, "version": "0.81"}}}
    expected = (
        f'{VERSION} 0.81, expected "0.82" or newer: older ones have no receiver that writes to a workflow of Teams'
    )
    assert refused(everything(**more)) == [expected]
    made(everything(alertmanager={"operator": {**OPERATOR, "version": "0.82"}}))


def test_time_zones_are_refused_where_they_are_given() -> None:
    ops = {**EVERYTHING["receivers"]["ops"]}
    ops["quiet_hours"] = [{"on": "sat,sun"}, {"hours": "22:00-06:00", "time_zone": "Europe/Berlin"}]
    more: dict[str, Any] = {"receivers": {**EVERYTHING["receivers"], "ops": ops}}
    more["maintenance"] = [
        {"name": "fine", "on": "daily", "hours": "01:00-02:00", "time_zone": "+00:00"},
        {"name": "weekly", "on": "sun", "hours": "02:00-04:00", "time_zone": "-05:00"},
    ]
    why = "expected UTC: an AlertmanagerConfig has no time zones"
    assert refused(everything(**more)) == [
        f"maintenance[1].time_zone: found -05:00, {why}",
        f"receivers.ops.quiet_hours[1].time_zone: found Europe/Berlin, {why}",
    ]


def test_jira_is_refused_and_by_way_of_tocsin_it_is_not() -> None:
    jira = {"jira": {"api_url": "https://j.example.com/rest/api/2", "project": "OPS", "token_file": "/etc/tocsin/jira"}}
    receivers = {**EVERYTHING["receivers"], "ops": jira}
    assert refused(everything(receivers=receivers)) == [
        (
            "receivers.ops.jira: found it, expected `webhook`, or no `alertmanager.operator`: an AlertmanagerConfig "
            "has no receiver for Jira, which a configuration in a Secret has"
        )
    ]
    data, _ = made(asking(version="0.27", receivers={"oncall": PAGER, "lead": SLACK, "ops": jira}))
    ops = next(receiver for receiver in data["spec"]["receivers"] if receiver["name"] == "tocsin-ops")
    assert [hook["url"] for hook in ops["webhookConfigs"]] == [HOOK["url"]]


def test_files_that_cannot_be_keys_of_one_secret_are_refused() -> None:
    one, two = ({"slack": {"api_url_file": f"/etc/{name}/slack"}} for name in ("one", "two"))
    at = "alertmanager.operator.secret: found"
    assert refused(asking(receivers={"oncall": PAGER, "lead": one, "ops": two}, default_receiver="ops")) == [
        (
            f"{at} /etc/two/slack and /etc/one/slack, which would be one key of the Secret tocsin-secrets, expected "
            "files of different names"
        )
    ]
    odd = {"slack": {"api_url_file": "/etc/tocsin/the slack"}}
    assert refused(asking(receivers={"oncall": PAGER, "lead": SLACK, "ops": odd}, default_receiver="ops")) == [
        (
            f"{at} the file /etc/tocsin/the slack, whose name is no key of a Secret, expected letters, digits, '-', "
            "'_' and '.'"
        )
    ]


def write(folder: Path, **asked: Any) -> Path:
    """The configuration of the examples, asking for an object."""
    text = examples.EXAMPLE.read_text(encoding="utf-8")
    text = text.replace("- services/*.yml", f"- {examples.EXAMPLE.parent}/services/*.yml")
    if asked:
        text = text.replace("\nalertmanager:\n", f"\nalertmanager:\n  operator: {json.dumps(asked)}\n")
    file = folder / "tocsin.yml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_command_writes_the_object_warns_and_removes_what_is_left_over(tmp_path: Path) -> None:
    file = tmp_path / "out" / "alertmanager" / "kubernetes" / "alertmanagerconfig.yml"
    asked = [
        "generate",
        "alertmanager",
        "--config.file",
        str(write(tmp_path, **OPERATOR)),
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    text = file.read_text(encoding="utf-8")
    note = text.splitlines()[2].removeprefix("# ")
    assert note.startswith("the Alertmanager object in the namespace monitoring that selects this needs ")
    assert f"warning: alertmanager/kubernetes/alertmanagerconfig.yml: {note}\n" in result.stderr
    assert list(breaches(SCHEMA, yaml.safe_load(text)["spec"])) == []
    assert CliRunner().invoke(main, [*asked, "--check"]).exit_code == 0
    write(tmp_path)
    assert CliRunner().invoke(main, [*asked, "--prune"]).exit_code == 0
    assert not file.exists()


def test_the_command_writes_nothing_when_the_operator_would_tell_nobody(tmp_path: Path) -> None:
    path = write(tmp_path, **{**OPERATOR, "matcher_strategy": "OnNamespace"})
    result = CliRunner().invoke(
        main, ["generate", "alertmanager", "--config.file", str(path), "--out", str(tmp_path / "o")]
    )
    assert result.exit_code == 1
    assert (
        "Alertmanager cannot have this:\nalertmanager.operator.matcher_strategy: found OnNamespace, " in result.stderr
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"namespace": "Monitoring"},
            (
                "alertmanager.operator.namespace: found 'Monitoring', expected at most 63 lower-case letters, digits "
                "and '-' within them"
            ),
        ),
        (
            {"matcher_strategy": "none"},
            (
                "alertmanager.operator.matcher_strategy: found 'none', expected 'None' (or another of None, "
                f"OnNamespace, {EXCEPT})"
            ),
        ),
        (
            {"labels": {"release": "a b"}},
            "alertmanager.operator.labels: found release=a b, expected a label that Kubernetes takes, such as a: b",
        ),
    ],
)
def test_what_kubernetes_would_not_take_is_a_fault(given: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, **{**OPERATOR, **given}))
    assert [f"{fault.path}: {fault.message}" for fault in caught.value.faults] == [expected]
