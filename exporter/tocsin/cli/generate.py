"""`tocsin generate`: the files for Prometheus, Alertmanager and Grafana that belong to a configuration."""

from pathlib import Path

import click

from tocsin import names
from tocsin.cli import generate_alertmanager, generate_dashboards, generate_rules, written
from tocsin.cli.serve import DEFAULT_ADDRESS
from tocsin.generate import prometheus as snippet
from tocsin.generate.rules import GenerateError


@click.group()
def generate() -> None:
    """Write what Prometheus, Alertmanager and Grafana need beside Tocsin, from the same configuration."""


@generate.command("all")
@written.options("rules/, alertmanager/ and dashboards/")
@generate_dashboards.places
def all_command(path: Path, out: Path, check: bool, prune: bool, tocsin_url: str, prometheus_url: str | None) -> None:
    """Write everything that the other verbs write, all of it or nothing."""
    config = written.config(path)
    try:
        made = [
            generate_rules.made(config),
            generate_alertmanager.made(config),
            generate_dashboards.made(config, tocsin_url, prometheus_url),
        ]
    except GenerateError as error:
        raise written.refused(error) from None
    written.write(made, out, check=check, prune=prune, command="all")


@generate.command("prometheus")
@written.config_file
@click.option(
    "--target",
    default=f"127.0.0.1:{DEFAULT_ADDRESS.rpartition(':')[2]}",
    show_default=True,
    help="HOST:PORT where Prometheus reaches Tocsin.",
)
@click.option(
    "--rules", "folder", default=names.RULES, show_default=True, help="Folder of the rules, as Prometheus sees it."
)
def prometheus_command(path: Path, target: str, folder: str) -> None:
    """Print the part of prometheus.yml that scrapes Tocsin and loads its rules."""
    click.echo(snippet.text(written.config(path).process, target, folder), nl=False)


generate.add_command(generate_rules.rules_command)
generate.add_command(generate_alertmanager.alertmanager_command)
generate.add_command(generate_dashboards.dashboards_command)
