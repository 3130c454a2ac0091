"""The part of prometheus.yml that scrapes Tocsin and loads its rules."""

from typing import Any

from tocsin.config.models import ProcessModel
from tocsin.config.types import format_duration
from tocsin.generate.render import to_yaml

_ALERTING = """\
# Alerts go where this says; you may have it already.
# alerting:
#   alertmanagers:
#     - static_configs:
#         - targets: ["127.0.0.1:9093"]
"""


def config(process: ProcessModel, target: str, folder: str) -> dict[str, Any]:
    """As plain data. `target` is HOST:PORT of Tocsin, `folder` that of the rules as Prometheus sees it."""
    return {
        "rule_files": [f"{folder.rstrip('/')}/*.yml"],
        "scrape_configs": [
            {
                "job_name": "tocsin",
                "honor_labels": True,
                "scrape_interval": format_duration(process.target.scrape_interval),
                "static_configs": [{"targets": [target]}],
            }
        ],
    }


def text(process: ProcessModel, target: str, folder: str) -> str:
    """As YAML to paste, with what to know about it."""
    return (
        "# For prometheus.yml: add the entries to the lists of the same name there, then reload Prometheus.\n"
        "# honor_labels keeps the labels of the watched resources as Tocsin writes them.\n"
        "# The scrape interval is target.scrape_interval of the configuration: `for` of the rules is made for it.\n"
        + to_yaml(config(process, target, folder))
        + _ALERTING
    )
