"""What `tocsin init` proposes: every line of the catalogue is a signal that passes check."""

from pathlib import Path

import pytest
import yaml

from tocsin.config.load import load
from tocsin.config.service import Service
from tocsin.generate.starter import CATALOGUE, Known, process_file, recognised, service_file

EVERYTHING = {name for known in CATALOGUE for name in known.needs}


def test_nothing_is_recognised_in_nothing() -> None:
    assert recognised(()) == []
    assert recognised({"up"}) == []


def test_a_signal_needs_all_of_its_metrics() -> None:
    memory = {"node_memory_MemAvailable_bytes"}
    assert recognised(memory) == []
    assert [known.signal for known in recognised(memory | {"node_memory_MemTotal_bytes"})] == ["memory"]


@pytest.mark.parametrize("known", CATALOGUE, ids=lambda known: f"{known.service}/{known.signal}")
def test_every_signal_names_its_metrics_and_labels_in_its_expression(known: Known) -> None:
    for name in known.needs:
        assert name in known.expr
    for label in known.by:
        assert label in known.expr or known.expr == known.needs[0] or known.signal == "memory"


def test_no_signal_is_there_twice() -> None:
    assert len({(known.service, known.signal) for known in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("kind", ["prometheus", "victoriametrics"])
def test_the_whole_catalogue_passes_check_without_a_warning_and_nothing_pages(tmp_path: Path, kind: str) -> None:
    (tmp_path / "services").mkdir()
    for service in {known.service for known in CATALOGUE}:
        data = service_file(service, [known for known in recognised(EVERYTHING) if known.service == service])
        (tmp_path / "services" / f"{service}.yml").write_text(yaml.safe_dump(data))
    (tmp_path / "tocsin.yml").write_text(yaml.safe_dump(process_file("http://127.0.0.1:9090", kind)))
    config = load(tmp_path / "tocsin.yml")
    assert sum(len(service.signals) for service in config.services) == len(CATALOGUE)
    assert config.warnings == ()
    assert config.process.source.kind == kind
    assert not any(alert.page for signal in _signals(config.services) for alert in signal.alert.values())


def _signals(services: tuple[Service, ...]) -> list[object]:
    return [signal for service in services for signal in service.signals.values()]
