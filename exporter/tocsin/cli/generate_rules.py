"""`tocsin generate rules`: recording and alerting rules, their promtool tests, and objects for the operator."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from tocsin import __version__, names
from tocsin.cli import written
from tocsin.cli.written import Made
from tocsin.config.load import Config
from tocsin.generate import kubernetes, render, rules
from tocsin.generate.lint.readable import unreadable
from tocsin.generate.rules import GenerateError

_FOLDERS = (names.RULES, names.RULE_TESTS, names.RULE_STAND_INS, names.RULES_KUBERNETES)


@click.command("rules")
@written.options("rules/")
def rules_command(path: Path, out: Path, check: bool, prune: bool) -> None:
    """Write rules, promtool tests of them under `rules/tests/`, and PrometheusRule objects under `rules/kubernetes/`.

    Generated files of services that this configuration does not have are named, and removed with --prune; they may
    belong to another configuration. Files that were not generated are never touched.
    """
    written.write([made(written.config(path))], out, check=check, prune=prune, command="rules")


def made(config: Config) -> Made:
    """The files about rules."""
    for warning in rules.warnings(config.process, config.services):
        click.echo(f"warning: {warning}", err=True)
    count = Counter[str]()
    return Made(_texts(config, count), _FOLDERS, lambda: _said(count))


def _said(count: Counter[str]) -> str:
    recorded = f" and {count['record']} recordings" if count["record"] else ""
    return f"{count['alert']} alerts{recorded}"


def _texts(config: Config, count: Counter[str]) -> Iterator[tuple[str, str]]:
    """Every file, one at a time: a large configuration's would not fit beside each other. Counts the rules.

    Raises GenerateError when a rule is not PromQL.
    """
    services = {service.service: service for service in config.services}
    for name, data in kubernetes.files(rules.each(config.process, config.services)):
        if found := list(unreadable(name, data, services.get(name.rpartition("/")[2].removesuffix(".yml")))):
            raise GenerateError("nothing is written, because Prometheus could not read it:\n" + "\n".join(found))
        text = render.document(data, __version__, config.hash)
        if name.rpartition("/")[0] == names.RULES:
            count.update(
                "alert" if "alert" in rule else "record" for group in data["groups"] for rule in group["rules"]
            )
        elif name.startswith(names.RULES_KUBERNETES) and len(text) > kubernetes.MAX_BYTES:
            click.echo(f"warning: {name} has {len(text)} bytes; the operator takes {kubernetes.MAX_BYTES}", err=True)
        yield name, text
