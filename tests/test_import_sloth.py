"""`tocsin import sloth`: specs become service files, and what is lost on the way is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from generated import needed, of_services, passes, promtool
from tocsin.cli.import_ import import_
from tocsin.config import sloth
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tocsin.generate import render, rules, slo
from tocsin.generate.promtool import Fires, Input, Run, case, document

SPECS = Path(__file__).parent / "testdata" / "sloth"
#: A whole spec; what a test is about is put in its place.
SPEC: dict[str, Any] = {
    "version": "prometheus/v1",
    "service": "shop",
    "slos": [
        {
            "name": "api",
            "objective": 99.9,
            "sli": {
                "events": {
                    "error_query": 'sum(rate(http_requests_total{code="500"}[{{.window}}]))',
                    "total_query": "sum(rate(http_requests_total[{{.window}}]))",
                }
            },
            "alerting": {"name": "Api"},
        }
    ],
}


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(import_, ["sloth", *map(str, args)])


def read(more: dict[str, Any] | None = None, **slo: Any) -> sloth.Imported:
    """The spec with other keys, and other keys of its SLO."""
    spec = {**SPEC, "slos": [{**SPEC["slos"][0], **slo}], **(more or {})}
    return sloth.read(yaml.safe_dump(spec, sort_keys=False).encode(), "spec.yml")


def imported(**slo: Any) -> dict[str, Any]:
    """The only SLO of the spec with other keys."""
    found: dict[str, Any] = read(**slo).services["shop"]["slos"]["api"]
    return found


def refused(more: dict[str, Any] | None = None, **slo: Any) -> list[str]:
    """Paths and messages of the faults."""
    with pytest.raises(ConfigError) as caught:
        read(more, **slo)
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def notes(found: sloth.Imported) -> list[str]:
    return [f"{note.line}: {note.path}: {note.message}" for note in found.notes]


LOST = "found what has no place in a service file, and is not carried over"


def test_a_spec_becomes_a_service_file() -> None:
    result = run(SPECS / "shop.yml")
    assert result.exit_code == 0
    assert result.stdout.startswith("# Imported from shop.yml by `tocsin import sloth`.\n")
    assert yaml.safe_load(result.stdout) == {
        "service": "web-shop",
        "severity": "page-ticket",
        "team": "storefront",
        "slos": {
            "checkout-availability": {
                "objective": "99.9%",
                "description": "Checkouts that are not answered with an error of ours.",
                "sli": {
                    "bad": 'shop_requests_total{route="/checkout", code=~"(5..|429)"}',
                    "total": 'shop_requests_total{route="/checkout"}',
                },
                "alert": {
                    "page": {
                        "name": "CheckoutErrors",
                        "severity": "wake-up",
                        "summary": "Checkout of {{$labels.tocsin_service}} fails ({{ $labels.slo }})",
                        "runbook": "https://wiki.example.com/checkout",
                    },
                    "ticket": {
                        "name": "CheckoutErrorsTicket",
                        "severity": "mail",
                        "summary": "Checkout is worse than it should be",
                        "runbook": "https://wiki.example.com/checkout",
                    },
                },
            },
            "search-latency": {
                "objective": "99%",
                "sli": {
                    "bad": '(\n  sum(increase(search_duration_seconds_count{verb!="WATCH"}[$window]))\n  -\n'
                    '  sum(increase(search_duration_seconds_bucket{le="0.4", verb!="WATCH"}[$window]))\n)',
                    "total": 'search_duration_seconds_count{verb!="WATCH"}',
                },
                "alert": {"page": "SearchSlow", "ticket": False},
            },
        },
    }


def test_what_is_not_carried_over_is_named_once_each_with_its_place() -> None:
    assert notes(sloth.read((SPECS / "shop.yml").read_bytes(), "shop.yml")) == [
        f"6: labels.region: {LOST}",
        f"17: slos[0].alerting.labels: {LOST}",
        f"25: slos[0].alerting.page_alert.labels.routing_key: {LOST}",
    ]


def test_shares_that_no_counter_has_become_ratios() -> None:
    found = sloth.read((SPECS / "sensors.yml").read_bytes(), "sensors.yml")
    slos = found.services["sensors"]["slos"]
    assert slos["signal-strength"]["sli"] == {
        "ratio": "(sum_over_time((count(sensor_signal_ratio < 0.75))[$window:1m]) OR on() vector(0))"
        " / ((sum_over_time((count(sensor_signal_ratio))[$window:1m])) > 0)"
    }
    assert slos["satisfaction"]["sli"] == {
        "ratio": "(1 - (\n  sum(sum_over_time(sensor_satisfaction_ratio[$window]))\n  /\n"
        "  sum(count_over_time(sensor_satisfaction_ratio[$window]))\n)) >= -Inf"
    }
    assert slos["satisfaction"]["alert"] == {"page": "WeakSignalSensors", "ticket": "WeakSignalSensorsTicket"}
    assert [note.partition(": found")[0] for note in notes(found)] == [
        "9: slos[0].sli.events.error_query",
        "13: slos[1].objective",
        "14: slos[1].interval",
        "23: slos[1].alerting.name",
    ]


def test_the_kubernetes_form_gives_a_file_for_each_service(tmp_path: Path) -> None:
    result = run(SPECS / "kubernetes.yml", "--out", tmp_path)
    assert result.exit_code == 0
    orders, stock = (yaml.safe_load((tmp_path / f"{name}.yml").read_text()) for name in ("orders", "stock"))
    assert orders["team"] == "fulfilment"
    assert orders["slos"]["requests"] == {
        "objective": "99.95%",
        "sli": {
            "bad": 'sum(increase(grpc_server_handled_total{grpc_code!="OK"}[$window])) or vector(0)',
            "total": "grpc_server_handled_total",
        },
        "alert": {"page": {"name": "RequestsFail", "severity": "critical"}, "ticket": False},
    }
    assert stock["slos"]["requests"]["sli"] == {
        "bad": 'stock_requests_total{code="500"}',
        "total": "stock_requests_total",
    }
    # Sloth gives both services an alert of one name.
    assert stock["slos"]["requests"]["alert"] == {"page": "RequestsFailStock", "ticket": "RequestsFailStockTicket"}
    assert result.stdout == f"SUCCESS: {tmp_path}/orders.yml, {tmp_path}/stock.yml: 2 SLOs, 5 warnings\n"


def test_several_services_need_a_folder() -> None:
    result = run(SPECS / "kubernetes.yml")
    assert result.exit_code == 1
    assert result.stderr.endswith("FAILED: found 2 services (orders, stock); expected a folder after --out\n")


def test_a_file_is_not_overwritten_unless_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").write_text("mine\n")
    result = run(SPECS / "shop.yml", "--out", tmp_path / "shop.yml")
    assert result.exit_code == 1
    assert (tmp_path / "shop.yml").read_text() == "mine\n"
    assert run(SPECS / "shop.yml", "--out", tmp_path / "shop.yml", "--force").exit_code == 0
    assert yaml.safe_load((tmp_path / "shop.yml").read_text())["service"] == "web-shop"


@pytest.mark.parametrize("name", ["shop", "sensors", "kubernetes"])
def test_what_comes_out_is_a_valid_configuration_whose_rules_pass_their_tests(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "services"
    folder.mkdir()
    assert run(SPECS / f"{name}.yml", "--out", folder).exit_code == 0
    (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [services/*.yml]\n")
    config = load(tmp_path / "tocsin.yml")
    assert sum(len(service.slos) for service in config.services) == 2
    passes(tmp_path / "out", of_services(rules.files(config.process, config.services)))


def test_the_period_is_written_where_it_is_not_the_default() -> None:
    found = sloth.read(yaml.safe_dump(SPEC).encode(), "spec.yml", "28d")
    assert found.services["shop"]["slos"]["api"]["period"] == "28d"
    assert "period" not in imported()


def test_a_page_that_could_never_fire_is_switched_off_and_named() -> None:
    found = read(objective=50)
    assert found.services["shop"]["slos"]["api"]["alert"]["page"] is False
    assert "slos[0].objective: found an objective of 50% over 30d" in "\n".join(notes(found))


def test_an_alert_that_is_switched_off_stays_so_and_what_it_says_is_no_loss() -> None:
    alerting = {"name": "Api", "page_alert": {"disable": True, "labels": {"a": "b"}}}
    found = read(alerting=alerting)
    assert found.services["shop"]["slos"]["api"]["alert"] == {"page": False, "ticket": "ApiTicket"}
    assert found.notes == ()


def test_names_that_no_alert_or_file_can_have_are_made_valid() -> None:
    found = read({"service": "my shop/eu"}, alerting={"name": "5xx: Shop"})
    assert list(found.services) == ["my-shop-eu"]
    assert found.services["my-shop-eu"]["slos"]["api"]["alert"]["page"] == "_5xx_Shop"
    assert [note.partition(",")[0] for note in notes(found)] == [
        "2: service: found 'my shop/eu'",
        "11: slos[0].alerting.name: found '5xx: Shop'",
    ]


def test_a_template_that_prometheus_would_refuse_is_left_out() -> None:
    annotations = {"summary": "{{ nonsense }}", "runbook_url": "https://x/{{ $labels.y }}"}
    found = read(alerting={"name": "Api", "annotations": annotations})
    assert found.services["shop"]["slos"]["api"]["alert"] == {"page": "Api", "ticket": "ApiTicket"}
    assert sorted(note.partition(": found")[0] for note in notes(found)) == [
        "13: slos[0].alerting.annotations.summary",
        "14: slos[0].alerting.annotations.runbook_url",
    ]


def test_a_label_that_the_alert_has_not_is_named() -> None:
    found = read(alerting={"name": "Api", "annotations": {"summary": "{{ $labels.sloth_id }}"}})
    assert "found $labels.sloth_id, which the alert has not" in notes(found)[0]


def test_both_spellings_of_a_key_are_read() -> None:
    events = {"errorQuery": "sum(rate(a_total[{{.window}}]))", "totalQuery": "sum(rate(b_total[{{.window}}]))"}
    assert imported(sli={"events": events})["sli"] == {"bad": "a_total", "total": "b_total"}


@pytest.mark.parametrize(
    ("slo", "expected"),
    [
        ({"objective": 100}, "slos[0].objective: found the number 100, expected a percentage of more than 0 and"),
        ({"objective": "high"}, "slos[0].objective: found 'high', expected a number"),
        ({"name": None}, "slos[0].name: found nothing, expected some text"),
        ({"sli": {}}, "slos[0].sli: found nothing, expected one of events and raw"),
        ({"sli": {"plugin": {"id": "a"}}}, "slos[0].sli.plugin: found an SLI plugin, expected events or raw"),
        (
            {"sli": {"raw": {"error_ratio_query": "a"}}},
            "slos[0].sli.raw.error_ratio_query: found no {{.window}}, expected it where the window stands",
        ),
        (
            {"sli": {"raw": {"error_ratio_query": "rate(a[{{.window}}]"}}},
            "slos[0].sli.raw.error_ratio_query: found no PromQL",
        ),
        ({"sli": {"events": {"error_query": "a"}}}, "slos[0].sli.events.error_query: found no {{.window}}"),
        (
            {"alerting": {"page_alert": {"disable": "x"}}},
            "slos[0].alerting.page_alert.disable: found 'x', expected true",
        ),
        ({"description": 5}, "slos[0].description: found the number 5, expected some text"),
    ],
)
def test_what_cannot_be_imported_is_a_fault_with_its_place(slo: dict[str, Any], expected: str) -> None:
    assert any(fault.startswith(expected) for fault in refused(**slo))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {"version": "prometheus/v2"},
            "version: found 'prometheus/v2', expected a spec of Sloth: version: prometheus/v1",
        ),
        ({"version": None}, "version: found nothing, expected a spec of Sloth"),
        ({"apiVersion": "v1", "kind": "Pod"}, "apiVersion: found 'v1' and 'Pod', expected a spec of Sloth"),
        ({"apiVersion": "openslo/v1"}, "apiVersion: found 'openslo/v1', which needs no import"),
        ({"slos": []}, "slos: found an empty list, expected a list of at least one"),
        ({"slos": [SPEC["slos"][0]] * 2}, "slos[1].name: found the SLO 'api' again, expected a name of its own"),
    ],
)
def test_a_file_that_is_no_spec_says_what_is_expected(more: dict[str, Any], expected: str) -> None:
    assert any(fault.startswith(expected) for fault in refused(more))


def test_nothing_is_written_when_something_cannot_be_imported(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yml"
    spec.write_text("version: prometheus/v1\nservice: shop\nslos: [{name: a, objective: 200, sli: {}}]\n")
    result = run(spec, "--out", tmp_path / "out.yml")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"FAILED: {spec} cannot be imported:",
        f"{spec}:3:29: slos[0].objective: found the number 200, expected a percentage of more than 0 and less than 100",
        f"{spec}:3:39: slos[0].sli: found nothing, expected one of events and raw",
    ]
    assert not (tmp_path / "out.yml").exists()


def test_a_file_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    result = run(tmp_path / "nowhere.yml")
    assert result.exit_code == 1
    assert result.stderr == f"FAILED: cannot read {tmp_path}/nowhere.yml: No such file or directory\n"


# ------------------------------------------------------------------------------------------------ what fires

#: What Sloth's page asks, from its own queries: both windows above 14.4 or 6 times the budget of 0.001.
_SHARE = (
    'sum(rate(shop_requests_total{{route="/checkout", code=~"(5..|429)"}}[{0}]))'
    ' / sum(rate(shop_requests_total{{route="/checkout"}}[{0}]))'
)
SLOTHS_PAGE = " or ".join(
    f"({_SHARE.format(short)} > {factor} * 0.001 and {_SHARE.format(long)} > {factor} * 0.001)"
    for short, long, factor in (("5m", "1h", 14.4), ("30m", "6h", 6))
)


def test_the_page_fires_where_sloths_would_and_where_the_arithmetic_says(tmp_path: Path) -> None:
    assert run(SPECS / "shop.yml", "--out", tmp_path / "shop.yml").exit_code == 0
    (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
    config = load(tmp_path / "tocsin.yml")
    one = slo.objectives(config.services[0], config.process.target)[0]
    # After six good hours 2 % of a constant traffic fails: the hour holds 1.44 % after 1.44/2 of itself, 2592 s.
    quiet, every = 360, 60
    onset, detected = quiet * every, 2592
    series = [
        Input(
            "shop_requests_total", {"route": "/checkout", "code": "200"}, [Run(0, quiet, 1000), Run(360000, 120, 980)]
        ),
        Input("shop_requests_total", {"route": "/checkout", "code": "500"}, [Run(0, quiet, 0), Run(0, 120, 20)]),
        Input("shop_requests_total", {"route": "/other", "code": "500"}, [Run(0, quiet + 120, 5000)]),
    ]
    name = one.alert_name("page")
    assert name == "CheckoutErrors"
    before, after = onset + detected - 2 * every, onset + detected + 2 * every
    before, after = before // every * every, -(-after // every) * every
    expected = [Fires(name, before), Fires(name, after, [one.alert_labels("page")])]
    groups = needed(slo.groups(config.services[0], config.process.target), name)
    test = case("imported", every, series, expected)
    test["promql_expr_test"] += [
        {"expr": f"count({SLOTHS_PAGE})", "eval_time": f"{at}s", "exp_samples": samples}
        for at, samples in ((before, []), (after, [{"labels": "{}", "value": 1}]))
    ]
    (tmp_path / "rules.yml").write_text(render.to_yaml({"groups": groups}))
    (tmp_path / "test.yml").write_text(render.to_yaml(document(["rules.yml"], every, [test])))
    status, said = promtool("test", "rules", "test.yml", cwd=tmp_path)
    assert status == 0, said
