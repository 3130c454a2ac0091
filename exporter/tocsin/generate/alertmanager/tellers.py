"""Who is told of which alerts of a service: first steps of escalation, routes by labels, and the default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tocsin import names
from tocsin.config import escalation_checks
from tocsin.config.escalation import parse_when
from tocsin.config.models import Escalation, Route, Service
from tocsin.config.signals import alert_names
from tocsin.generate.alertmanager.audience import Audience, audience
from tocsin.generate.alertmanager.matchers import Matcher, among, equal
from tocsin.generate.alertmanager.site import Site
from tocsin.generate.paging import paging


@dataclass(frozen=True, slots=True)
class Teller:
    """Alerts of a service that have these labels are told to a receiver."""

    to: str
    matchers: tuple[Matcher, ...]


def tellers(site: Site, service: Service) -> list[Teller]:
    """Everybody who is told by the alerts themselves, beside the default; an alert can be several people's."""
    found = [*_first_steps(service)]
    found += [Teller(route.to, _matchers(route)) for route in site.process.routes if _concerns(route, service)]
    return list(dict.fromkeys(found))


def _first_steps(service: Service) -> Iterator[Teller]:
    """The first step of a policy waits for nothing, so that it is told whoever owns the policy, Tocsin down or not."""
    for policy in service.escalation.values():
        step = policy.steps[0]
        if step.after is not None or step.or_ is not None or step.if_ is not None:
            continue
        severity = parse_when(policy.when).severity
        if severity is not None:
            yield Teller(step.to, (equal(names.SEVERITY, severity),))
            continue
        if first := list(_told_first(service, policy)):
            yield Teller(step.to, (among(names.ALERTNAME, first),))


def _told_first(service: Service, policy: Escalation) -> Iterator[str]:
    """Alerts of a policy about a tier: the first ones, and all on that tier or a higher one of the same signals.

    A higher one fires beside the first and may hide it: who waits for the first must be told then too.
    """
    least = parse_when(policy.when).tier or 0
    for signal, keys in escalation_checks.first_alerts(service, policy).items():
        alerts = service.signals[signal].alert
        for key, name in alert_names(service.service, signal, alerts).items():
            if key in keys or alerts[key].tier >= least:
                yield paging(service, name)


def _concerns(route: Route, service: Service) -> bool:
    return route.service in (None, service.service) and route.team in (None, service.team)


def _matchers(route: Route) -> tuple[Matcher, ...]:
    """Of the labels that differ within a service; team is there for who reads the tree."""
    given = {names.TEAM: route.team, names.SEVERITY: route.severity, names.DIMENSION: route.dimension}
    return tuple(equal(name, value) for name, value in given.items() if value is not None)


def levels(service: Service) -> list[str]:
    """Receivers of the service's escalation levels that are alerts of their own, each once."""
    found = [level.step.to for policy in service.escalation for level in escalation_checks.levels(service, policy)]
    return list(dict.fromkeys(found))


def default(site: Site, service: Service | None, *, page: bool) -> Audience | None:
    """Who is told when nobody else is: of the service, else of all; None when that is nobody."""
    given = [service.default_receiver if service is not None else None, site.process.default_receiver]
    for name in given:
        if name is not None and (found := audience(name, site.receiver(name), page=page)):
            return found
    return None


def woken(site: Site, service: Service) -> Audience | None:
    """Who is told of a page beside those who cannot be woken: the default, where that can be."""
    found = default(site, service, page=True)
    return found if found is not None and found.wakes else None


def without(matchers: Sequence[Matcher], before: Sequence[Sequence[Matcher]]) -> list[list[Matcher]]:
    """These matchers, less what matched before: lists that exclude each other, one for each way not to match."""
    found = [list(matchers)]
    for earlier in before:
        if disjoint(matchers, earlier):
            continue
        ways = [[*earlier[:i], ~matcher] for i, matcher in enumerate(earlier)]
        found = [_both(one, way) for one in found for way in ways if not any(~matcher in one for matcher in way)]
    return found


def disjoint(one: Sequence[Matcher], other: Sequence[Matcher]) -> bool:
    """Whether no alert can match both, because one label would need two values."""
    values = {matcher.name: matcher.value for matcher in one if matcher.op == "="}
    return any(m.op == "=" and values.get(m.name, m.value) != m.value for m in other)


def _both(one: Sequence[Matcher], other: Sequence[Matcher]) -> list[Matcher]:
    return list(dict.fromkeys([*one, *other]))
