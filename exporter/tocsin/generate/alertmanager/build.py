"""A whole configuration of Alertmanager, and the part for somebody's own: both are made of the same parts."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tocsin import names
from tocsin.generate.alertmanager import channels, inhibit, intervals, messages
from tocsin.generate.alertmanager.audience import Audience, audience
from tocsin.generate.alertmanager.channels import Cannot, Context, Wrong
from tocsin.generate.alertmanager.node import Node
from tocsin.generate.alertmanager.routes import Tree
from tocsin.generate.alertmanager.site import Refused, Site


@dataclass(frozen=True)
class Parts:
    """What Tocsin's alerts need: `node` belongs first under a root. `notes` say what may surprise."""

    node: Node
    receivers: list[dict[str, Any]]
    time_intervals: list[dict[str, Any]]
    inhibit_rules: list[dict[str, Any]]
    notes: list[str]
    templates: str

    def data(self) -> dict[str, Any]:
        """The part as it goes into somebody's own configuration; `route` is what goes under its root."""
        return {
            "templates": [self.templates],
            "route": self.node.data(),
            "receivers": self.receivers,
            **({"time_intervals": self.time_intervals} if self.time_intervals else {}),
            **({"inhibit_rules": self.inhibit_rules} if self.inhibit_rules else {}),
        }


def parts(site: Site, *, part: bool = True) -> Parts:
    """Everything that concerns Tocsin's alerts; Refused with every reason why this Alertmanager cannot have it.

    `part`: for somebody's own configuration, whose `global` may say who sends mail.
    """
    tree = Tree(site)
    node = tree.node()
    time_intervals, reasons = intervals.made(site)
    receivers, notes = [], [*_unheard(site)]
    for name in dict.fromkeys(node.receivers()):
        if found := tree.audiences.get(name):
            made = _Receiver(site, part)
            receivers.append(made.data(found))
            reasons += made.reasons
            notes += made.notes
        elif name == names.TO_TOCSIN and site.process.alertmanager.webhook is not None:
            key, hook = channels.to_tocsin(site.process.alertmanager.webhook)
            receivers.append({"name": name, key: [hook]})
        else:
            receivers.append({"name": name})
    reasons += _same_names(site)
    if reasons:
        raise Refused(list(dict.fromkeys(reasons)))
    used = set(_mutes(node))
    templates = site.process.alertmanager.templates or (messages.FILE if part else messages.GLOB)
    kept = [interval for interval in time_intervals if interval["name"] in used]
    return Parts(node, receivers, kept, inhibit.rules(site), list(dict.fromkeys(notes)), templates)


def whole(site: Site) -> tuple[dict[str, Any], Parts]:
    """A configuration of its own, and its parts; what is not ours goes to the receiver that the process file names."""
    found = parts(site, part=False)
    root, more = Node(names.NOT_OURS), [{"name": names.NOT_OURS}]
    name = site.process.alertmanager.not_ours
    if name is not None:
        told = audience(name, site.receiver(name), page=True)
        assert told is not None  # a receiver has a channel
        made = _Receiver(site, part=False)
        more = [made.data(told) | {"name": names.NOT_OURS}]
        if made.reasons:
            raise Refused(made.reasons)
    else:
        found.notes.append("alertmanager.not_ours is not given: alerts that are not Tocsin's are told to nobody")
    data = found.data()
    tree = {**root.data(), "group_by": [names.ALERTNAME], "routes": [data.pop("route")]}
    head = {"templates": data.pop("templates"), "route": tree, "receivers": [*more, *data.pop("receivers")]}
    return {**head, **data}, found


class _Receiver:
    """One receiver: what it is made of, why it cannot be, and what may surprise."""

    def __init__(self, site: Site, part: bool) -> None:
        self._site, self._part = site, part
        self.reasons: list[str] = []
        self.notes: list[str] = []

    def data(self, told: Audience) -> dict[str, Any]:
        out: dict[str, Any] = {"name": told.name}
        for kind, model in told.channels:
            at = f"receivers.{told.receiver}.{kind}"
            try:
                made = channels.made(kind, model, Context(self._site, told.resolves(kind), self._part))
            except Cannot as error:
                made = self._stand_in(at, error)
            except Wrong as error:
                self.reasons.append(f"{at}: {error}")
                continue
            for key, one in made:
                out.setdefault(key, []).append(one)
        return out

    def _stand_in(self, at: str, error: Cannot) -> channels.Made:
        """Tocsin's webhook instead, which knows the receiver by its name."""
        target, webhook = self._site.process.target.alertmanager, self._site.process.alertmanager.webhook
        why = f"{at}: Alertmanager {target} is what files are made for, and {error.why}"
        if webhook is None:
            self.reasons.append(f'{why}; expected `target.alertmanager: "0.28"` or newer, or `alertmanager.webhook`')
            return []
        self.notes.append(f"{why}: it goes to Tocsin's webhook, whose responder has to send it")
        return [channels.to_tocsin(webhook)]


def _mutes(node: Node) -> Iterable[str]:
    yield from node.mute
    for below in node.routes:
        yield from _mutes(below)


def _same_names(site: Site) -> Iterable[str]:
    """Receivers that would be called as a variant of another one, or as one of our own."""
    found = dict.fromkeys((names.NOBODY, names.NOT_OURS, names.TO_TOCSIN), "")
    for name, receiver in site.process.receivers.items():
        for page, escalated in itertools.product((True, False), repeat=2):
            told = audience(name, receiver, page=page, escalated=escalated)
            if told is not None and found.setdefault(told.name, name) != name:
                whose = repr(found[told.name]) if found[told.name] else "one of Tocsin's own"
                yield f"receivers.{name}: Alertmanager would know it and {whose} as {told.name}, expected another name"


def _unheard(site: Site) -> Iterable[str]:
    """Alerts that nobody is told of."""
    default = site.process.default_receiver
    if default is None:
        yield "default_receiver is not given: nobody is told of alerts about Tocsin itself"
    elif audience(default, site.receiver(default), page=False) is None:
        yield f"default_receiver: {default!r} can only be paged: nobody is told of alerts about Tocsin itself"
