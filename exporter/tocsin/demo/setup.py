"""The files of the demonstration: Tocsin's configuration, the rules made from it, Prometheus and Alertmanager."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin import __version__, names
from tocsin.config.load import Config, load
from tocsin.demo import examples, workload
from tocsin.demo.load import SCRAPE
from tocsin.demo.readings import Subject
from tocsin.generate import prometheus as snippet
from tocsin.generate import render, rules
from tocsin.generate.write import apply, compare

SERVICE = "melody-meter"
SIGNAL = "utilization"
#: The alert that has to arrive.
ALERT = names.alert_name(SERVICE, SIGNAL, "critical")
#: What the live table is about.
SUBJECT = Subject(SERVICE, SIGNAL, ALERT)
#: The alert that has to arrive because of the burst of errors.
BURN_ALERT = "ApiErrorBudgetBurn"
#: Path of the workload's page of all the other services.
FLEET_PATH = "/fleet"
_HOST = "127.0.0.1"

#: Files with the token that the webhook asks for, and with its URL.
_TOKEN, _URL = "webhook.token", "webhook.url"
#: Longest time between two evaluations of a group of rules, so that nothing is to be waited for.
_SLOWEST = "10s"


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
    config: Config


def _process(ports: Ports, directory: Path, services: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Everybody whom the examples send to is Tocsin's webhook; their calendars are those of the workload's even day."""
    webhook = {"webhook": {"url_file": _URL, "bearer_file": _TOKEN}}
    people = sorted({name for service in services.values() for name in examples.receivers(service)})
    calendars = sorted({name for service in services.values() for name in examples.calendars(service)})
    return {
        "source": {"url": f"http://{_HOST}:{ports.prometheus}"},
        "services": list(services),
        "publish": "full",
        "target": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "calendars": {name: {"multipliers": [{"times": 1}]} for name in calendars},
        "receivers": dict.fromkeys(people, webhook),
        "principals": [{"name": "alertmanager", "token_file": _TOKEN, "scopes": ["webhook"]}],
        "alertmanager": {"url": f"http://{_HOST}:{ports.alertmanager}"},
        "store": f"sqlite:///{directory.resolve() / 'tocsin.db'}",
    }


def _prometheus(ports: Ports, own: Mapping[str, Any]) -> dict[str, Any]:
    """`own` is what Tocsin generates for prometheus.yml."""
    target = f"{_HOST}:{ports.workload}"
    school = {"targets": [target], "labels": {"instance": workload.INSTANCE}}
    jobs = [
        {"job_name": workload.JOB, "static_configs": [school]},
        {
            "job_name": "fleet",
            "metrics_path": FLEET_PATH,
            "scrape_interval": f"{SCRAPE}s",
            "honor_labels": True,
            "static_configs": [{"targets": [target]}],
        },
        *own["scrape_configs"],
    ]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": own["rule_files"],
        "scrape_configs": jobs,
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{_HOST}:{ports.alertmanager}"]}]}]},
    }


def _alertmanager(url: str, token: Path) -> dict[str, Any]:
    """Alerts of the services go to Tocsin's webhook; those about Tocsin itself are shown here and go nowhere."""
    webhook = {
        "url": url,
        "send_resolved": True,
        "http_config": {"authorization": {"credentials_file": str(token)}},
    }
    to_tocsin = {
        "matchers": [f'{names.SERVICE}=~".+"', f'{names.SERVICE}!="{names.META}"'],
        "receiver": "tocsin",
        "group_by": [names.SERVICE, names.ALERTNAME, names.RESOURCE],
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
    prometheus, alertmanager, tocsin = (directory / f"{name}.yml" for name in ("prometheus", "alertmanager", "tocsin"))
    token, url = directory / _TOKEN, f"http://{_HOST}:{ports.tocsin}{names.WEBHOOK}"
    token.touch(mode=0o600)
    token.write_text(secrets.token_urlsafe(32))
    (directory / _URL).write_text(url)
    services = examples.services()
    for name, service in services.items():
        _write(directory / name, service)
    _write(tocsin, _process(ports, directory, services))
    config = load(tocsin)
    apply(directory, compare(directory, _rules(config), ()), prune=False)
    own = snippet.config(config.process, f"{_HOST}:{ports.tocsin}", str(directory / names.RULES))
    _write(prometheus, _prometheus(ports, own))
    _write(alertmanager, _alertmanager(url, token))
    return Files(prometheus, alertmanager, tocsin, config)


def _rules(config: Config) -> Iterator[tuple[str, str]]:
    """The generated rules by file, without their tests; what is evaluated every few minutes is so every few seconds."""
    for name, data in rules.each(config.process, config.services):
        if Path(name).parent == Path(names.RULES):
            groups = [_sooner(group) for group in data["groups"]]
            yield name, render.document({**data, "groups": groups}, __version__, config.hash)


def _sooner(group: Mapping[str, Any]) -> dict[str, Any]:
    slow = group.get("interval", "").endswith(("m", "h"))
    return {**group, "interval": _SLOWEST} if slow else dict(group)


def _write(file: Path, data: Mapping[str, Any]) -> None:
    file.write_text(render.to_yaml(data))
