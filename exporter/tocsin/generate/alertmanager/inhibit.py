"""Which alert hides which. A hidden alert tells nobody; Alertmanager, the rules and Tocsin know it all the same.

Every rule is about one kind of services on both sides, so that none can touch what is not ours. What pages is hidden
by nothing but by a page that says that the service is down, and a ticket by nothing at all.

Two labels that are both absent are equal to Alertmanager. So what a rule equates has to be given on both sides, unless
its absence means the same: a signal without a resource is about the whole service.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import Service
from tocsin.generate.alertmanager.matchers import Matcher, among, equal, given, texts, unequal
from tocsin.generate.alertmanager.severity import HIDES, TICKET
from tocsin.generate.alertmanager.site import Site


def rules(site: Site) -> list[dict[str, Any]]:
    """All rules of inhibition."""
    return [*_severities(site), *(rule for service in site.services if service.down for rule in _down(service))]


def _severities(site: Site) -> Iterator[dict[str, Any]]:
    """The worst hides the lesser: of the same signal and resource, and of the same dimension."""
    for scale, (hiding, hidden) in HIDES.items():
        theirs = [service.service for service in site.services if service.severity == scale]
        if not theirs:
            continue
        ours = among(names.SERVICE, theirs)
        source = [ours, among(names.SEVERITY, hiding)]
        target = [ours, among(names.SEVERITY, hidden), unequal(names.PAGE, "true")]
        for label, alike in ((names.SIGNAL, [names.SIGNAL, names.RESOURCE]), (names.DIMENSION, [names.DIMENSION])):
            there = given(label)
            yield _rule([*source, there], [*target, there], [names.SERVICE, *alike])


def _down(service: Service) -> Iterator[dict[str, Any]]:
    """What says that the service is down hides its symptoms, and their escalation; its own goes on."""
    ours, down = equal(names.SERVICE, service.service), among(names.ALERTNAME, service.down)
    others = [
        ours,
        ~among(names.ALERTNAME, [*service.down, *names.META_ALERTS]),
        ~among(names.ESCALATED, service.down),
        unequal(names.SEVERITY, TICKET),
    ]
    page = equal(names.PAGE, "true")
    yield _rule([ours, down], [*others, ~page], [names.SERVICE])
    yield _rule([ours, down, page], [*others, page], [names.SERVICE])


def _rule(source: Sequence[Matcher], target: Sequence[Matcher], alike: list[str]) -> dict[str, Any]:
    return {"source_matchers": texts(source), "target_matchers": texts(target), "equal": alike}
