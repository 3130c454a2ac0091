"""`tocsin generate dashboards`: the Grafana dashboards that belong to a configuration."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from tocsin import __version__
from tocsin.cli import written
from tocsin.cli.serve import DEFAULT_ADDRESS
from tocsin.cli.written import Made
from tocsin.config.load import Config
from tocsin.generate.dashboards import files
from tocsin.generate.dashboards.frame import Places

#: Where a browser on the same machine finds Tocsin.
TOCSIN_URL = f"http://127.0.0.1:{DEFAULT_ADDRESS.rpartition(':')[2]}"


_Command = TypeVar("_Command", bound=Callable[..., Any])


def places(command: _Command) -> _Command:
    """The options about links."""
    link = "Where browsers find Tocsin, for links to explanations."
    command = click.option("--prometheus-url", help="Where browsers find the rules; `source.url` by default.")(command)
    return click.option("--tocsin-url", default=TOCSIN_URL, show_default=True, help=link)(command)


@click.command("dashboards")
@written.options("dashboards/")
@places
def dashboards_command(
    path: Path, out: Path, check: bool, prune: bool, tocsin_url: str, prometheus_url: str | None
) -> None:
    """Write a dashboard for each service and five about all of them, and what loads them into Grafana.

    Beside `dashboards/*.json`: provisioning files under `dashboards/provisioning/`, ConfigMaps for the sidecar of
    Grafana's chart under `dashboards/kubernetes/`. Files that were not generated are never touched.
    """
    found = made(written.config(path), tocsin_url, prometheus_url)
    written.write([found], out, check=check, prune=prune, command="dashboards")


def made(config: Config, tocsin_url: str, prometheus_url: str | None) -> Made:
    """The files about dashboards."""
    links = Places(tocsin_url, prometheus_url or config.process.source.url)
    texts = _told(files.texts(config.process, config.services, links, __version__, config.hash))
    return Made(texts, files.FOLDERS, lambda: f"{len(config.services) + len(files.RESERVED)} dashboards")


def _told(texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The same, with a warning for each ConfigMap that is too large to be one."""
    for name, text in texts:
        if name.startswith(files.KUBERNETES) and len(text) > files.MAX_BYTES:
            click.echo(f"warning: {name} has {len(text)} bytes; a ConfigMap takes {files.MAX_BYTES}", err=True)
        yield name, text
