"""Alerts about Tocsin itself, and the snippet for prometheus.yml."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from generated import passes, process, promtool, service, write
from tocsin import names
from tocsin.cli.generate import generate
from tocsin.config.models import Target
from tocsin.generate import meta, prometheus, rules

README = Path(__file__).parents[1] / "rules" / "README.md"


def own(**signals: Any) -> list[dict[str, Any]]:
    data = rules.files(process(), [service(signals=signals)])
    found: list[dict[str, Any]] = data["rules/tocsin.yml"]["groups"][0]["rules"]
    return found


def test_there_is_an_alert_for_each_way_to_fail() -> None:
    assert [(one["alert"], one["labels"]["severity"]) for one in own(load={})] == [
        ("TocsinDown", "critical"),
        ("TocsinEvaluationStale", "warning"),
        ("TocsinConfigReloadFailed", "warning"),
        ("TocsinSeriesDropped", "warning"),
        ("TocsinNoSeries", "warning"),
        ("TocsinSourceClockSkew", "warning"),
        ("TocsinActionUnknown", "critical"),
        ("TocsinKillSwitchFlipped", "warning"),
        ("TocsinAuditWentBack", "critical"),
        ("TocsinStoreDown", "critical"),
        ("TocsinScrapedWithoutHonorLabels", "critical"),
        ("TocsinWatchdog", "none"),
    ]


def test_each_has_a_runbook_that_is_there() -> None:
    headings = {
        line.removeprefix("### ").lower() for line in README.read_text().splitlines() if line.startswith("### ")
    }
    for one in own(load={}):
        file, _, anchor = one["annotations"]["runbook_url"].partition("#")
        assert (file, anchor in headings) == (f"rules/{README.name}", True)


def test_the_longest_interval_decides_what_is_stale_and_how_far_drops_are_counted() -> None:
    slow = {one["alert"]: one["expr"] for one in own(load={}, slow={"interval": "1h"})}
    assert slow["TocsinEvaluationStale"].endswith("> 18000)")
    assert "[3h]" in slow["TocsinSeriesDropped"]


def test_labels_that_name_resources_are_looked_for_under_their_exported_names() -> None:
    clashes = meta.clashes([service(signals={"a": {"by": ["node", "instance"]}, "b": {"by": ["resource"]}, "c": {}})])
    on_level = [label for label, metric in clashes if metric == names.metric("severity_level")]
    assert on_level == ["tocsin_service", "signal", "resource", "node", "tocsin_instance"]


def test_every_label_of_every_family_is_looked_for() -> None:
    families = (*names.FAMILIES.values(), *names.SLO_FAMILIES.values(), *names.OWN.values())
    ours = [family for family in families if family.prefix == names.PREFIX]
    assert [family.name for family in families if family not in ours] == ["service_auto_remediations_total"]
    labels = {label for family in ours for label in family.labels} | set(names.BASE_LABELS)
    assert {label for label, _ in meta.clashes([])} == labels


@pytest.mark.parametrize(
    "signals", [{"load": {"by": ["node"]}}, {"slow": {"interval": "10m"}}, {"fast": {"interval": "1s"}}]
)
@pytest.mark.parametrize("target", [{}, {"scrape_interval": "40s", "evaluation_interval": "25s"}])
def test_their_tests_pass(tmp_path: Path, signals: dict[str, Any], target: dict[str, str]) -> None:
    data = rules.files(process(target=target), [service(signals=signals)])
    passes(tmp_path, {name: one for name, one in data.items() if name.endswith("tocsin.yml")})


BREAKS = [
    ("TocsinDown", "absent(tocsin_build_info)", "tocsin_build_info"),
    ("TocsinDown", "tocsin_build_info)", 'tocsin_build_info{instance="a"})'),
    ("TocsinEvaluationStale", "== 1", "== 2"),
    ("TocsinEvaluationStale", "> 300", "> 330"),
    ("TocsinEvaluationStale", "> 300", ">= 30"),
    ("TocsinConfigReloadFailed", "min(", "max("),
    ("TocsinSeriesDropped", "by (tocsin_service, signal, reason)", "by (tocsin_service, signal, reason, instance)"),
    ("TocsinSeriesDropped", "> 0", ">= 0"),
    ("TocsinNoSeries", "max by (tocsin_service, signal)", "min by (tocsin_service, signal)"),
    ("TocsinNoSeries", "(tocsin_service, signal)", "(tocsin_service, signal, instance)"),
    ("TocsinNoSeries", "== 0", "== -1"),
    ("TocsinSourceClockSkew", "> 30", "> 31"),
    ("TocsinSourceClockSkew", "> 30", ">= 30"),
    ("TocsinSourceClockSkew", "max(abs(tocsin_source_clock_skew_seconds))", "max(tocsin_source_clock_skew_seconds)"),
    ("TocsinActionUnknown", "max by", "min by"),
    ("TocsinActionUnknown", "> 0", ">= 0"),
    ("TocsinActionUnknown", "(tocsin_service)", "(tocsin_service, instance)"),
    ("TocsinKillSwitchFlipped", '"flip", max(', '"flip", min('),
    ("TocsinKillSwitchFlipped", "[15m]", "[1d]"),
    ("TocsinKillSwitchFlipped", "> 0", ">= 0"),
    ("TocsinKillSwitchFlipped", "max(changes", "min(changes"),
    ("TocsinKillSwitchFlipped", "* on () group_left () min(tocsin_kill_switch_armed)", "> 1e9"),
    ("TocsinAuditWentBack", "<", "<="),
    ("TocsinAuditWentBack", "max by (store) (tocsin_audit_seq)", "min by (store) (tocsin_audit_seq)"),
    ("TocsinAuditWentBack", "by (store)", "by ()"),
    ("TocsinAuditWentBack", "[30d]", "[10s]"),
    ("TocsinStoreDown", "min(tocsin_store_up)", "max(tocsin_store_up)"),
    ("TocsinStoreDown", "== 0", "<= 1"),
    ("TocsinStoreDown", "full|", ""),
    ("TocsinStoreDown", "full|", "busy|full|"),
    ("TocsinStoreDown", "min(tocsin_store_up) == 0", "absent(tocsin_store_up)"),
    ("TocsinScrapedWithoutHonorLabels", 'exported_resource!=""', 'exported_resource!~".*"'),
    ("TocsinScrapedWithoutHonorLabels", 'exported_reason!=""', 'exported_reason=""'),
    ("TocsinWatchdog", "vector(1)", "vector(1) > 1"),
]


@pytest.mark.parametrize(("alert", "old", "new"), BREAKS)
def test_their_tests_fail_when_one_is_wrong(tmp_path: Path, alert: str, old: str, new: str) -> None:
    data = deepcopy(rules.files(process(), [service()]))
    [group], tests = data["rules/tocsin.yml"]["groups"], data["rules/tests/tocsin.yml"]
    [one] = group["rules"] = [one for one in group["rules"] if one["alert"] == alert]
    tests["tests"] = [each for each in tests["tests"] if each["name"].startswith(f"{alert} ")]
    assert old in one["expr"]
    one["expr"] = one["expr"].replace(old, new)
    write(tmp_path, data)
    status, said = promtool("test", "rules", "rules/tests/tocsin.yml", cwd=tmp_path)
    assert status == 1, said
    assert alert in said


def test_the_snippet_is_a_configuration_that_prometheus_takes(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yml").write_text(
        "source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\ntarget: {scrape_interval: 5s}\n"
    )
    (tmp_path / "shop.yml").write_text("service: shop\nsignals: {load: {expr: up}}\n")
    command = ["prometheus", "--config.file", str(tmp_path / "tocsin.yml"), "--target", "tocsin.example:9889"]
    result = CliRunner().invoke(generate, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout) == {
        "rule_files": ["rules/*.yml"],
        "scrape_configs": [
            {
                "job_name": "tocsin",
                "honor_labels": True,
                "scrape_interval": "5s",
                "static_configs": [{"targets": ["tocsin.example:9889"]}],
            }
        ],
    }
    write(tmp_path, rules.files(process(), [service()]))
    # With the hint for alerting taken as it stands there.
    whole = "global: {evaluation_interval: 15s}\n" + result.stdout.replace("# alerting", "alerting").replace(
        "\n#  ", "\n "
    )
    (tmp_path / "prometheus.yml").write_text(whole)
    assert yaml.safe_load(whole)["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["127.0.0.1:9093"]
    status, said = promtool("check", "config", "prometheus.yml", cwd=tmp_path)
    assert status == 0, said
    assert "2 rule files found" in said


def test_the_default_target_is_where_tocsin_listens(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
    (tmp_path / "shop.yml").write_text("service: shop\nsignals: {load: {expr: up}}\n")
    result = CliRunner().invoke(generate, ["prometheus", "--config.file", str(tmp_path / "tocsin.yml")])
    assert yaml.safe_load(result.stdout)["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:9889"]}]


def test_the_rules_folder_may_be_elsewhere() -> None:
    assert prometheus.config(process(), "a:1", "/etc/rules/")["rule_files"] == ["/etc/rules/*.yml"]
    assert Target().scrape_interval == 15
