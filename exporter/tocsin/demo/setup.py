"""The files of the demonstration: Tocsin's configuration, the rules made from it, Prometheus and Alertmanager."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin import __version__, names
from tocsin.config.load import load
from tocsin.demo import workload
from tocsin.generate import prometheus as snippet
from tocsin.generate import render, rules
from tocsin.generate.write import apply, compare

SERVICE = "melody-meter"
SIGNAL = "utilization"
#: The alert that has to arrive.
ALERT = names.alert_name(SERVICE, SIGNAL, "critical")
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of the four servers."""

    prometheus: int
    alertmanager: int
    tocsin: int
    workload: int


@dataclass(frozen=True, slots=True)
class Files:
    """Where the configuration of each server is."""

    prometheus: Path
    alertmanager: Path
    tocsin: Path


def _process(ports: Ports, token: Path) -> dict[str, Any]:
    return {
        "source": {"url": f"http://{_HOST}:{ports.prometheus}"},
        "services": [f"{SERVICE}.yml"],
        "publish": "full",
        "target": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "principals": [{"name": "alertmanager", "token_file": token.name, "scopes": ["webhook"]}],
    }


def _service() -> dict[str, Any]:
    """A week of half hours is the baseline; what counts is the distance from the usual hour of the day."""
    return {
        "service": SERVICE,
        "team": "scheduling",
        "severity": "P0-P3",
        "signals": {
            SIGNAL: {
                "description": "Share of the bookable hours that is booked.",
                "expr": f"{workload.UTILIZATION} / 100",
                "by": ["resource"],
                "unit": "ratio",
                "interval": "2s",
                "step": "30m",
                "window": 336,
                "direction": "up",
                "limit": 1.0,
                "detect": {"zscore": {}, "seasonal": {"season": "1d"}},
                "forecast": {"horizon": "24h"},
                "alert": {
                    "critical": {"tier": 4, "grades": 2, "page": True},
                    "action": {"tier": 3, "for": "5m"},
                },
            }
        },
    }


def _prometheus(ports: Ports, own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` is what Tocsin generates for prometheus.yml."""
    school = {"targets": [f"{_HOST}:{ports.workload}"], "labels": {"instance": workload.INSTANCE}}
    jobs = [{"job_name": workload.JOB, "static_configs": [school]}, *own["scrape_configs"]]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": own["rule_files"],
        "scrape_configs": jobs,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{_HOST}:{ports.alertmanager}"]}]}]},
    }


def _alertmanager(ports: Ports, token: Path) -> dict[str, Any]:
    """Alerts of the service go to Tocsin's webhook; those about Tocsin itself are shown here and go nowhere."""
    webhook = {
        "url": f"http://{_HOST}:{ports.tocsin}/api/v2/webhook",
        "send_resolved": True,
        "http_config": {"authorization": {"credentials_file": str(token)}},
    }
    to_tocsin = {
        "matchers": [f'{names.SERVICE}="{SERVICE}"'],
        "receiver": "tocsin",
        "group_by": [names.ALERTNAME, names.RESOURCE],
        "group_wait": "1s",
        "group_interval": "5s",
        "repeat_interval": "1h",
    }
    return {
        "route": {"receiver": "nobody", "routes": [to_tocsin]},
        "receivers": [{"name": "nobody"}, {"name": "tocsin", "webhook_configs": [webhook]}],
    }


def write(directory: Path, ports: Ports) -> Files:
    """Write everything; raises ConfigError and GenerateError as `tocsin generate rules` would."""
    files = Files(*(directory / f"{name}.yml" for name in ("prometheus", "alertmanager", "tocsin")))
    token = directory / "webhook.token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_urlsafe(32))
    _write(files.tocsin, _process(ports, token))
    _write(directory / f"{SERVICE}.yml", _service())
    config = load(files.tocsin)
    data = rules.files(config.process, config.services)
    texts = {name: render.document(one, __version__, config.hash) for name, one in data.items()}
    apply(directory, compare(directory, texts, ()), prune=False)
    own = snippet.config(config.process, f"{_HOST}:{ports.tocsin}", str(directory / names.RULES))
    _write(files.prometheus, _prometheus(ports, own))
    _write(files.alertmanager, _alertmanager(ports, token))
    return files


def _write(file: Path, data: Mapping[str, Any]) -> None:
    file.write_text(render.to_yaml(data))
