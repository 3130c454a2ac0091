"""Rules that Prometheus could not read: found before anything is written, whatever user text is in them."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from tocsin.cli.generate import generate
from tocsin.config import expr
from tocsin.config.load import load
from tocsin.generate import rules
from tocsin.generate.lint.readable import _shape, unreadable

SERVICE = """\
service: shop
links: {runbook: 'https://wiki.example.com/{alert}'}
signals: {load: {expr: up, alert: {critical: {tier: 4}}}}
records: {'shop:up:sum': 'sum(up)'}
slos: {api: {objective: 99%, sli: {probe: probe_success}}}
"""
#: What a comment does to whatever is written behind it.
SWALLOWED = "sum(up # all of them)"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A process file with one service."""
    (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
    (tmp_path / "shop.yml").write_text(SERVICE)
    return tmp_path / "tocsin.yml"


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ({"record": "shop:up:sum"}, "record shop:up:sum (service shop: records['shop:up:sum'])"),
        ({"record": "a:b:c", "labels": {"slo": "api"}}, "record a:b:c (service shop: slos.api.sli)"),
        ({"alert": "ShopLoadCritical"}, "alert ShopLoadCritical (service shop: signals.load.alert.critical.name)"),
        (
            {"alert": "ShopApiErrorBudgetBurn"},
            "alert ShopApiErrorBudgetBurn (service shop: slos.api.alert.page)",
        ),
    ],
)
def test_a_rule_that_does_not_parse_is_named_with_its_place(config: Path, rule: dict[str, object], where: str) -> None:
    [service] = load(config).services
    data = {"groups": [{"name": "g", "rules": [{**rule, "expr": SWALLOWED}, {**rule, "expr": "sum(up)"}]}]}
    [said] = unreadable("rules/shop.yml", data, service)
    assert said.startswith(f"rules/shop.yml: {where}: found no PromQL (")
    assert said.endswith(f"), expected an expression: {SWALLOWED}")


def test_nothing_is_written_when_one_rule_does_not_parse(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    command = ["rules", "--config.file", str(config), "--out", str(out)]
    assert CliRunner().invoke(generate, command).exit_code == 0
    before = {file: file.read_bytes() for file in out.rglob("*.yml")}
    (tmp_path / "shop.yml").write_text(SERVICE.replace("tier: 4", "tier: 3"))
    each = list(rules.each(load(config).process, load(config).services))
    # No configuration is known that comes this far.
    each[-2][1]["groups"][0]["rules"][0]["expr"] = SWALLOWED
    monkeypatch.setattr(rules, "each", lambda _process, _services: iter(each))
    result = CliRunner().invoke(generate, command)
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    assert first == "FAILED: nothing is written, because Prometheus could not read it:"
    assert second.startswith("rules/tocsin.yml: alert TocsinDown: found no PromQL (")
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


PARTS = [
    "x",
    "{",
    "}",
    "a",
    "=",
    "=~",
    "!=",
    '"',
    '""',
    "'",
    "`",
    "\\",
    "#",
    "\n",
    "[5m]",
    "[0m]",
    "[30m]",
    "(",
    ")",
    ",",
]
PARTS += ["sum", "b=", '"v"', "+", "on", "offset 1h", '{a="b"}', '{a=~"("}', '{a=""}', "rate"]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join))
@example("""x{a='b="'} or y{c="d"}""")
@example('x{a="b="} or y{c="="}')
@example('x{a="\\q"}')
@example('x{a=""}')
@example('x{a=~"("}')
@example('rate(x{a="[5m]"}[0m])')
@example('label_replace(x, "a=", "b", "c", "d")')
def test_what_is_parsed_once_for_many_services_stands_for_each_of_them(text: str) -> None:
    assert parses(_shape(text)) == parses(text)


def test_services_differ_in_names_and_windows_alone() -> None:
    assert _shape('sum(x{job="a", code=~"5.."}[30m])') == _shape('sum(x{job="b c", code=~"5.."}[3d])')
    assert _shape('sum(x{job="a"})') != _shape('sum(x{job=~"a"})')


def parses(text: str) -> bool:
    try:
        expr.parse(text)
    except ValueError:
        return False
    return True
