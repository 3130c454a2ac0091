"""Remediate, verify, then page: what goes to Tocsin alone, what pages for it, when, and who is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from alertmanagers import shop, site
from generated import needed, passes, process, promtool, service, untold, write
from test_generate_alertmanager import expected
from test_generate_alertmanager_inhibit import hides
from tocsin.cli import main
from tocsin.config.models import Service
from tocsin.generate import promtool as tests_of
from tocsin.generate import rules
from tocsin.generate.alertmanager import build, table
from tocsin.generate.escalation import levels
from tocsin.generate.promtool import ENDS, Fires, Input, Run

RUN = {"run": "http", "with": {"url": "http://ops/restart"}, "dry_run": False}
CRITICAL = {"load": {"alert": {"critical": {"tier": 4, "page": True}}}}
FULL = {
    "full": {"expr": "load", "by": ["resource"], "critical": 0.8, "for": "10m", "keep_firing_for": "1m", "page": True}
}
EVERY = 15
MINUTE = 60 // EVERY


def armed(when: str = "ShopFull", **more: Any) -> Service:
    given: dict[str, Any] = {"signals": {}, "thresholds": FULL, "team": "keys", "remediation": [{"when": when, **RUN}]}
    return service(**{**given, **more})


def alerts(one: Service) -> dict[str, dict[str, Any]]:
    """Its alerts by name."""
    groups = rules.files(process(), [one])["rules/shop.yml"]["groups"]
    return {made["alert"]: made for group in groups for made in group["rules"] if "alert" in made}


def test_an_alert_with_an_armed_operation_has_no_label_that_wakes_and_another_one_has_them_all() -> None:
    plain = alerts(service(signals={}, thresholds=FULL, team="keys"))["ShopFull"]
    found = alerts(armed())
    assert set(found) == {"ShopFull", "ShopFullPage"}
    assert found["ShopFull"] == {
        **plain,
        "labels": {"tocsin_service": "shop", "signal": "full", "remediation": "true"},
    }
    assert plain["labels"] == {
        "severity": "4",
        "team": "keys",
        "page": "true",
        "tocsin_service": "shop",
        "signal": "full",
    }
    own = 'tocsin_service="shop", signal="full"'
    assert found["ShopFullPage"] == {
        **plain,
        "alert": "ShopFullPage",
        "for": "2m",
        "expr": (
            f"(\n{plain['expr']}\n)\n"
            "and ignoring (alertname, alertstate, tocsin_service, signal, remediation) "
            f'ALERTS{{alertname="ShopFull", {own}, remediation="true", alertstate="firing"}}\n'
            'unless on (resource) (tocsin_remediation_hold{tocsin_service="shop"} == 1\n'
            f'    unless on (resource) ALERTS{{alertname="ShopFullPage", {own}, alertstate="firing"}})'
        ),
    }


def test_one_that_is_only_said_to_be_done_changes_no_rule() -> None:
    plain = service(signals={}, thresholds=FULL, team="keys")
    assert alerts(armed(remediation=[{"when": "ShopFull", **RUN, "dry_run": True}])) == alerts(plain)


def test_the_longest_grace_and_every_resource_of_several_operations_count() -> None:
    dry = {"when": "ShopFull", **RUN, "run": "postgres_pool_recycle", "dry_run": True, "hold_grace": "1h"}
    one = armed(
        resources=[{"id": "db"}],
        remediation=[
            {"when": "ShopFull", **RUN, "hold_grace": "3m"},
            {"when": "ShopFull", **RUN, "run": "other", "resource": "db"},
            dry,
        ],
    )
    page = alerts(one)["ShopFullPage"]
    assert page["for"] == "3m"
    assert page["expr"].count("unless on (resource) (") == 1
    assert 'unless on () (tocsin_remediation_hold{tocsin_service="shop", resource="db"} == 1' in page["expr"]


def test_a_level_of_escalation_is_a_page_and_waits_for_nothing_more() -> None:
    steps = [{"to": "oncall"}, {"to": "lead", "after": "30m"}]
    given: dict[str, Any] = {
        "signals": CRITICAL,
        "thresholds": {},
        "escalation": {"top": {"when": "tier >= 4", "steps": steps}},
    }
    assert set(alerts(armed("ShopEscalationTopLead", **given))) == {"ShopLoadCritical", "ShopEscalationTopLead"}
    # Of an alert that is remediated first it counts from when people are told, and ends when they acknowledge that.
    [level] = levels(armed("tier >= 4", **given), process().target)
    [plain] = levels(armed("tier >= 4", **given, remediation=[]), process().target)
    assert level.acknowledges == ["ShopLoadCriticalPage", "ShopEscalationTopLead"]
    assert level.arms[0].range.seconds == plain.arms[0].range.seconds + 120


#: An alert of every kind; `up` is something that can be fed.
KINDS: dict[str, Any] = {
    "resources": [{"id": "db"}],
    "signals": {"load": {"interval": "1m", "alert": {"critical": {"tier": 4, "grades": 3}}}},
    "thresholds": FULL
    | {"whole": {"expr": "sum(cpu)", "critical": 0.9}, "two": {"expr": "cpu", "by": ["a", "b"], "critical": 1}},
    "absent": [{"name": "ShopGone", "expr": "shop_up"}],
    "rate_of_change": [{"name": "ShopRises", "expr": "rises", "over": "10m", "rise": "50%", "by": ["resource"]}],
    "forecast_breach": [{"name": "ShopBreach", "signal": "load", "within": "1h"}],
    "alerts": [{"name": "ShopOdd", "expr": "odd > 3 # who knows", "for": "1m"}, {"name": "ShopEven", "expr": "up > 1"}],
}
SLOS: dict[str, Any] = {
    "resources": [{"id": "db"}],
    "signals": {},
    "slos": {
        "api": {"objective": "99.9%", "sli": {"total": "reqs", "bad": 'reqs{code=~"5.."}'}},
        "ratio": {"objective": "99%", "sli": {"ratio": "some:ratio"}},
    },
}


@pytest.mark.parametrize("kinds", [KINDS, SLOS])
def test_every_kind_of_alert_is_paged_for_and_the_generated_tests_show_it_at_its_boundary(
    tmp_path: Path, kinds: dict[str, Any]
) -> None:
    plain = alerts(service(**kinds))
    # These have no label that names a resource.
    whole = {name for name in plain if name == "ShopGone" or "Budget" in name}
    one = service(
        **kinds,
        remediation=[
            *([{"when": "tier >= 4", **RUN}] if kinds["signals"] else []),
            *({"when": name, **RUN} for name in plain if name not in {*whole, "ShopLoadCritical"}),
            *({"when": name, **RUN, "resource": "db", "hold_grace": "5m"} for name in sorted(whole)),
        ],
    )
    assert set(alerts(one)) == {*plain, *(f"{name}Page" for name in plain)}
    data = rules.files(process(), [one])
    asked: dict[str, list[bool]] = {}
    for case in data["rules/tests/shop.yml"]["tests"]:
        for check in case["promql_expr_test"]:
            asked.setdefault(check["expr"].split('"')[1], []).append(bool(check["exp_samples"]))
    # It fires and does not, and is held: of one resource's alert, where it is known which that is.
    for name in plain:
        assert True in asked[f"{name}Page"], name
        assert asked[f"{name}Page"].count(False) >= 2, name
    rule_file, tests = data["rules/shop.yml"], data["rules/tests/shop.yml"]
    # To evaluate all windows of an SLO takes many times longer.
    rule_file["groups"] = needed(rule_file["groups"], *plain, *(f"{name}Page" for name in plain))
    pages = {f"{name}Page" for name in plain}
    tests["tests"] = [
        case
        for case in tests["tests"]
        if any(check["expr"].split('"')[1] in pages for check in case["promql_expr_test"])
    ]
    files = {name: one for name, one in data.items() if "tocsin.yml" not in name}
    passes(tmp_path, files | {"rules/shop.yml": untold(rule_file)})


def test_what_goes_to_tocsin_alone_is_held_and_resolves_as_any_alert_on_a_tier(tmp_path: Path) -> None:
    one = armed("tier >= 4", signals={"load": {"interval": "1m", **CRITICAL["load"]}}, thresholds={})
    passes(tmp_path, {name: one for name, one in rules.files(process(), [one]).items() if "tocsin.yml" not in name})


@pytest.mark.parametrize(
    ("name", "replaced", "by"),
    [
        ("a hold that keeps nothing back", "tocsin_remediation_hold", "tocsin_remediation_told"),
        ("a page that does not wait for the alert", 'ALERTS{alertname="ShopFull", ', 'load{alertname="", '),
        ("a page as early as the alert", "2m", "0s"),
    ],
)
def test_the_generated_tests_find_a_page_that_comes_wrongly(tmp_path: Path, name: str, replaced: str, by: str) -> None:
    data = rules.files(process(), [armed()])
    [page] = [one for g in data["rules/shop.yml"]["groups"] for one in g["rules"] if one["alert"] == "ShopFullPage"]
    page["expr"], page["for"] = page["expr"].replace(replaced, by), page["for"].replace(replaced, by)
    write(tmp_path, data)
    status, said = promtool("test", "rules", str(tmp_path / "rules/tests/shop.yml"), cwd=tmp_path)
    assert status != 0, name
    assert "ShopFullPage" in said


def hold(runs: Sequence[Run], **labels: str) -> Input:
    return Input("tocsin_remediation_hold", {"tocsin_service": "shop", "resource": "piano", **labels}, runs)


def from_to(begin: float, end: float) -> list[Run]:
    """1 from a minute to another one, then nothing."""
    return [Run("_", round(begin * MINUTE)), Run(1, round((end - begin) * MINUTE)), Run(ENDS)]


@pytest.mark.parametrize(
    ("holds", "pages"),
    [
        ([], {11.75: False, 12: True}),
        # An action runs from when the alert fires, and fails: the alert's own ten minutes are not waited for again.
        ([hold(from_to(10.25, 13))], {12: False, 14.75: False, 15: True}),
        # What begins while somebody is being paged takes nothing back.
        ([hold(from_to(13, 20))], {12: True, 13: True, 15: True, 19: True}),
        ([hold(from_to(10.25, 13), resource="organ")], {12: True}),
        ([hold(from_to(10.25, 13), tocsin_service="other")], {12: True}),
        # A gauge that is 0 holds as little as one that is not there.
        ([hold([Run(0, 20 * MINUTE)])], {12: True}),
    ],
)
def test_the_page_waits_for_the_alert_and_what_is_done_and_for_nothing_twice(
    tmp_path: Path, holds: list[Input], pages: dict[float, bool]
) -> None:
    load = Input("load", {"resource": "piano"}, [Run(0.9, 30 * MINUTE)])
    labels = {"severity": "4", "team": "keys", "page": "true", "tocsin_service": "shop", "signal": "full"}
    told = [
        Fires("ShopFullPage", at * 60, [{**labels, "resource": "piano"}] if yes else []) for at, yes in pages.items()
    ]
    data = rules.files(process(), [armed()])
    data["rules/tests/shop.yml"] = tests_of.document(
        ["../shop.yml"], EVERY, [tests_of.case("the page", EVERY, [load, *holds], told)]
    )
    passes(tmp_path, {name: one for name, one in data.items() if "tocsin.yml" not in name})


def test_a_tier_that_becomes_unknown_while_the_page_waits_is_paged_all_the_same(tmp_path: Path) -> None:
    one = armed("tier >= 4", signals={"load": {"interval": "1m", **CRITICAL["load"]}}, thresholds={})
    labels = {"tocsin_service": "shop", "signal": "load", "resource": "piano"}
    tiers = [Run(4, 2 * MINUTE), Run(-1, 20 * MINUTE)]
    waits = {made["alert"]: made["for"] for made in alerts(one).values()}
    assert waits == {"ShopLoadCritical": "1m15s", "ShopLoadCriticalPage": "2m"}
    told = {**labels, "severity": "4", "team": "keys", "page": "true"}
    late = tests_of.case(
        "the page",
        EVERY,
        [Input("tocsin_severity_level", labels, [Run(0, 3 * MINUTE), *tiers])],
        [Fires("ShopLoadCriticalPage", 360, []), Fires("ShopLoadCriticalPage", 375, [told])],
    )
    data = rules.files(process(), [one])
    data["rules/tests/shop.yml"] = tests_of.document(["../shop.yml"], EVERY, [late])
    passes(tmp_path, {name: one for name, one in data.items() if "tocsin.yml" not in name})


# ------------------------------------------------------------------------------------------------ who is told

HOOK = {"webhook": {"url": "http://tocsin:9889/api/v2/webhook", "token_file": "token"}}


def acting(**more: Any) -> Service:
    return shop(remediation=[{"when": "tier >= 4", **RUN}], **more)


def test_the_alert_goes_to_tocsin_alone_and_its_page_to_whom_the_alert_would_have_gone() -> None:
    before, one = site(shop(), alertmanager=HOOK), site(acting(), alertmanager=HOOK)
    was, found = expected(before), expected(one)
    assert found["ShopLoadCritical"] == ["tocsin-webhook"]
    assert found["ShopLoadCriticalPage"] == was["ShopLoadCritical"] == ["tocsin-webhook", "tocsin-oncall"]
    assert {name: to for name, to in found.items() if not name.startswith("ShopLoadCritical")} == {
        name: to for name, to in was.items() if name != "ShopLoadCritical"
    }
    rows = table.rows(one)
    assert not list(table.faults(one, build.parts(one).node, rows))


def test_an_alert_that_nobody_hands_to_tocsin_is_said() -> None:
    one = site(acting())
    assert "nobody is told of shop: ShopLoadCritical (remediation=true)" in list(table.warnings(one, table.rows(one)))


def test_what_is_remediated_first_says_that_the_service_is_down_and_is_hidden_by_nothing() -> None:
    other = {"errors": {"alert": {"critical": {"tier": 4}}}, "load": {"alert": {"critical": {"tier": 4}}}}
    one = site(acting(signals=other, down=["ShopLoadCritical"], escalation={}))
    ours = {"tocsin_service": "shop", "resource": "a"}
    first = {**ours, "alertname": "ShopLoadCritical", "signal": "load", "remediation": "true"}
    page = {**ours, "alertname": "ShopLoadCriticalPage", "signal": "load", "severity": "4"}
    errors = {**ours, "alertname": "ShopErrorsCritical", "signal": "errors", "remediation": "true"}
    told = {**ours, "alertname": "ShopErrorsCriticalPage", "signal": "errors", "severity": "4"}
    assert hides(one, first, told)
    assert hides(one, page, told)
    assert not hides(one, first, page)
    assert not hides(one, page, first)
    # It may be the operation on this one that mends the other.
    assert not hides(one, first, errors)
    assert not hides(one, page, errors)


# ------------------------------------------------------------------------------------------------ the file

FILE = """\
service: shop
alerts:
  - {name: ShopFull, expr: up > 1}
  - {name: ShopFullPage, expr: up > 2}
