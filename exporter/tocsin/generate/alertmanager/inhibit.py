"""Which alert hides which: a hidden alert tells nobody, Tocsin's webhook included. The rules know it all the same.

Alertmanager keeps back the end of a hidden alert too, and never sends it later. So what pages is hidden by nothing: who
was woken before would not hear that it is over, and PagerDuty's incident would stay open. Nor are tickets, each of
which somebody has to work on, and alerts about Tocsin itself. Levels of escalation are hidden by a service that is
down, and by no severity.

Every rule is about one kind of services on both sides, so that none can touch what is not ours. Two labels that are
both absent are equal to Alertmanager, so what a rule equates is asked for on both sides.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tocsin import names
from tocsin.config import escalation_checks
from tocsin.config.escalation import parse_when
from tocsin.config.models import Service
from tocsin.config.signals import alert_names
from tocsin.generate.alertmanager.matchers import Matcher, among, equal, given, texts, unequal
from tocsin.generate.alertmanager.severity import HIDES, TICKET
from tocsin.generate.alertmanager.site import Site
from tocsin.generate.paging import pages, paging

#: What a rule equates beside the service: the same signal and resource, or the same dimension.
_ALIKE = ((names.SIGNAL, names.RESOURCE), (names.DIMENSION,))


def rules(site: Site) -> list[dict[str, Any]]:
    """All rules of inhibition."""
    return [*_severities(site), *(rule for service in site.services if service.down for rule in _down(service))]


def _severities(site: Site) -> Iterator[dict[str, Any]]:
    """The worst hides the lesser: of the same signal and resource, and of the same dimension."""
    for scale, (hiding, hidden) in HIDES.items():
        theirs = [service.service for service in site.services if service.severity == scale]
        if not theirs:
            continue
        ours = [among(names.SERVICE, theirs), ~among(names.ALERTNAME, names.META_ALERTS)]
        source = [*ours, among(names.SEVERITY, hiding)]
        # A level is told to other people than what it follows, and they are told of nothing else.
        target = [*ours, among(names.SEVERITY, hidden), unequal(names.PAGE, "true"), equal(names.ESCALATION, "")]
        for alike in _ALIKE:
            there = [given(label) for label in alike]
            yield _rule([*source, *there], [*target, *there], [names.SERVICE, *alike])


def _down(service: Service) -> Iterator[dict[str, Any]]:
    """What says that the service is down hides its symptoms, and their escalation; its own goes on."""
    # Where something is done about it first, two alerts say so.
    down = list(dict.fromkeys(name for one in service.down for name in (one, paging(service, one))))
    source = [equal(names.SERVICE, service.service), among(names.ALERTNAME, down)]
    symptoms = [
        equal(names.SERVICE, service.service),
        ~among(names.ALERTNAME, [*down, *names.META_ALERTS]),
        ~among(names.ESCALATED, down),
        unequal(names.SEVERITY, TICKET),
        unequal(names.PAGE, "true"),
        *([equal(names.REMEDIATION, "")] if pages(service) else []),
    ]
    own = dict(_own_levels(service))
    spared = [~among(names.ESCALATION, own)] if own else []
    yield _rule(source, [*symptoms, *spared], [names.SERVICE])
    for policy, (signals, others) in own.items():
        if others:
            theirs = [equal(names.ESCALATION, policy), given(names.SIGNAL), ~among(names.SIGNAL, signals)]
            yield _rule(source, [*symptoms, *theirs], [names.SERVICE])


def _own_levels(service: Service) -> Iterator[tuple[str, tuple[list[str], bool]]]:
    """Policies about tiers that follow what says that the service is down: by which signals, and whether by others.

    Their levels have no label that names the alert that they follow, but that of the signal. A share of all resources
    has none: it goes on.
    """
    for name, policy in service.escalation.items():
        if parse_when(policy.when).tier is None or not escalation_checks.levels(service, name):
            continue
        first = escalation_checks.first_alerts(service, policy)
        signals = [signal for signal, keys in first.items() if _names(service, signal, keys) & set(service.down)]
        if signals:
            yield name, (signals, len(signals) < len(first))


def _names(service: Service, signal: str, keys: Sequence[str]) -> set[str]:
    found = alert_names(service.service, signal, service.signals[signal].alert)
    return {found[key] for key in keys}


def _rule(source: Sequence[Matcher], target: Sequence[Matcher], alike: list[str]) -> dict[str, Any]:
    return {"source_matchers": texts(source), "target_matchers": texts(target), "equal": alike}
