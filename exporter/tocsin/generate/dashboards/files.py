"""All files of the dashboards, by relative path: the dashboards, and what loads them into Grafana."""

from collections.abc import Iterator
from typing import Any

from tocsin.config.models import ProcessModel, Service
from tocsin.generate import kubernetes, meta, render, rules
from tocsin.generate.dashboards import capacity, frame, learning, overview, own, service, slos
from tocsin.generate.dashboards.frame import Dashboard, Places
from tocsin.generate.rules import GenerateError

FOLDER = "dashboards"
KUBERNETES = f"{FOLDER}/kubernetes"
DATASOURCES = f"{FOLDER}/provisioning/datasources"
PROVIDERS = f"{FOLDER}/provisioning/dashboards"
#: Folders in which a file that nobody generates any more is left over.
FOLDERS = (FOLDER, KUBERNETES, DATASOURCES, PROVIDERS)
#: Dashboards that are about no service, which therefore cannot have these names.
RESERVED = (overview.UID, slos.UID, capacity.UID, learning.UID, own.UID)
#: A ConfigMap takes no more.
MAX_BYTES = 1_048_576


def dashboards(process: ProcessModel, services: tuple[Service, ...], places: Places) -> Iterator[Dashboard]:
    """Every dashboard; GenerateError when two would need the same file."""
    for one in services:
        if one.service in RESERVED:
            raise GenerateError(f"a service cannot be called {one.service!r}: a dashboard of its own has that name")
    for one in services:
        yield service.dashboard(one, _alerts(one, process), places)
    yield overview.dashboard(services, places)
    yield slos.dashboard(services, places)
    yield capacity.dashboard(services, process, places)
    yield learning.dashboard(places)
    yield own.dashboard(places, meta.stale_after(services, process.target))


def _alerts(one: Service, process: ProcessModel) -> list[dict[str, Any]]:
    groups = [group for kind in rules.KINDS for group in kind.groups(one, process)]
    return service.told({"groups": groups})


def texts(
    process: ProcessModel, services: tuple[Service, ...], places: Places, version: str, config_hash: str
) -> Iterator[tuple[str, str]]:
    """Every file with its text."""
    names_of = {frame.uid(one.service): one.service for one in services}
    for made in dashboards(process, services, places):
        model, name = made.model(version, config_hash), names_of.get(made.uid, made.uid)
        yield f"{FOLDER}/{name}.json", frame.text(model)
        held = _config_map(name, frame.text(model, compact=True))
        yield f"{KUBERNETES}/{name}.yml", render.document(held, version, config_hash)
    yield f"{DATASOURCES}/prometheus.yml", render.document(_datasource(process), version, config_hash)
    yield f"{PROVIDERS}/tocsin.yml", render.document(_provider(), version, config_hash)


def _config_map(name: str, text: str) -> dict[str, Any]:
    """A ConfigMap as the sidecar of Grafana's chart looks for it: by this label."""
    called = kubernetes.object_name(name)
    labels = {
        "app.kubernetes.io/name": "tocsin",
        "app.kubernetes.io/instance": called,
        "app.kubernetes.io/component": "dashboards",
        "app.kubernetes.io/managed-by": "tocsin",
        "grafana_dashboard": "1",
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": called, "labels": labels, "annotations": {"grafana_folder": "Tocsin"}},
        "data": {f"{name}.json": text},
    }


def _datasource(process: ProcessModel) -> dict[str, Any]:
    """The source as a datasource; credentials are not written, Grafana has its own ways for them."""
    source = {
        # Grafana finds a datasource by its name, and would change one of somebody else.
        "name": "Tocsin",
        "uid": "tocsin-prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": process.source.url,
        "isDefault": False,
        "editable": False,
        "jsonData": {
            "httpMethod": "POST",
            "manageAlerts": True,
            "prometheusType": _TYPES[process.source.kind],
            "timeInterval": f"{process.target.scrape_interval}s",
        },
    }
    return {"apiVersion": 1, "datasources": [source]}


#: What Grafana calls each kind of source; VictoriaMetrics is to it a Prometheus.
_TYPES = {"prometheus": "Prometheus", "thanos": "Thanos", "mimir": "Mimir", "victoriametrics": "Prometheus"}


def _provider() -> dict[str, Any]:
    """Where Grafana finds the files: the folder is that of its image; mount them there."""
    provider = {
        "name": "tocsin",
        "folder": "Tocsin",
        "type": "file",
        "disableDeletion": False,
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": "/var/lib/grafana/dashboards/tocsin", "foldersFromFilesStructure": False},
    }
    return {"apiVersion": 1, "providers": [provider]}
