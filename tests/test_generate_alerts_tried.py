"""The generated tests of alerts on values: they pass, fail when a rule is wrong, and bear any name."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generated import of_services, passes, process, promtool, service, write
from test_generate_alerts import SIGNALS, shop
from test_generate_rules import HOSTILE
from tocsin.config.models import Service
from tocsin.generate import alerts, rules
from tocsin.generate.alerts import trials
from tocsin.generate.alerts.alert import Context

MINUTES = {"scrape_interval": "1m", "evaluation_interval": "1m"}
RATE = 'sum by (svc) (rate(requests_total{code=~"5.."}[5m])) / sum by (svc) (rate(requests_total[5m]))'
MANY: dict[str, Any] = {
    "thresholds": {
        "cpu": {
            "expr": '1 - avg by (node) (rate(cpu{mode="idle"}[5m]))',
            "by": ["node"],
            "warning": 0.8,
            "critical": 0.95,
        },
        "p95": {"expr": "histogram_quantile(0.95, sum by (le) (rate(x_bucket[5m])))", "critical": 0.25},
        "hit rate": {
            "expr": "sum(rate(h[5m])) / (sum(rate(h[5m])) + sum(rate(m[5m])))",
            "direction": "down",
            "critical": 0.6,
        },
        "load": {"signal": "load", "warning": 0.5, "for": "1m", "keep_firing_for": "5m"},
        "errors": {"expr": RATE, "by": ["svc"], "warning": 0.01, "critical": 0.05},
        "age": {"expr": "time() - backup_timestamp", "by": [], "critical": 86400},
        "replicas": {"expr": "count by (app) (replica_up)", "by": ["app"], "warning": 2, "direction": "down"},
        "conn": {"expr": "pg_conn", "by": ["instance", "severity", "page"], "critical": 90, "for": "0s"},
    },
    "absent": [
        {"name": "Gone", "expr": "gone{job='a'}"},
        {"name": "Zero", "expr": "sum(increase(signups_total[15m]))", "zero": True},
        {"name": "Never", "expr": "vector(1)"},
    ],
    "rate_of_change": [
        {"name": "Jump", "signal": "load", "over": "20m", "rise": "50%", "fall": "30%"},
        {"name": "Drop", "expr": "sum(rate(q[2m]))", "over": "20m", "fall": "100%"},
    ],
    "forecast_breach": [{"name": "Full", "signal": "load", "within": "12h"}],
    "alerts": [
        {"name": "Down", "expr": "up == 0", "by": ["instance"], "level": "critical", "for": "2m"},
        {"name": "Lag", "expr": "lag > 30 and on (node) b < 3", "keep_firing_for": "10m"},
        {"name": "Quiet", "expr": "absent(up{job='x'})"},
    ],
}


def test_the_generated_tests_of_many_alerts_do_not_disturb_each_other(tmp_path: Path) -> None:
    passes(tmp_path, of_services(rules.files(process(target=MINUTES), [shop(team="keys", **MANY)])))


@pytest.mark.parametrize(
    "target",
    [
        {},
        {"scrape_interval": "1m", "evaluation_interval": "15s"},
        {"scrape_interval": "7s", "evaluation_interval": "11s"},
    ],
)
def test_the_generated_tests_pass_whatever_the_intervals(tmp_path: Path, target: dict[str, str]) -> None:
    # In each test of a service all of its rules are evaluated: one service would take many times longer than several.
    services = [
        service(f"shop-{kind}-{i}", SIGNALS, team="keys", **{kind: one})
        for kind, models in MANY.items()
        for i, one in enumerate(single(models))
    ]
    passes(tmp_path, of_services(rules.files(process(target=target), services)))


def single(models: Any) -> list[Any]:
    """Mappings or lists of one model each."""
    return [{key: one} for key, one in models.items()] if isinstance(models, dict) else [[one] for one in models]


def test_only_what_nobody_knows_how_to_feed_is_tested_on_a_plain_series() -> None:
    one = shop(**MANY)
    context = Context(one, process())
    unknown = [alert.name for alert in alerts.made(one, process()) if not trials.is_fed(alert, context)]
    assert unknown == ["ShopReplicas", "Never"]
    files = rules.files(process(), [one])
    copies = [rule for group in files["rules/tests/stand-ins/shop.yml"]["groups"] for rule in group["rules"]]
    assert [(rule["alert"], rule["expr"]) for rule in copies] == [
        ("ShopReplicas", 'label_join(min by (app) (stand_in{alert="ShopReplicas"}), "resource", "/", "app") < 2'),
        ("Never", 'max(absent(stand_in{alert="Never"}))'),
    ]
    assert files["rules/tests/shop.yml"]["rule_files"] == ["../shop.yml", "stand-ins/shop.yml"]
    named = [test["name"] for test in files["rules/tests/shop.yml"]["tests"]]
    assert "fires beyond its bound, on a plain series instead of its expression: ShopReplicas" in named


def test_without_such_an_alert_there_is_no_file_of_copies() -> None:
    files = rules.files(process(), [shop(alerts=[{"name": "Down", "expr": "up == 0"}])])
    assert list(files) == ["rules/shop.yml", "rules/tests/shop.yml", "rules/tocsin.yml", "rules/tests/tocsin.yml"]


#: Alert, key, what is there, what is there instead.
BREAKS = {
    "a lower bound": ("ShopLoad", "expr", "> 0.5", "> 0.4999"),
    "a higher bound": ("ShopLoad", "expr", "> 0.5", "> 0.501"),
    "the bound itself": ("ShopLoad", "expr", "> 0.5", ">= 0.5"),
    "the other side": ("ShopHitRate", "expr", "< 0.6", "> 0.6"),
    "a bound of a rate": ("ShopErrorsCritical", "expr", "> 0.05", "> 0.0501"),
    "another quantile": ("ShopP95", "expr", "0.95,", "0.96,"),
    "a scrape label": ("ShopLoad", "expr", "by (node)", "by (node, instance)"),
    "a label that routes": ("Lag", "expr", "page, ", ""),
    "a label that routes under its own name": ("ShopConn", "expr", "max without (page, severity)", ""),
    "slashes as they are": ("ShopConn", "expr", r"$1$2\\$3", "$1$2$3"),
    "labels in another order": ("ShopConn", "expr", "$1/$2", "$2/$1"),
    "no resource": ("ShopLoad", "expr", '"resource", "/", "node"', '"other", "/", "node"'),
    "fires too early": ("ShopLoad", "for", "1m", "45s"),
    "fires too late": ("ShopLoad", "for", "1m", "75s"),
    "kept too long": ("ShopLoad", "keep_firing_for", "5m", "6m"),
    "kept too short": ("ShopLoad", "keep_firing_for", "5m", "4m"),
    "absence of another": ("Gone", "expr", "gone", "gone_too"),
    "zero does not count": ("Zero", "expr", "== 0", "== 1"),
    "absence does not count": ("Zero", "expr", "absent", "sum"),
    "a smaller rise": ("Jump", "expr", ">= 0.5", ">= 0.4999"),
    "a larger rise": ("Jump", "expr", ">= 0.5", ">= 0.501"),
    "a smaller fall": ("Jump", "expr", "<= -0.3", "<= -0.2999"),
    "another past": ("Jump", "expr", "offset 20m", "offset 1m"),
    "any past": ("Drop", "expr", "<= -1", "<= 1"),
    "breach later": ("Full", "expr", "43200", "43201"),
    "breach sooner": ("Full", "expr", "43200", "43199"),
    "a passed limit is none": ("Full", "expr", "already_breached", "stale"),
    "a condition that is always true": ("Down", "expr", "== 0", ">= 0"),
    "half of a condition": ("Lag", "expr", "lag > 30 and on (node) b < 3", "lag > 29"),
}


@pytest.fixture(scope="module")
def many() -> dict[str, dict[str, Any]]:
    # Expanding the texts of each alert at each evaluation is most of what promtool would do.
    return rules.files(process(), [shop(**MANY)])


@pytest.mark.parametrize("change", BREAKS)
def test_the_generated_tests_fail_when_a_rule_is_wrong(
    many: dict[str, dict[str, Any]], tmp_path: Path, change: str
) -> None:
    name, key, old, new = BREAKS[change]
    data = deepcopy(many)
    found = [one for group in data["rules/shop.yml"]["groups"] for one in group["rules"] if one["alert"] == name]
    assert old in found[0][key]
    found[0][key] = found[0][key].replace(old, new)
    data["rules/shop.yml"]["groups"] = [{"name": "one", "interval": "15s", "rules": found}]
    tests = data["rules/tests/shop.yml"]
    tests["tests"] = [one for one in tests["tests"] if name in one["name"]]
    for one in tests["tests"]:
        one["promql_expr_test"] = [asked for asked in one["promql_expr_test"] if f'"{name}"' in asked["expr"]]
    write(tmp_path, data)
    status, said = promtool("test", "rules", "rules/tests/shop.yml", cwd=tmp_path)
    assert status == 1, said
    assert name in said


def hostile(*texts: str, name: str = "shop") -> Service:
    """A service in which every text is a key, a label, a dimension, a severity, and part of an expression."""
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for text in texts]
    return service(
        name,
        SIGNALS,
        team=texts[0],
        thresholds={
            text: {
                "expr": f'x{i}{{a="{quoted[i]}"}}',
                "by": ["a"],
                "warning": 1,
                "name": f"T{i}",
                "dimension": text,
                "severity": text,
            }
            for i, text in enumerate(texts)
        },
        absent=[{"name": f"A{i}", "expr": f'y{i}{{a="{text}"}}'} for i, text in enumerate(quoted)],
        alerts=[{"name": f"E{i}", "expr": f'z{i}{{a!="{text}"}} > 1'} for i, text in enumerate(quoted)],
    )


def test_hostile_names_neither_break_nor_inject(tmp_path: Path) -> None:
    longest = ["\N{PILE OF POO}" * 100, "x" * 200]
    texts = [*HOSTILE[:-1], *longest]
    services = [hostile(*texts[i : i + 6], name=f"shop-{i}") for i in range(0, len(texts), 6)]
    passes(tmp_path, rules.files(process(target=MINUTES), services))


def test_an_expression_of_ten_thousand_characters_is_no_danger(tmp_path: Path) -> None:
    long = shop(alerts=[{"name": "Long", "expr": f'x{{a="{"é{{" * 3300}"}} > 1'}])
    passes(tmp_path, of_services(rules.files(process(target=MINUTES), [long])))


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=30), min_size=20, max_size=20, unique=True))
def test_any_names_neither_break_nor_inject(tmp_path: Path, texts: list[str]) -> None:
    services = [hostile(*texts[i : i + 4], name=f"shop-{i}") for i in range(0, len(texts), 4)]
    passes(tmp_path, of_services(rules.files(process(target=MINUTES), services)))