remediation:
  - {when: ShopFull, run: http, with: {url: http://ops/restart}%s}
"""


def test_an_alert_that_has_the_name_of_a_page_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
    (tmp_path / "shop.yml").write_text(FILE % "")
    assert _check(tmp_path, capsys)[0] == 0
    (tmp_path / "shop.yml").write_text(FILE % ", dry_run: false")
    status, said = _check(tmp_path, capsys)
    file = tmp_path / "shop.yml"
    assert status == 1
    assert said.splitlines()[1:] == [
        (
            f"{file}:6:12: remediation[0].when: found the alert 'ShopFullPage' again, expected a name of its own "
            f"({file}:4:12 has it already)"
        )
    ]


def test_an_armed_operation_that_nobody_can_ask_for_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = "source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n"
    hears = "principals: [{name: am, token_file: token, scopes: [webhook]}]\n"
    without = hears.replace("webhook", "read")
    said = (
        f"{tmp_path / 'shop.yml'}:6:75: remediation[0].dry_run: found an armed operation and no principal with the "
        "scope webhook: nobody can deliver an alert, and nothing is ever done; expected one in `principals` of the "
        "process file"
    )
    (tmp_path / "token").write_text("t")
    for more, arm, warned in ((without, True, True), ("", True, True), (hears, True, False), ("", False, False)):
        text = FILE.replace("ShopFullPage", "Other") % (", dry_run: false" if arm else "")
        (tmp_path / "shop.yml").write_text(text)
        (tmp_path / "tocsin.yml").write_text(process + more)
        status, found = _check(tmp_path, capsys)
        assert (status, said in found) == (0, warned), found


def test_a_url_that_is_not_that_of_the_webhook_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop.yml").write_text(FILE % "")
    (tmp_path / "tocsin.yml").write_text(
        "source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n"
        "alertmanager: {webhook: {url: http://tocsin:9889, token_file: token}}\n"
    )
    status, said = _check(tmp_path, capsys)
    assert status == 0
    assert (
        "alertmanager.webhook.url: found a URL that does not end in /api/v2/webhook, where Tocsin takes alerts; "
        "expected that it does"
    ) in said


def _check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as done:
        main(["check", "config", str(folder / "tocsin.yml")])
    found = capsys.readouterr()
    return int(str(done.value.code)), found.out + found.err
