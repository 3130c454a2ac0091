"""Configuration -> rules: names, times, labels, and expressions that promtool agrees with."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from promql_parser import parse

from generated import PROCESS, of_services, process, promtool, rule, service, untold, write
from generated import passes as passes_promtool
from tocsin import names
from tocsin.config.models import Service, Target
from tocsin.generate import promql, render, rules, tier
from tocsin.generate.rules import GenerateError
from tocsin.generate.scales import SCALES

HOSTILE = [
    'a "quoted" name',
    "back\\slash and 'single' and `tick`",
    "{{ $labels.signal }} {{ end }}",
    "{{",
    "ends with a {",
    "}} -}} {{- /* */ -}}",
    "line\nbreak\tand\rreturn",
    "# comment: [x]",
    "Größe 大きさ مقياس 😀 \u2028 \u0301",
    "&anchor *alias !tag %directive",
    "null",
    "0x1F",
    "1e3",
    "17:00",
    " lead and trail ",
    "$value",
    "a" * 200,
]

PIANO = """\
max by (tocsin_service, signal, resource) (tocsin_severity_level{tocsin_service="shop", signal="load"}) >= 4
or (max by (tocsin_service, signal, resource) (tocsin_severity_level{tocsin_service="shop", signal="load"}) == -1
    and on (tocsin_service, signal, resource) ALERTS{alertname="ShopLoadCritical", severity="4", \
tocsin_service="shop", signal="load", alertstate="firing"})
or (-max by (tocsin_service, signal, resource) (ALERTS{alertname="ShopLoadCritical", severity="4", \
tocsin_service="shop", signal="load", alertstate="firing"})
    and on () (absent(tocsin_build_info) or min(tocsin_stale{tocsin_service="shop", signal="load"}) == 1)
    and on () min(min_over_time(tocsin_stale{tocsin_service="shop", signal="load"}[1h])) == 0)"""


def test_a_tier_alert_has_three_arms() -> None:
    assert rule(service())["expr"] == PIANO


def test_the_default_alerts_are_critical_after_two_grades_and_action_after_five_minutes() -> None:
    critical, action = rule(service()), rule(service(), "action")
    assert (critical["alert"], critical["for"], critical["keep_firing_for"]) == ("ShopLoadCritical", "1m15s", "5m")
    assert (action["alert"], action["for"], action["keep_firing_for"]) == ("ShopLoadAction", "5m", "5m")
    assert critical["labels"] == {"severity": "4"}
    assert action["labels"] == {"severity": "3"}


@pytest.mark.parametrize(
    ("alert", "interval", "scrape", "waits", "keeps"),
    [
        ({"tier": 4}, "1m", "15s", "1m15s", "5m"),
        ({"tier": 4, "grades": 1}, "1m", "15s", "15s", "5m"),
        ({"tier": 4, "grades": 5}, "30s", "10s", "2m10s", "5m"),
        ({"tier": 4}, "10m", "1m", "11m", "20m"),
        ({"tier": 4, "for": "0s"}, "1m", "15s", "0s", "5m"),
        ({"tier": 4, "for": "2h"}, "1m", "15s", "2h", "5m"),
        ({"tier": 4, "keep_firing_for": "1m"}, "1m", "15s", "1m15s", "5m"),
        ({"tier": 4, "keep_firing_for": "45m"}, "1m", "15s", "1m15s", "45m"),
    ],
)
def test_grades_become_a_time_and_keep_firing_for_has_a_floor(
    alert: dict[str, Any], interval: str, scrape: str, waits: str, keeps: str
) -> None:
    shop = service(signals={"load": {"interval": interval, "alert": {"critical": alert}}})
    found = rule(shop, target={"scrape_interval": scrape})
    assert (found["for"], found["keep_firing_for"]) == (waits, keeps)


@pytest.mark.parametrize(
    ("scale", "severities"),
    [
        ("tiers", ["1", "2", "3", "4"]),
        ("P0-P3", ["P3", "P2", "P1", "P0"]),
        ("P1-P3", ["P3", "P3", "P2", "P1"]),
        ("high-medium-low", ["low", "low", "medium", "high"]),
        ("warning-critical", ["warning", "warning", "warning", "critical"]),
        ("page-ticket", ["ticket", "ticket", "ticket", "page"]),
    ],
)
def test_the_severity_is_the_word_of_the_service_s_scale(scale: str, severities: list[str]) -> None:
    alerts = {f"t{t}": {"tier": t} for t in (1, 2, 3, 4)}
    shop = service(signals={"load": {"alert": alerts}}, severity=scale)
    found = [rule(shop, level) for level in alerts]
    assert [one["labels"]["severity"] for one in found] == severities
    for one, severity in zip(found, severities, strict=True):
        assert one["expr"].count(f'severity="{severity}"') == 2


def test_every_scale_of_the_configuration_has_words() -> None:
    assert set(SCALES) == set(Service.model_fields["severity"].annotation.__args__)  # type: ignore[union-attr]  # a Literal


def test_team_page_name_and_severity_of_the_configuration_win() -> None:
    alert = {"tier": 4, "page": True, "name": "PianoFull", "severity": "sev1"}
    found = rule(service(signals={"load": {"alert": {"critical": alert}}}, team="keys"))
    assert found["alert"] == "PianoFull"
    assert found["labels"] == {"severity": "sev1", "team": "keys", "page": "true"}
    assert found["expr"].count('ALERTS{alertname="PianoFull", severity="sev1", ') == 2


def test_each_signal_with_alerts_is_a_group_of_its_own() -> None:
    shop = service(signals={"a": {}, "silent": {"alert": {}}, "b c": {}})
    groups = rules.files(process(target={"evaluation_interval": "30s"}), [shop])["rules/shop.yml"]["groups"]
    assert [(g["name"], g["interval"], len(g["rules"])) for g in groups] == [
        ("tocsin-shop-a", "30s", 2),
        ("tocsin-shop-b c", "30s", 2),
    ]


def test_a_service_without_alerts_has_no_file_and_tocsin_always_has_one() -> None:
    quiet = service("quiet", {"load": {"alert": {}}})
    assert list(rules.files(process(), [quiet])) == ["rules/tocsin.yml", "rules/tests/tocsin.yml"]


def test_a_service_called_tocsin_is_refused() -> None:
    with pytest.raises(GenerateError, match=r"^a service cannot be called 'tocsin': rules/tocsin.yml is about Tocsin"):
        rules.files(process(), [service("tocsin")])


def test_no_rule_spells_a_metric_that_tocsin_does_not_have() -> None:
    text = yaml.safe_dump(rules.files(process(), [service(signals={"load": {"limit": 1.0}})]))
    families = (*names.FAMILIES.values(), *names.SLO_FAMILIES.values(), *names.OWN.values())
    known = {family.name for family in families} | {names.SERVICE}
    assert set(re.findall(r"\btocsin_\w*", text)) <= known


def test_grades_that_prometheus_sees_too_late_are_a_warning() -> None:
    fast = service(signals={"load": {"interval": "44s"}, "fits": {"interval": "45s"}}, links={"runbook": "https://x"})
    timed = service("timed", {"load": {"interval": "5s", "alert": {"a": {"tier": 4, "for": "1m"}}}})
    assert rules.warnings(process(), [fast, timed]) == [
        (
            "shop: load: the interval is shorter than a scrape and two evaluations of Prometheus (45s), which may see "
            "the last of the `grades` too late and fire a grade later"
        ),
        "timed: links.runbook is not given, so its alerts have no runbook_url",
    ]


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"scrape_interval": "10s", "evaluation_interval": "10s"},
        {"scrape_interval": "10s", "evaluation_interval": "45s"},
        {"scrape_interval": "1m", "evaluation_interval": "15s"},
        {"scrape_interval": "7s", "evaluation_interval": "11s"},
    ],
)
def test_the_generated_tests_pass_whatever_the_intervals(tmp_path: Path, target: dict[str, str]) -> None:
    signals = {
        "load": {"alert": {"critical": {"tier": 4, "grades": 3}, "watch": {"tier": 1, "for": "0s"}}},
        "slow": {"interval": "3m", "alert": {"critical": {"tier": 4, "grades": 1}}},
    }
    data = of_services(rules.files(process(target=target), [service(signals=signals, team="t")]))
    passes_promtool(tmp_path, {**data, "rules/shop.yml": untold(data["rules/shop.yml"])})


BREAKS = {
    "one tier lower": ("expr", ">= 4", ">= 3"),
    "one tier higher": ("expr", ">= 4", ">= 5"),
    "any value": ("expr", ">= 4", ">= -1"),
    "no hold while unknown": ("expr", "== -1", "== -2"),
    "unknown starts it": ("expr", 'ALERTS{alertname="ShopLoadCritical", severity="4", ', "ALERTS_FOR_STATE{"),
    "held too short": ("expr", "[1h]", "[5m]"),
    "held for ever": ("expr", "[1h]", "[1d]"),
    "no hold while down": ("expr", "absent(tocsin_build_info) or ", ""),
    "no hold while nothing is seen": ("expr", 'or min(tocsin_stale{tocsin_service="shop", signal="load"}) == 1', ""),
    "a restart prolongs it": (
        "expr",
        'min(min_over_time(tocsin_stale{tocsin_service="shop", signal="load"}[1h])) == 0',
        "count(last_over_time(tocsin_build_info[1h]))",
    ),
    "held though one sees": ("expr", "min(tocsin_stale", "max(tocsin_stale"),
    "held though all see": ("expr", ") == 1)", ") <= 1)"),
    "held by each Tocsin alone": ("expr", "min(min_over_time", "max(min_over_time"),
    "what waits is held": (
        "expr",
        'alertstate="firing"})\n    and on () (',
        'alertstate!=""})\n    and on () (',
    ),
    "fires too early": ("for", "1m15s", "1m"),
    "fires too late": ("for", "1m15s", "1m30s"),
    "keeps too long": ("keep_firing_for", "5m", "6m"),
    "keeps too short": ("keep_firing_for", "5m", "4m"),
}


@pytest.mark.parametrize("change", BREAKS)
def test_the_generated_tests_fail_when_a_rule_is_wrong(tmp_path: Path, change: str) -> None:
    data = deepcopy(rules.files(process(), [service(signals={"load": {"alert": {"critical": {"tier": 4}}}})]))
    data["rules/shop.yml"] = untold(data["rules/shop.yml"])
    one = data["rules/shop.yml"]["groups"][0]["rules"][0]
    key, old, new = BREAKS[change]
    assert old in one[key]
    one[key] = one[key].replace(old, new)
    write(tmp_path, data)
    status, said = promtool("test", "rules", "rules/tests/shop.yml", cwd=tmp_path)
    assert status == 1, said
    assert "ShopLoadCritical" in said


def test_hostile_names_neither_break_nor_inject(tmp_path: Path) -> None:
    def signal(i: int, name: str) -> dict[str, Any]:
        alert = {"tier": 4, "name": f"Alert{i}", "severity": name}
        return {"description": name, "limit": 1.0, "alert": {name: alert}}

    # In each test of a service all of its rules are evaluated: one service would take many times longer than several.
    services = [
        service(f"shop-{i}", {name: signal(i + j, name) for j, name in enumerate(HOSTILE[i : i + 2])}, team=HOSTILE[2])
        for i in range(0, len(HOSTILE), 2)
    ]
    minutes = process(target={"scrape_interval": "1m", "evaluation_interval": "1m"})
    passes_promtool(tmp_path, of_services(rules.files(minutes, services)))


@given(st.text(min_size=1, max_size=50))
def test_what_is_quoted_reads_as_itself_in_promql(text: str) -> None:
    parsed = parse(promql.selector("x", {"signal": text}))
    assert [(m.name, m.value) for m in parsed.matchers.matchers] == [("signal", text)]


@settings(max_examples=30)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=20, unique=True))
def test_what_is_rendered_reads_as_itself_in_yaml(texts: list[str]) -> None:
    data = {"groups": [{"name": text, "expr": f"{text}\n{text}", text[:10]: text} for text in texts]}
    assert yaml.safe_load(render.to_yaml(data)) == data


def test_the_same_configuration_gives_the_same_bytes() -> None:
    shop = service(signals={"load": {}, "other": {}})
    first, second = (rules.files(process(), [Service.model_validate(shop.model_dump(by_alias=True))]) for _ in range(2))
    assert [render.document(one, "0", "0") for one in first.values()] == [
        render.document(one, "0", "0") for one in second.values()
    ]


def test_an_alert_of_the_model_keeps_its_own_times() -> None:
    shop = service(signals={"load": {"interval": "1m", "alert": {"critical": {"tier": 4, "grades": 4}}}})
    one = next(tier.rules_of(shop, Target.model_validate(PROCESS.get("target", {}))))
    assert (one.wait, one.keep) == (195, 300)
