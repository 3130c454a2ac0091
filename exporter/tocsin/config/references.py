"""Checks between values, in one file and over all of them; each needs models whose shape is right."""

import string
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from urllib.parse import urlsplit

from tocsin import names
from tocsin.config import (
    alert_checks,
    escalation_checks,
    link,
    receiver_checks,
    records,
    remediation_checks,
    slo_checks,
    texts,
)
from tocsin.config.faults import Fault, Path
from tocsin.config.known import Finding, Known
from tocsin.config.models import Auth, Links, Maintenance, Principal, ProcessModel, Service
from tocsin.config.shape import Shaped
from tocsin.config.signals import alert_names, check_signal
from tocsin.config.types import describe
from tocsin.core import calendar

#: The oldest servers that files are generated for: rules need keep_firing_for.
_OLDEST = {"prometheus": "2.42", "alertmanager": "0.25"}

_META_ALERTS = frozenset(value for name, value in vars(names).items() if name.startswith("ALERT_"))
_TOKEN_CHARACTERS = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")


def check(process: Shaped[ProcessModel], services: Sequence[Shaped[Service]]) -> tuple[list[Fault], list[Fault]]:
    """Faults and warnings between the values of all files."""
    known = Known()
    findings: list[tuple[Shaped[ProcessModel] | Shaped[Service], Finding]] = []
    if process.model is not None:
        # A calendar with a fault of its own is there all the same.
        calendars, receivers = _keys(process, "calendars"), _keys(process, "receivers")
        target = process.model.target if process.trusts(("target",)) else None
        known = Known(calendars, receivers, process.model.source.kind, target)
        findings += [(process, finding) for finding in check_process(process.model, _service_names(services))]
        if (all_of_them := _services(services)) is not None:
            findings += [(process, finding) for finding in receiver_checks.check_routes(process.model, all_of_them)]
    for file in services:
        if file.model is not None:
            findings += [(file, finding) for finding in check_service(file.model, known)]
            if process.model is not None and process.trusts(("principals",)):
                findings += [(file, one) for one in remediation_checks.check_heard(process.model, file.model)]
            if process.model is not None and process.trusts(("guard", "hosts")):
                findings += [(file, one) for one in remediation_checks.check_hosts(process.model, file.model)]
    faults: list[Fault] = []
    warnings: list[Fault] = []
    for file_, finding in findings:
        if all(file_.trusts(path) for path in (finding.path, *finding.reads)):
            (warnings if finding.warning else faults).append(file_.fault(finding.path, finding.message))
    return [*faults, *_unique_over_files(services)], warnings


def _keys(file: Shaped[ProcessModel], key: str) -> Collection[str] | None:
    data = file.document.data if file.document else None
    value = data.get(key, {}) if isinstance(data, dict) else {}
    return list(value) if isinstance(value, dict) else None


def _service_names(services: Sequence[Shaped[Service]]) -> Collection[str] | None:
    """Names of all services; None while a file leaves open how its service is called."""
    if any(file.model is None or not file.trusts(("service",)) for file in services):
        return None
    return [file.model.service for file in services if file.model is not None]


def _services(services: Sequence[Shaped[Service]]) -> Sequence[Service] | None:
    """All services; None while a file leaves open how its service or its team is called."""
    known = [file.model for file in services if file.model is not None]
    sure = len(known) == len(services) and all(file.trusts((key,)) for file in services for key in ("service", "team"))
    return known if sure else None


def check_process(process: ProcessModel, services: Collection[str] | None) -> Iterator[Finding]:
    """Findings of the process file. `services` are the names that there are; None: not known."""
    yield from _url(process.source.url, ("source", "url"), "http://127.0.0.1:9090")
    if process.alertmanager.url is not None:
        yield from _url(process.alertmanager.url, ("alertmanager", "url"), "http://127.0.0.1:9093", "none")
    yield from _auth(process.source.auth, ("source", "auth"))
    for key, least in _OLDEST.items():
        found = getattr(process.target, key)
        if _version(found) < _version(least):
            yield Finding(("target", key), f"found {found!r}, expected {least!r} or newer")
    for i, window in enumerate(process.maintenance):
        yield from _maintenance(window, ("maintenance", i), services)
    yield from receiver_checks.check_process(process)
    if process.store_password_file is not None and process.store.startswith("sqlite:"):
        yield Finding(("store_password_file",), "found a password for a file, expected it with postgresql:// alone")
    yield from _principals(process.principals)
    yield from remediation_checks.check_process(process)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _url(url: str, path: Path, example: str, secrets: str = "them under auth, in files") -> Iterator[Finding]:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, good = urlsplit(""), False
    if "@" in url.partition("?")[0]:
        # Not shown: what stands before the @ may be a password.
        yield Finding(path, f"found credentials in the URL, expected {secrets}")
    elif not good or any(c.isspace() for c in url):
        yield Finding(path, f"found {describe(url)}, expected a URL such as {example}")
    elif parts.query or parts.fragment:
        yield Finding(path, "found a query or fragment, expected scheme, host, port and path prefix only")


def _auth(auth: Auth, at: Path) -> Iterator[Finding]:
    if auth.basic is not None and auth.bearer_file is not None:
        yield Finding((*at, "bearer_file"), "found basic and bearer_file, expected at most one of them")
    for name, value in auth.headers.items():
        if not set(name) <= _TOKEN_CHARACTERS:
            yield Finding((*at, "headers", name), f"found {describe(name)}, expected the name of a header")
        if not value.isprintable():
            yield Finding((*at, "headers", name), "found signs that cannot be printed, expected one line of text")
    if auth.tls is not None and (auth.tls.cert_file is None) != (auth.tls.key_file is None):
        have, need = ("cert_file", "key_file") if auth.tls.cert_file is not None else ("key_file", "cert_file")
        yield Finding((*at, "tls", have), f"found {have} alone, expected {need} beside it", ((*at, "tls", need),))


