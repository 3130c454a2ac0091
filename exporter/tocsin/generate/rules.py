"""All rule files of a configuration, and the promtool tests beside them, as plain data by relative path."""

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import ProcessModel, Service, Signal
from tocsin.generate import meta, meta_cases, promtool, tier, tier_cases


class GenerateError(Exception):
    """A configuration that is valid and cannot be turned into files; trying again without a change is useless."""


def files(process: ProcessModel, services: Sequence[Service]) -> dict[str, dict[str, Any]]:
    """Rules and tests, each as it is to be written; GenerateError when two would need the same file."""
    target = process.target
    out: dict[str, dict[str, Any]] = {}
    for service in services:
        if service.service == names.META:
            raise GenerateError(
                f"a service cannot be called {names.META!r}: {_rules(names.META)} is about Tocsin itself"
            )
        if groups := tier.groups(service, target):
            out |= _pair(service.service, groups, list(tier_cases.cases(service, target)), target.evaluation_interval)
    return out | _pair(
        names.META,
        [meta.group(services, target)],
        list(meta_cases.cases(services, target)),
        target.evaluation_interval,
    )


def warnings(process: ProcessModel, services: Sequence[Service]) -> list[str]:
    """What works and may surprise, one sentence each."""
    found = []
    least = process.target.scrape_interval + 2 * process.target.evaluation_interval
    for service in services:
        short = [name for name, s in service.signals.items() if s.interval < least and _counts_grades(s)]
        if short:
            found.append(
                f"{service.service}: {', '.join(short)}: the interval is shorter than a scrape and two evaluations of "
                f"Prometheus ({least}s), which may see the last of the `grades` too late and fire a grade later"
            )
        if service.links.runbook is None and any(s.alert for s in service.signals.values()):
            found.append(f"{service.service}: links.runbook is not given, so its alerts have no runbook_url")
    return found


def _counts_grades(signal: Signal) -> bool:
    return any(alert.for_ is None for alert in signal.alert.values())


def _pair(
    name: str, groups: Sequence[Mapping[str, Any]], cases: Sequence[Mapping[str, Any]], evaluation: float
) -> dict[str, dict[str, Any]]:
    tests = promtool.document(f"../{name}.yml", evaluation, cases)
    return {_rules(name): {"groups": groups}, f"{names.RULE_TESTS}/{name}.yml": tests}


def _rules(name: str) -> str:
    return f"{names.RULES}/{name}.yml"
