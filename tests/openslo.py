"""OpenSLO documents for tests, and the configuration that they are part of."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load

GOOD = 'sum(rate(http_requests_total{code!~"5.."}[5m]))'
TOTAL = "sum(rate(http_requests_total[5m]))"
PROCESS = "source: {url: http://127.0.0.1:9090}\nservices: [services/*.yml]\n"


def metric(query: str, **more: Any) -> dict[str, Any]:
    found = {"type": "Prometheus", "spec": {"query": query}, **more}
    return {"metricSource": {key: value for key, value in found.items() if value is not None}}


def ratio(good: str = GOOD, total: str = TOTAL, kind: str = "good", **more: Any) -> dict[str, Any]:
    found = {"counter": True, kind: metric(good), "total": metric(total), **more}
    return {"ratioMetric": {key: value for key, value in found.items() if value is not None}}


def document(kind: str, name: str, spec: Any = None, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "openslo/v1", "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec or {}}


def inline(indicator: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "inline"}, "spec": indicator}


def slo(name: str = "api", **spec: Any) -> dict[str, Any]:
    """An SLO; keys of its spec that are None are left out."""
    whole = {
        "service": "shop",
        "indicator": inline(ratio()),
        "timeWindow": [{"duration": "30d", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"target": 0.999}],
        **spec,
    }
    return document("SLO", name, {key: value for key, value in whole.items() if value is not None})


def write(folder: Path, *documents: dict[str, Any], name: str = "a") -> None:
    text = yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=False, explicit_start=True)
    (folder / "services" / f"{name}.yml").write_text(text)


def read(folder: Path, *documents: dict[str, Any]) -> Config:
    write(folder, *documents)
    return load(folder / "tocsin.yml")


def refused(folder: Path, *documents: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(folder, *documents)
    return [f"{fault.path}: {fault.message}" for fault in caught.value.faults]


def warned(config: Config) -> list[str]:
    return [f"{warning.path}: {warning.message}" for warning in config.warnings]