def _maintenance(window: Maintenance, at: Path, services: Collection[str] | None) -> Iterator[Finding]:
    given = {key for key in ("on", "start", "end") if getattr(window, key) is not None}
    if given not in ({"on"}, {"start", "end"}):
        found = " and ".join(key for key in ("on", "start", "end") if key in given) or "no time"
        yield Finding(at, f"found {found}, expected either on, or start and end")
    elif given == {"start", "end"}:
        yield from _single(window, at)
    for i, name in enumerate(window.services):
        if services is not None and name not in services:
            message = f"found {describe(name)}, expected one of the services ({', '.join(sorted(services))})"
            yield Finding((*at, "services", i), message)


def _single(window: Maintenance, at: Path) -> Iterator[Finding]:
    if window.hours is not None:
        yield Finding((*at, "hours"), "found hours beside start and end, expected them with on only")
    good = True
    zone = calendar.parse_zone(window.time_zone)
    for key, text in (("start", window.start), ("end", window.end)):
        try:
            calendar.parse_moment(text or "", zone)
        except ValueError as error:
            good = False
            yield Finding((*at, key), str(error))
    if not good:
        return
    try:
        calendar.Single.of(window.name, window.start or "", window.end or "", window.time_zone)
    except ValueError as error:
        yield Finding((*at, "end"), str(error), ((*at, "start"), (*at, "time_zone")))


def _principals(principals: Sequence[Principal]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for i, principal in enumerate(principals):
        yield from _principal(principal, ("principals", i))
        for key in ("name", "token_hash", "access_key_id"):
            value = getattr(principal, key)
            if value is not None and (key, value) in seen:
                found = "a value that is not shown here" if key == "token_hash" else describe(value)
                what = "a name" if key == "name" else "one"
                yield Finding(("principals", i, key), f"found {found} again, expected {what} of its own")
            seen.add((key, value))


def _principal(principal: Principal, at: Path) -> Iterator[Finding]:
    given = [key for key in ("token_hash", "token_file", "secret_file") if getattr(principal, key) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        yield Finding(at, f"found {found}, expected exactly one of token_hash, token_file and secret_file")
    if (principal.secret_file is None) != (principal.access_key_id is None):
        have, need = ("secret_file", "access_key_id")[:: 1 if principal.secret_file is not None else -1]
        yield Finding((*at, have), f"found {have} alone, expected {need} beside it", ((*at, need),))


#: What a service file can have to watch.
_WATCHED = ("signals", "thresholds", "slos", "absent", "rate_of_change", "forecast_breach", "alerts")


def check_service(service: Service, known: Known) -> Iterator[Finding]:
    """Findings of a service file."""
    if not any(getattr(service, key) for key in _WATCHED):
        message = f"found nothing to watch, expected at least one of {', '.join(_WATCHED)}"
        yield Finding(("service",), message, tuple((key,) for key in _WATCHED))
    yield from _links(service.links)
    for key in ("z", "delta"):
        table = getattr(service.tiers, key)
        if any(low >= high for low, high in pairwise(table)):
            found = ", ".join(f"{bound:g}" for bound in table)
            yield Finding(("tiers", key), f"found [{found}], expected four bounds that rise")
    for name, signal in service.signals.items():
        yield from check_signal(signal, ("signals", name), known.calendars, known.kind)
        for level, tier in signal.alert.items():
            yield from texts.check(tier, ("signals", name, "alert", level), known)
    yield from records.check(service, known)
    yield from slo_checks.check(service, known)
    yield from alert_checks.check(service, known)
    yield from escalation_checks.check(service, known)
    yield from receiver_checks.check_service(service)
    yield from remediation_checks.check(service, dict(alerts_of(service)))
    for alert, path in alerts_of(service):
        if not alert or alert[0].isdigit():
            message = f"found no name that starts with a letter (it would be {alert!r}), expected one"
            yield Finding(path, message, (("service",),))
        elif alert in _META_ALERTS:
            message = f"found {alert!r}, which is an alert about Tocsin itself, expected another name"
            yield Finding(path, message, (("service",),))


def _links(links: Links) -> Iterator[Finding]:
    for key, template in links:
        for message in link.faults(template or ""):
            yield Finding(("links", key), message)


def _unique_over_files(services: Sequence[Shaped[Service]]) -> Iterator[Fault]:
    """Services and alerts that have the name of an earlier one, with both places."""
    places: dict[tuple[str, str], Fault] = {}
    for file in services:
        if file.model is None or not file.trusts(("service",)):
            continue
        for what, name, path in _named(file.model):
            fault = file.fault(path, f"found the {what} {name!r} again, expected a name of its own")
            first = places.setdefault((what, name), fault)
            if first is not fault and file.trusts(path):
                where = f"{fault.message} ({first.file}:{first.line}:{first.column} has it already)"
                yield Fault(fault.file, fault.line, fault.column, fault.path, where)


def _named(service: Service) -> Iterator[tuple[str, str, Path]]:
    yield "service", service.service, ("service",)
    for record in service.records:
        yield "recording", record, ("records", record)
    for alert, path in (*alerts_of(service), *remediation_checks.pages(service)):
        yield "alert", alert, path


def alerts_of(service: Service) -> Iterator[tuple[str, Path]]:
    """Name of every alert that the service's rules have, with the path where it is given."""
    for name, signal in service.signals.items():
        for level, alert in alert_names(service.service, name, signal.alert).items():
            yield alert, ("signals", name, "alert", level, "name")
    yield from slo_checks.alert_names(service)
    yield from alert_checks.alert_names(service)
    yield from escalation_checks.alert_names(service)
