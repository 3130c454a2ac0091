"""The program's own metrics."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tocsin import __version__, names
from tocsin.core.snapshot import Snapshot
from tocsin.metrics import Exposition
from tocsin.telemetry import Telemetry


def test_a_counter_counts_and_starts_at_nothing() -> None:
    telemetry = Telemetry()
    assert telemetry.value("source_requests_total", "ok") == 0
    telemetry.count("source_requests_total", "ok")
    telemetry.count("source_requests_total", "ok", by=2.5)
    assert telemetry.value("source_requests_total", "ok") == 3.5
    assert telemetry.value("source_requests_total", "timeout") == 0
    telemetry.count("source_warnings_total", by=0)
    assert telemetry.value("source_warnings_total") == 0


def test_a_gauge_is_set_and_forgotten() -> None:
    telemetry = Telemetry()
    telemetry.set("stale", True, "svc", "sig")
    assert telemetry.value("stale", "svc", "sig") == 1
    telemetry.forget("stale", "svc", "sig")
    assert telemetry.registry.get_sample_value("tocsin_stale", {"tocsin_service": "svc", "signal": "sig"}) is None


@pytest.mark.parametrize("short", ["no_such", "value"])
def test_a_name_that_is_not_in_the_contract_is_refused(short: str) -> None:
    with pytest.raises(KeyError):
        Telemetry().set(short, 1)
    with pytest.raises(KeyError):
        Telemetry().count(short)


def test_a_counter_cannot_go_down() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        Telemetry().count("source_warnings_total", by=-1)


def test_the_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        Telemetry().count("source_requests_total", "ok", "more")


def test_build_info_is_there_from_the_start() -> None:
    telemetry = Telemetry()
    (family,) = [f for f in telemetry.registry.collect() if f.name == "tocsin_build_info"]
    (sample,) = family.samples
    assert (sample.value, sample.labels["version"]) == (1, __version__)


@pytest.mark.parametrize("short", ["store_up", "kill_switch_armed", "kill_switch_generation", "storm"])
def test_what_only_a_program_with_a_store_knows_is_not_0_elsewhere(short: str) -> None:
    telemetry = Telemetry()
    assert telemetry.registry.get_sample_value(names.own(short)) is None
    telemetry.set(short, False)
    assert telemetry.registry.get_sample_value(names.own(short)) == 0


def test_two_programs_share_nothing() -> None:
    one, other = Telemetry(), Telemetry()
    one.count("source_requests_total", "ok")
    assert other.value("source_requests_total", "ok") == 0


def test_the_page_has_all_of_the_contract_and_nothing_else() -> None:
    telemetry = Telemetry()
    text = b"".join(Exposition(telemetry.registry, "essential").page(Snapshot(0.0))).decode()
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    expected = {
        family.name.removesuffix("_total") if family.kind == "counter" else family.name: family.kind
        for family in names.OWN.values()
    }
    assert kinds == expected
    assert "_created" not in text
