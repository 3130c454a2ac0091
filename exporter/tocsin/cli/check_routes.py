"""`tocsin check routes`: who is told of every alert that the rules can make, by our own tree and by amtool."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import orjson

from tocsin import __version__
from tocsin.cli.failure import Failed
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load
from tocsin.generate import render
from tocsin.generate.alertmanager import build, table
from tocsin.generate.alertmanager.matchers import equal
from tocsin.generate.alertmanager.site import Refused, Site
from tocsin.generate.alertmanager.table import Row

_FAULTS, _WARNINGS = 1, 3
_AMTOOL = "amtool"


@click.command("routes")
@click.option("--config.file", "path", required=True, type=click.Path(path_type=Path), help="The process file.")
@click.option("--alertmanager.config", "file", type=click.Path(path_type=Path), help="Ask this file of Alertmanager.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@click.option("--strict", is_flag=True, help="Exit with 3 when there are warnings.")
def check_routes(path: Path, file: Path | None, output: str, strict: bool) -> None:
    """Show whom each alert reaches, and check that it does.

    Nothing may fall through to the default of the whole configuration, and no level of escalation may be sent by the
    rules and by the responder. amtool is asked too, where it is on PATH: about what would be generated, or about the
    file of --alertmanager.config, which may be your own with Tocsin's part in it.
    """
    config = _load(path)
    site = Site(config.process, config.services)
    rows = table.rows(site)
    try:
        whole, found = build.whole(site)
    except Refused as error:
        raise Failed(str(error)) from None
    faults = list(table.faults(site, found.node, rows))
    text = render.document(whole, __version__, config.hash) if file is None else None
    asked = _amtool(rows, text, file)
    faults += asked or []
    warnings = [*found.notes, *table.warnings(site, rows)]
    if output == "json":
        report = {"valid": not faults, "routes": [row.data() for row in rows], "faults": faults, "warnings": warnings}
        click.echo(orjson.dumps(report | {"amtool": asked is not None}, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(rows, faults, warnings, amtool=asked is not None)
    if faults:
        raise SystemExit(_FAULTS)
    if strict and warnings:
        raise SystemExit(_WARNINGS)


def _show(rows: Sequence[Row], faults: Sequence[str], warnings: Sequence[str], *, amtool: bool) -> None:
    for row in rows:
        labels = ", ".join(f"{name}={value}" for name, value in row.labels.items())
        click.echo(f"{labels}\n    -> {', '.join(row.receivers)}")
    for warning in warnings:
        click.echo(f"WARNING: {warning}", err=True)
    for fault in faults:
        click.echo(f"FAILED: {fault}", err=True)
    how = "amtool agrees" if amtool else "amtool is not on PATH: only Tocsin's own checks were made"
    if not faults:
        click.echo(f"SUCCESS: {len(rows)} label sets reach whom they should; {how}")


def _amtool(rows: Sequence[Row], text: str | None, file: Path | None) -> list[str] | None:
    """What amtool finds otherwise; None where it is not on PATH."""
    amtool = shutil.which(_AMTOOL)
    if amtool is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        config = file or Path(folder, "alertmanager.yml")
        if text is not None:
            config.write_text(text, encoding="utf-8")
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
            return [said for said in pool.map(lambda row: _ask(amtool, config, row), rows) if said]


def _ask(amtool: str, config: Path, row: Row) -> str:
    labels = [str(equal(name, value)) for name, value in row.labels.items()]
    done = subprocess.run(  # noqa: S603  the program was found on PATH by its name
        [amtool, "config", "routes", "test", f"--config.file={config}", "--", *labels],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    expected = ",".join(row.receivers)
    if done.returncode == 0 and done.stdout == f"{expected}\n":
        return ""
    said = done.stdout.strip() or done.stderr.strip()
    return f"amtool sends {', '.join(labels)} to {said}, expected {expected}"


def _load(path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        raise Failed(f"{path} is not a valid configuration:\n{error}") from None
