"""Checks of receivers, of routes, and of who is told when nobody else is."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from tocsin import names
from tocsin.config import alert_checks, escalation_checks, slo_checks
from tocsin.config.faults import Path
from tocsin.config.known import Finding
from tocsin.config.models import ProcessModel, Service
from tocsin.config.receivers import Call, Receiver, Webhook
from tocsin.config.signals import alert_names
from tocsin.config.types import describe, format_duration

#: How a receiver can tell somebody.
CHANNELS = tuple(key for key in Receiver.model_fields if key != "quiet_hours")
#: Alertmanager forgets after this time, by default, that it has told something.
_RETENTION = 432000


def check_process(process: ProcessModel) -> Iterator[Finding]:
    """Findings of the process file."""
    for name, receiver in process.receivers.items():
        if not name.isprintable():
            message = f"found {describe(name)}, expected a name without line breaks and other control characters"
            yield Finding(("receivers", name), message)
        yield from _receiver(receiver, ("receivers", name))
    yield from _exists(process, process.default_receiver, ("default_receiver",))
    for key in ("watchdog", "not_ours"):
        yield from _exists(process, getattr(process.alertmanager, key), ("alertmanager", key))
    for i, route in enumerate(process.routes):
        yield from _exists(process, route.to, ("routes", i, "to"))
        if not any((route.service, route.team, route.severity, route.dimension)):
            message = "found no label, expected at least one of service, team, severity, dimension"
            yield Finding(("routes", i), message)
    if process.alertmanager.webhook is not None:
        at: Path = ("alertmanager", "webhook", "url")
        yield from _url(process.alertmanager.webhook.url, at)
        if not process.alertmanager.webhook.url.endswith(names.WEBHOOK):
            # A proxy may give it another path.
            message = (
                f"found a URL that does not end in {names.WEBHOOK}, where Tocsin takes alerts; expected that it does"
            )
            yield Finding(at, message, warning=True)
    if process.smtp is not None and (process.smtp.username is None) != (process.smtp.password_file is None):
        have, need = "username", "password_file"
        if process.smtp.username is None:
            have, need = need, have
        yield Finding(("smtp", have), f"found {have} alone, expected {need} beside it", (("smtp", need),))
    yield from _timing(process)


def check_routes(process: ProcessModel, services: Sequence[Service]) -> Iterator[Finding]:
    """Findings of the routes, beside all services."""
    there = {
        "service": {service.service for service in services},
        "team": {service.team for service in services if service.team is not None},
    }
    for i, route in enumerate(process.routes):
        for key, known in there.items():
            found = getattr(route, key)
            if found is not None and found not in known:
                words = ", ".join(sorted(known)) or "there is none"
                yield Finding(("routes", i, key), f"found {describe(found)}, expected one of the {key}s ({words})")


def _exists(process: ProcessModel, name: str | None, at: Path) -> Iterator[Finding]:
    if name is not None and name not in process.receivers:
        there = ", ".join(sorted(process.receivers)) or "none is defined"
        yield Finding(at, f"found {describe(name)}, expected one of the receivers ({there})", (("receivers",),))


def _receiver(receiver: Receiver, at: Path) -> Iterator[Finding]:
    if all(getattr(receiver, key) is None for key in CHANNELS):
        yield Finding(at, f"found nobody to tell, expected at least one of {', '.join(CHANNELS)}")
    for key in CHANNELS:
        channel = getattr(receiver, key)
        if isinstance(channel, Call):
            yield from _one_of(channel, ("pagerduty", "webhook"), (*at, key))
            yield from _webhook(channel.webhook, (*at, key, "webhook"))
        elif isinstance(channel, Webhook):
            yield from _webhook(channel, (*at, key))
    if receiver.jira is not None:
        yield from _url(receiver.jira.api_url, (*at, "jira", "api_url"))


def _webhook(model: Webhook | None, at: Path) -> Iterator[Finding]:
    if model is not None:
        yield from _one_of(model, ("url", "url_file"), at)
        if model.url is not None:
            yield from _url(model.url, (*at, "url"))


def _one_of(model: Call | Webhook, keys: tuple[str, str], at: Path) -> Iterator[Finding]:
    given = [key for key in keys if getattr(model, key) is not None]
    if len(given) != 1:
        found = "both" if given else "neither"
        yield Finding(at, f"found {found}, expected exactly one of {' and '.join(keys)}")


def _url(url: str, at: Path) -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if "@" in url.partition("?")[0]:
        # Not shown: what stands before the @ may be a password.
        yield Finding(at, "found credentials in the URL, expected them in a file")
    elif not good or not url.isascii() or not url.isprintable() or " " in url:
        yield Finding(at, f"found {describe(url)}, expected a URL such as https://example.com/hook")


def _timing(process: ProcessModel) -> Iterator[Finding]:
    timing = process.alertmanager.timing
    every = timing.group_interval
    for key in ("repeat_interval", "page_repeat_interval"):
        at, value = ("alertmanager", "timing", key), getattr(timing, key)
        if value % every:
            message = f"found {format_duration(value)}, expected a multiple of group_interval"
            yield Finding(at, f"{message} ({format_duration(every)})", (("alertmanager", "timing", "group_interval"),))
        elif value > _RETENTION:
            yield Finding(at, f"found {format_duration(value)}, expected at most 5d, when Alertmanager forgets")


def check_service(service: Service) -> Iterator[Finding]:
    """Findings of a service file: which alerts say that it is down."""
    there = {name for key, s in service.signals.items() for name in alert_names(service.service, key, s.alert).values()}
    for module in (slo_checks, alert_checks):
        there |= {name for name, _ in module.alert_names(service)}
    levels = {name for name, _ in escalation_checks.alert_names(service)}
    for i, name in enumerate(service.down):
        if name in levels:
            message = f"found {describe(name)}, a level of escalation, expected an alert that it follows"
            yield Finding(("down", i), message, (("escalation",),))
        elif name not in there:
            words = ", ".join(sorted(there)) or "there is none"
            yield Finding(("down", i), f"found {describe(name)}, expected an alert of this service ({words})")
