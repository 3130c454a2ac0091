"""OpenSLO documents among the service files: what they become, and what is wrong with them where they say it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from generated import of_services, passes
from openslo import PROCESS, document, inline, metric, ratio, read, refused, slo, warned, write
from tocsin.cli.check import check
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tocsin.generate import rules


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tocsin.yml").write_text(PROCESS)
    (tmp_path / "services").mkdir()
    return tmp_path


# ------------------------------------------------------------------------------------------------ SLOs and services


def test_an_slo_is_one_of_its_service(folder: Path) -> None:
    config = read(folder, slo(description="Answers.", objectives=[{"targetPercent": 99.95}]))
    [service] = config.services
    assert (service.service, service.severity) == ("shop", "page-ticket")
    found = service.slos["api"]
    assert (found.objective, found.period, found.description) == (0.9995, "30d", "Answers.")
    assert found.sli.model_dump(exclude_none=True) == {
        "good": 'http_requests_total{code!~"5.."}',
        "total": "http_requests_total",
    }
    assert config.warnings == ()


def test_nothing_pages_because_no_document_can_ask_for_it(folder: Path) -> None:
    [service] = read(folder, slo()).services
    assert "page" not in service.slos["api"].alert.model_fields_set


def test_the_slos_of_a_service_may_be_in_several_files_beside_services_of_ours(folder: Path) -> None:
    write(folder, slo("one"), slo("other", service="stock"), name="b")
    (folder / "services" / "c.yml").write_text("service: own\nsignals: {x: {expr: up}}\n")
    config = read(folder, slo("two"))
    assert [(one.service, list(one.slos)) for one in config.services] == [
        ("own", []),
        ("shop", ["two", "one"]),
        ("stock", ["other"]),
    ]
    assert [path.name for path in config.origins] == ["c.yml", "a.yml", "b.yml"]
    assert [path.name for path in config.files] == ["tocsin.yml", "a.yml", "b.yml", "c.yml"]
    assert config.hash == hashlib.sha256(b"".join(path.read_bytes() for path in config.files)).hexdigest()
    assert CliRunner().invoke(check, ["config", str(folder / "tocsin.yml")]).exit_code == 0


def test_a_service_says_its_team(folder: Path) -> None:
    config = read(folder, document("Service", "shop", labels={"team": ["checkout"]}), slo())
    assert config.services[0].team == "checkout"
    assert config.warnings == ()


def test_a_list_of_objects_is_as_good_as_documents(folder: Path) -> None:
    (folder / "services" / "a.yml").write_text(yaml.safe_dump([slo("a"), slo("b")], sort_keys=False))
    assert list(load(folder / "tocsin.yml").services[0].slos) == ["a", "b"]


def test_each_of_several_objectives_is_an_slo(folder: Path) -> None:
    objectives = [{"target": 0.99, "displayName": "Very Strict!"}, {"target": 0.95}, {"targetPercent": 90}]
    [service] = read(folder, slo(objectives=objectives)).services
    assert {name: one.objective for name, one in service.slos.items()} == {
        "api-very-strict": 0.99,
        "api-2": 0.95,
        "api-3": 0.9,
    }


def test_an_indicator_and_its_source_may_be_in_other_files(folder: Path) -> None:
    source = {"metricSourceRef": "prom", "type": None}
    indicator = {"ratioMetric": {"bad": metric("rate(a_total[1m])", **source), "total": metric("rate(b_total[1m])")}}
    write(
        folder, document("SLI", "answers", indicator), document("DataSource", "prom", {"type": "prometheus"}), name="z"
    )
    [service] = read(folder, slo(indicator=None, indicatorRef="answers")).services
    assert service.slos["api"].sli.model_dump(exclude_none=True) == {"bad": "a_total", "total": "b_total"}


@pytest.mark.parametrize(
    ("window", "period"),
    [
        ([{"duration": "1w", "isRolling": True}], "7d"),
        ([{"duration": "4w"}], "28d"),
        ([{"duration": "90d", "isRolling": True}], "90d"),
        (None, "30d"),
    ],
)
def test_windows_that_are_known_here(folder: Path, window: Any, period: str) -> None:
    assert read(folder, slo(timeWindow=window)).services[0].slos["api"].period == period


# ------------------------------------------------------------------------------------------------ what is left out


def test_what_has_no_place_here_is_named_once_with_how_often_it_is_there(folder: Path) -> None:
    policies = [{"alertPolicyRef": "wake"}]
    config = read(
        folder,
        slo("a", alertPolicies=policies),
        slo("b", alertPolicies=policies),
        document("AlertPolicy", "wake", {"conditions": []}),
        document("AlertPolicy", "mail"),
        document("AlertCondition", "fast"),
        document("SLI", "unused", ratio()),
    )
    own = "which is left out: an SLO has alerts of its own here"
    assert warned(config) == [
        "spec.alertPolicies: found what has no place here, and is left out (and 1 more)",
        f"metadata.name: found the AlertPolicy 'wake', {own} (and 1 more)",
        f"metadata.name: found the AlertCondition 'fast', {own}",
        "metadata.name: found an SLI that no SLO is about, and is left out",
    ]


def test_a_page_that_could_never_fire_is_left_out_and_named(folder: Path) -> None:
    config = read(folder, slo(objectives=[{"target": 0.5}]))
    assert config.services[0].slos["api"].alert.page is False
    assert any("spec.objectives[0].target: found an objective of 50% over 30d" in one for one in warned(config))


# ------------------------------------------------------------------------------------------------ faults


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"service": None}, "spec.service: found nothing, expected some text"),
        ({"service": "my shop"}, "spec.service: found 'my shop', expected a name of letters, digits, '.', '_' and '-'"),
        (
            {"timeWindow": [{"duration": "1M", "isRolling": True}]},
            "spec.timeWindow[0].duration: found '1M', expected a window of 7d, 28d, 30d, 90d",
        ),
        (
            {"timeWindow": [{"duration": "30d", "calendar": {"startTime": "2026-01-01 00:00:00"}}]},
            "spec.timeWindow: found a window that follows the calendar, expected one with isRolling: true",
        ),
        (
            {"timeWindow": [{"duration": "30d", "isRolling": False}]},
            "spec.timeWindow: found a window that follows the calendar, expected one with isRolling: true",
        ),
        ({"timeWindow": [{"duration": "7d"}] * 2}, "spec.timeWindow: found 2 windows, expected one"),
        (
            {"budgetingMethod": "Timeslices"},
            "spec.budgetingMethod: found 'Timeslices', expected 'Occurrences': time is not cut into slices here",
        ),
        ({"objectives": []}, "spec.objectives: found an empty list, expected a list of at least one"),
        ({"objectives": [{}]}, "spec.objectives[0]: found neither of target and targetPercent, expected one"),
        (
            {"objectives": [{"target": 0.9, "targetPercent": 90}]},
            "spec.objectives[0]: found both of target and targetPercent, expected one",
        ),
        (
            {"objectives": [{"target": 99.9}]},
            "spec.objectives[0].target: found the number 99.9, expected more than 0 and less than 1",
        ),
        (
            {"objectives": [{"targetPercent": 100}]},
            "spec.objectives[0].targetPercent: found the number 100, expected more than 0 and less than 100",
        ),
        ({"indicator": None}, "spec: found neither of indicator and indicatorRef, expected one"),
        ({"indicatorRef": "x"}, "spec: found both of indicator and indicatorRef, expected one"),
        (
            {"indicator": None, "indicatorRef": "x"},
            "spec.indicatorRef: found 'x', expected the name of an SLI in these files (there is none)",
        ),
    ],
)
def test_what_is_wrong_with_an_slo_is_said_where_it_is(folder: Path, more: dict[str, Any], expected: str) -> None:
    assert refused(folder, slo(**more)) == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"apiVersion": "openslo/v1alpha"}, "apiVersion: found 'openslo/v1alpha', expected 'openslo/v1'"),
        (
            {"apiVersion": "sloth.slok.dev/v1"},
            "apiVersion: found 'sloth.slok.dev/v1', expected 'openslo/v1' (`tocsin import sloth` reads those)",
        ),
        ({"apiVersion": None}, "apiVersion: found nothing, expected 'openslo/v1'"),
        (
            {"kind": "Slo"},
            (
                "kind: found 'Slo', expected one of SLO, SLI, Service, DataSource, AlertPolicy, AlertCondition, "
                "AlertNotificationTarget"
            ),
        ),
        ({"metadata": {}}, "metadata.name: found nothing, expected some text"),
    ],
)
def test_a_document_of_another_kind_is_refused(folder: Path, change: dict[str, Any], expected: str) -> None:
    assert refused(folder, slo("good"), {**slo(), **change}) == [expected]


def test_a_name_is_taken_once(folder: Path) -> None:
    fault = refused(folder, slo("a"), slo("a", service="other"))
    path = folder / "services" / "a.yml"
    assert fault == [f"metadata.name: found the SLO 'a' again, expected a name of its own ({path}:5:9 has it already)"]


def test_objectives_and_slos_share_their_names(folder: Path) -> None:
    two = [{"target": 0.9, "displayName": "b"}, {"target": 0.99}]
    [fault] = refused(folder, slo("a-b"), slo("a", objectives=two))
    assert fault.startswith("metadata.name: found the SLO 'a-b' again, expected a name of its own (")


def test_a_service_is_either_in_openslo_or_in_a_file_of_ours(folder: Path) -> None:
    own = folder / "services" / "c.yml"
    own.write_text("service: shop\nsignals: {x: {expr: up}}\n")
    assert refused(folder, slo()) == [
        f"spec.service: found the service 'shop' again, expected a name of its own ({own}:1:10 has it already)"
    ]


def test_faults_are_placed_in_their_document(folder: Path) -> None:
    (folder / "services" / "a.yml").write_text(
        "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: shop}\n---\n"
        "apiVersion: openslo/v1\nkind: SLO\nmetadata: {name: api}\nspec:\n  service: shop\n"
        "  indicator: {spec: {thresholdMetric: {metricSource: {type: Prometheus, spec: {query: up}}}}}\n"
        "  budgetingMethod: Occurrences\n  objectives:\n    - {op: gte, value: 1, target: 2}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(folder / "tocsin.yml")
    assert [(fault.line, fault.column) for fault in caught.value.faults] == [(13, 35)]


def test_a_syntax_error_in_a_later_document_has_its_place(folder: Path) -> None:
    (folder / "services" / "a.yml").write_text("apiVersion: openslo/v1\n---\na: [1\n---\n")
    with pytest.raises(ConfigError, match=r"a.yml:4:1: \(file\): found no YAML"):
        load(folder / "tocsin.yml")


def test_a_service_file_may_mention_an_api_version(folder: Path) -> None:
    (folder / "services" / "a.yml").write_text('service: a # apiVersion: openslo/v1\nsignals: {x: {expr: "up"}}\n')
    assert load(folder / "tocsin.yml").services[0].service == "a"


def test_what_comes_out_passes_promtool_with_its_tests(folder: Path, tmp_path: Path) -> None:
    config = read(
        folder,
        slo("events"),
        slo("gauges", indicator=inline(ratio("a", "b", counter=False))),
        slo(
            "value",
            indicator=inline({"thresholdMetric": metric("queue_length")}),
            objectives=[{"op": "lt", "value": 10, "target": 0.99}],
        ),
    )
    passes(tmp_path / "out", of_services(rules.files(config.process, config.services)))
