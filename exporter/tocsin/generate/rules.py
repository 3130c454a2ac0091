"""All rule files of a configuration, and the promtool tests beside them, as plain data by relative path."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from tocsin import names
from tocsin.config.models import ProcessModel, Service, Signal
from tocsin.generate import (
    alerts,
    escalation,
    escalation_cases,
    meta,
    meta_cases,
    promtool,
    records,
    slo,
    slo_cases,
    tier,
    tier_cases,
)

Groups = Iterable[dict[str, Any]]
Make = Callable[[Service, ProcessModel], Groups]


class GenerateError(Exception):
    """A configuration that is valid and cannot be turned into files; trying again without a change is useless."""


class Kind(NamedTuple):
    """A kind of rule: what it adds to the files of a service."""

    groups: Make
    """Rule groups."""
    cases: Make
    """promtool tests of them."""
    stand_ins: Make = lambda _service, _process: ()
    """Groups for the tests alone: the same alerts on plain series, where an expression is beyond what we can feed."""


#: Recordings, and every kind of alert, in the order in which they are written.
KINDS = (
    Kind(records.groups, records.cases),
    Kind(
        lambda service, process: tier.groups(service, process.target),
        lambda service, process: tier_cases.cases(service, process.target),
    ),
    Kind(alerts.groups, alerts.cases, alerts.stand_ins),
    Kind(
        lambda service, process: slo.groups(service, process.target),
        lambda service, process: slo_cases.cases(service, process.target),
    ),
    Kind(
        lambda service, process: escalation.groups(service, process.target),
        lambda service, process: escalation_cases.cases(service, process.target),
    ),
)


def files(process: ProcessModel, services: Sequence[Service]) -> dict[str, dict[str, Any]]:
    """Rules and tests, each as it is to be written; GenerateError when two would need the same file."""
    return dict(each(process, services))


def each(process: ProcessModel, services: Sequence[Service]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same file by file, so that not all of them need room at once."""
    for service in services:
        if service.service == names.META:
            raise GenerateError(
                f"a service cannot be called {names.META!r}: {_rules(names.META)} is about Tocsin itself"
            )
    for service in services:
        yield from _of(service, process).items()
    target = process.target
    cases = list(meta_cases.cases(services, target))
    yield _rules(names.META), {"groups": [meta.group(services, target)]}
    yield _tests(names.META), promtool.document([f"../{names.META}.yml"], target.evaluation_interval, cases)


def _of(service: Service, process: ProcessModel) -> dict[str, dict[str, Any]]:
    """The files of one service; none where it has no rule."""
    name = service.service
    groups = _distinct(group for kind in KINDS for group in kind.groups(service, process))
    if not groups:
        return {}
    out: dict[str, dict[str, Any]] = {_rules(name): {"groups": groups}}
    tested = [f"../{name}.yml"]
    if stand_ins := _distinct(group for kind in KINDS for group in kind.stand_ins(service, process)):
        out[f"{names.RULE_STAND_INS}/{name}.yml"] = {"groups": stand_ins}
        tested.append(f"{names.RULE_STAND_INS.removeprefix(names.RULE_TESTS)[1:]}/{name}.yml")
    cases = [case for kind in KINDS for case in kind.cases(service, process)]
    return out | {_tests(name): promtool.document(tested, process.target.evaluation_interval, cases)}


def _distinct(groups: Groups) -> list[dict[str, Any]]:
    """Groups with names of their own: a signal may be called as the group of another kind."""
    out: list[dict[str, Any]] = []
    taken: set[str] = set()
    for group in groups:
        name, n = group["name"], 2
        while name in taken:
            name, n = f"{group['name']}-{n}", n + 1
        taken.add(name)
        out.append({**group, "name": name})
    return out


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
        own = any(s.alert for s in service.signals.values()) or alerts.lack_runbook(service)
        if service.links.runbook is None and own:
            found.append(f"{service.service}: links.runbook is not given, so its alerts have no runbook_url")
    return found


def _counts_grades(signal: Signal) -> bool:
    return any(alert.for_ is None for alert in signal.alert.values())


def _rules(name: str) -> str:
    return f"{names.RULES}/{name}.yml"


def _tests(name: str) -> str:
    return f"{names.RULE_TESTS}/{name}.yml"
