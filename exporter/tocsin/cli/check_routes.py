"""`tocsin check routes`: who is told of every alert that the rules can make, by our own tree and by amtool."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

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
    faults = [*table.faults(site, found.node, rows), *table.lost(rows)]
    text = render.document(whole, __version__, config.hash) if file is None else None
    asked = _amtool(site, rows, text, file)
    warnings = [*found.notes, *(said for said in table.warnings(site, rows) if said not in faults)]
    warnings += [asked.why_not] if asked.too_old else []
    faults += asked.faults
    if output == "json":
        report = {"valid": not faults, "routes": [row.data() for row in rows], "faults": faults, "warnings": warnings}
        click.echo(orjson.dumps(report | {"amtool": not asked.why_not}, option=orjson.OPT_INDENT_2).decode())
    else:
        _show(rows, faults, warnings, asked.why_not)
    if faults:
        raise SystemExit(_FAULTS)
    if strict and warnings:
        raise SystemExit(_WARNINGS)


def _show(rows: Sequence[Row], faults: Sequence[str], warnings: Sequence[str], why_not: str) -> None:
    for row in rows:
        labels = ", ".join(f"{name}={value}" for name, value in row.labels.items())
        when = f" ({row.when})" if row.when else ""
        click.echo(f"{labels}\n    -> {', '.join(row.receivers)}{when}")
    for warning in warnings:
        click.echo(f"WARNING: {warning}", err=True)
    for fault in faults:
        click.echo(f"FAILED: {fault}", err=True)
    how = f"{why_not}: only Tocsin's own checks were made" if why_not else "amtool agrees"
    if not faults:
        click.echo(f"SUCCESS: {len(rows)} label sets reach whom they should; {how}")


class _Asked(NamedTuple):
    """What amtool finds otherwise, or why it was not asked."""

    faults: Sequence[str] = ()
    why_not: str = ""
    too_old: bool = False


def _amtool(site: Site, rows: Sequence[Row], text: str | None, file: Path | None) -> _Asked:
    amtool = shutil.which(_AMTOOL)
    if amtool is None:
        return _Asked(why_not="amtool is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        config = file or Path(folder, "alertmanager.yml")
        if text is not None:
            config.write_text(text, encoding="utf-8")
        refused, said = _run(amtool, "check-config", str(config))
        if refused:
            version = _version(amtool)
            if version is not None and version < site.version:
                return _Asked((), _older(version, site), too_old=True)
            return _Asked([f"amtool refuses {'what would be generated' if file is None else file}: {said}"])
        return _Asked(_each(amtool, config, rows))


def _each(amtool: str, config: Path, rows: Sequence[Row]) -> list[str]:
    """What amtool says against each row; a terminal sees how far it is."""
    with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
        found = pool.map(lambda row: _ask(amtool, config, row), rows)
        if not sys.stderr.isatty():
            return [said for said in found if said]
        with click.progressbar(found, length=len(rows), label="amtool", file=sys.stderr) as answers:
            return [said for said in answers if said]


def _version(amtool: str) -> tuple[int, ...] | None:
    """The version that amtool says it is; None where it says something else."""
    match = re.search(r"version (\d+)\.(\d+)", _run(amtool, "--version")[1])
    return None if match is None else (int(match[1]), int(match[2]))


def _older(version: tuple[int, ...], site: Site) -> str:
    found = ".".join(map(str, version))
    return (
        f"amtool {found} is older than target.alertmanager {site.process.target.alertmanager} and cannot load the file"
    )


def _ask(amtool: str, config: Path, row: Row) -> str:
    labels = [str(equal(name, value)) for name, value in row.labels.items()]
    failed, said = _run(amtool, "config", "routes", "test", f"--config.file={config}", "--", *labels)
    expected = ",".join(row.receivers)
    if not failed and said == expected:
        return ""
    return f"amtool sends {', '.join(labels)} to {said}, expected {expected}"


def _run(amtool: str, *arguments: str) -> tuple[int, str]:
    """Exit status, and what it says."""
    done = subprocess.run(  # noqa: S603  the program was found on PATH by its name
        [amtool, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        # What is wrong stands in the output, and that something is among the errors.
        return done.returncode, " ".join(f"{done.stdout} {done.stderr}".split())
    return 0, done.stdout.removesuffix("\n") or done.stderr.strip()


def _load(path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as error:
        raise Failed(f"{path} is not a valid configuration:\n{error}") from None
