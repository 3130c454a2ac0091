"""The tree of routes: the alerts about Tocsin, and below one route of all services one of each.

A service has two branches, for alerts that page and for all others, because these reach different channels of the same
receivers. In each: levels of escalation go to whom they name, then everybody who is told by the alerts themselves (an
alert can be several people's: these routes continue), then the default.

Pages are grouped by service, alert and resource. PagerDuty tells of a group once, so that a second resource in the
group of a page that somebody has acknowledged would wake nobody. Where it is not known which labels name the resource
of a page, each is a group of its own. What is read in a channel or a mailbox is grouped by service and alert: forty
nodes are one message with forty lines.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin import names
from tocsin.config.models import Service
from tocsin.config.types import format_duration
from tocsin.generate.alertmanager import intervals
from tocsin.generate.alertmanager.audience import Audience, audience
from tocsin.generate.alertmanager.matchers import Matcher, among, equal, given
from tocsin.generate.alertmanager.node import Node
from tocsin.generate.alertmanager.site import Site
from tocsin.generate.alertmanager.tellers import Teller, default, disjoint, levels, tellers, without, woken
from tocsin.generate.paging import pages

#: All alerts of a service; the name of one is a single line.
OURS = Matcher(names.SERVICE, "=~", ".+")
#: Labels of a group that is read, and of one that pages.
GROUP_BY = (names.SERVICE, names.ALERTNAME, names.ESCALATED)
PAGE_GROUP_BY = (*GROUP_BY, names.SIGNAL, names.RESOURCE)
#: Seconds after which the hand-over to Tocsin goes on with a group; it is a program, and can take it.
_HAND_OVER = {"group_wait": "1s", "group_interval": "10s", "repeat_interval": "1h"}
#: TocsinWatchdog is sent every minute: what calls you when it stops needs to know soon. Alertmanager looks
#: every group_interval whether more than repeat_interval has passed, which a whole number of looks never has in time.
_WATCHDOG = {"group_wait": "1s", "group_interval": "30s", "repeat_interval": "50s"}
#: By every label.
_EACH = ("...",)


@dataclass
class Tree:
    """The routes of a site, and the audiences that they tell."""

    site: Site
    audiences: dict[str, Audience] = field(default_factory=dict)

    def node(self) -> Node:
        """The route to put first under somebody's root: below it alerts about Tocsin itself, then all services."""
        first = [self._meta(), *self._remedied(), *self._hand_over()]
        routes = [*first, *(self._service(service) for service in self.site.services)]
        fallback = default(self.site, None, page=False)
        return Node(self._name(fallback), [OURS], self._quiet(fallback), options=self._options(GROUP_BY), routes=routes)

    def _remedied(self) -> Iterator[Node]:
        """Alerts about which something is done go to who does it, and to nobody else: others page where it fails."""
        if any(pages(service) for service in self.site.services):
            hook = self.site.process.alertmanager.webhook is not None
            options = {"group_by": list(GROUP_BY), **_HAND_OVER} if hook else {}
            matchers = [equal(names.REMEDIATION, "true")]
            yield Node(names.TO_TOCSIN if hook else names.NOBODY, matchers, options=options)

    def _hand_over(self) -> Iterator[Node]:
        if self.site.process.alertmanager.webhook is not None:
            options = {"group_by": list(GROUP_BY), **_HAND_OVER}
            yield Node(names.TO_TOCSIN, go_on=True, options=options)

    def _meta(self) -> Node:
        """Alerts about Tocsin go to those who run it, also those about its work for one service."""
        watchdog = self.site.process.alertmanager.watchdog
        told = None if watchdog is None else self._audience(watchdog, page=True)
        return Node(
            self._name(default(self.site, None, page=False)),
            [among(names.ALERTNAME, names.META_ALERTS)],
            self._quiet(default(self.site, None, page=False)),
            routes=[
                Node(self._name(told), [equal(names.ALERTNAME, names.ALERT_WATCHDOG)], options=_WATCHDOG),
                Node(names.NOBODY, [equal(names.SEVERITY, "none")]),
            ],
        )

    def _service(self, service: Service) -> Node:
        page = Node(
            self._name(default(self.site, service, page=True)),
            [equal(names.PAGE, "true")],
            self._mute(service, None),
            options=self._page_options(service),
            routes=self._branch(service, page=True),
        )
        told = default(self.site, service, page=False)
        return Node(
            self._name(told),
            [equal(names.SERVICE, service.service)],
            self._mute(service, told),
            routes=[page, *self._branch(service, page=False)],
        )

    def _branch(self, service: Service, *, page: bool) -> list[Node]:
        told = [*self._told(service, tellers(self.site, service), page=page)]
        nodes = []
        for i, (name, matchers, mute) in enumerate(told):
            go_on = any(not disjoint(matchers, later) for _, later, _ in told[i + 1 :])
            nodes.append(Node(name, matchers, mute, go_on))
        return [*self._levels(service, page=page), *nodes]

    def _levels(self, service: Service, *, page: bool) -> Iterator[Node]:
        below = []
        for to in levels(service):
            if (told := self._audience(to, page=page, escalated=True)) is not None:
                matchers = [equal(names.RECEIVER, to)]
                below.append(Node(told.name, matchers, self._mute(service, None if page else told)))
        if levels(service):
            fallback = default(self.site, service, page=page)
            mute = self._mute(service, None if page else fallback)
            yield Node(self._name(fallback), [given(names.ESCALATION)], mute, routes=below)

    def _told(
        self, service: Service, found: Sequence[Teller], *, page: bool
    ) -> Iterator[tuple[str, list[Matcher], list[str]]]:
        """Each teller that has a channel, less the alerts of which an earlier one tells the same people."""
        before: dict[str, list[Sequence[Matcher]]] = {}
        heard = [(teller, told) for teller in found if (told := self._audience(teller.to, page=page)) is not None]
        for teller, told in [*heard, *(self._woken(service, heard) if page else ())]:
            earlier = before.setdefault(told.name, [])
            for matchers in without(teller.matchers, earlier):
                yield told.name, matchers, self._mute(service, None if page else told)
            earlier.append(teller.matchers)

    def _woken(self, service: Service, heard: Sequence[tuple[Teller, Audience]]) -> Iterator[tuple[Teller, Audience]]:
        """The default, for pages of which nobody else is told who can be woken."""
        found = woken(self.site, service)
        if found is not None and not all(told.wakes for _, told in heard):
            self._name(found)
            for matchers in without((), [teller.matchers for teller, told in heard if told.wakes]):
                yield Teller(found.receiver, tuple(matchers)), found

    def _audience(self, name: str, *, page: bool, escalated: bool = False) -> Audience | None:
        found = audience(name, self.site.receiver(name), page=page, escalated=escalated)
        return None if found is None else self.audiences.setdefault(found.name, found)

    def _name(self, told: Audience | None) -> str:
        if told is None:
            return names.NOBODY
        return self.audiences.setdefault(told.name, told).name

    def _quiet(self, told: Audience | None) -> list[str]:
        hours = () if told is None else self.site.receiver(told.receiver).quiet_hours
        return [intervals.quiet_name(told.receiver)] if told is not None and hours else []

    def _mute(self, service: Service, told: Audience | None) -> list[str]:
        return [*intervals.windows_of(self.site, service), *self._quiet(told)]

    def _options(self, group_by: Sequence[str]) -> dict[str, Any]:
        timing = self.site.process.alertmanager.timing
        times = {key: getattr(timing, key) for key in ("group_wait", "group_interval", "repeat_interval")}
        return {"group_by": list(group_by), **{key: format_duration(value) for key, value in times.items()}}

    def _page_options(self, service: Service) -> dict[str, Any]:
        timing = self.site.process.alertmanager.timing
        wait, repeat = max(1, timing.group_wait // 3), timing.page_repeat_interval
        times = {"group_wait": format_duration(wait), "repeat_interval": format_duration(repeat)}
        return {"group_by": list(_EACH if _unnamed(service) else PAGE_GROUP_BY), **times}


def _unnamed(service: Service) -> bool:
    """Whether a page of the service can have labels that nobody knows, and no `resource`."""
    for alert in (*service.thresholds.values(), *service.rate_of_change):
        signal = service.signals.get(alert.signal or "")
        if alert.page and alert.by is None and (signal is None or signal.by is None):
            return True
    return any(alert.page and alert.by is None for alert in service.alerts)
