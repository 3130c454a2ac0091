"""Specs of Sloth -> service files.

The formats: https://sloth.dev/specs/default/ (``version: prometheus/v1``) and https://sloth.dev/specs/kubernetes/
(``kind: PrometheusServiceLevel``), which differ in how keys are spelt; either spelling is read in both. A spec does not
say over which period its objectives hold: Sloth takes that from its command line, 30 days by default.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tocsin import names
from tocsin.config import queries, template
from tocsin.config.converted import Converted, Draft, draft, no_page
from tocsin.config.faults import ConfigError, Fault
from tocsin.config.faults import Path as KeyPath
from tocsin.config.foreign import Foreign, Place
from tocsin.config.known import Known
from tocsin.config.references import check_service
from tocsin.config.slo import Period
from tocsin.config.types import describe
from tocsin.config.window import has_window
from tocsin.config.yaml import Document, parse_all

VERSION = "prometheus/v1"
API_VERSION, KIND = "sloth.slok.dev/v1", "PrometheusServiceLevel"

_EXPECTED = f"expected a spec of Sloth: version: {VERSION}, or apiVersion: {API_VERSION} and kind: {KIND}"
_LOST = "found what has no place in a service file, and is not carried over"
#: Labels of Sloth's alerts, and ours that say the same.
_LABELS = {"sloth_service": names.SERVICE, "sloth_slo": names.SLO}
_LABEL = re.compile(r"\$labels\.(\w+)")
_RUNBOOKS = ("runbook", "runbook_url")
_SUFFIXES = {"page": "", "ticket": "Ticket"}


@dataclass(frozen=True)
class Imported:
    """Services by name, as service files have them, and what is not as it was, by place."""

    services: dict[str, dict[str, Any]]
    notes: tuple[Fault, ...]


def read(content: bytes, file: str, period: Period = "30d") -> Imported:
    """Convert all specs of a file; ConfigError with every reason why it cannot be done."""
    reader = _Reader(file, period)
    for document in parse_all(content, file):
        reader.document(document)
    services = [one.shaped() for one in reader.drafts.values()]
    faults = reader.faults + [fault for service in services for fault in service.faults]
    for service in services:
        found, notes = _checked(service)
        faults += found
        reader.notes += notes
    if faults:
        raise ConfigError(faults)
    return Imported({name: one.data for name, one in reader.drafts.items()}, tuple(sorted(set(reader.notes))))


def _checked(service: Converted) -> tuple[list[Fault], list[Fault]]:
    """What the checks of a service file say of it: faults and warnings."""
    faults: list[Fault] = []
    warnings: list[Fault] = []
    for finding in check_service(service.model, Known()) if service.model else ():
        if all(service.trusts(path) for path in (finding.path, *finding.reads)):
            (warnings if finding.warning else faults).append(service.fault(finding.path, finding.message))
    return faults, warnings


class _Reader:
    def __init__(self, file: str, period: Period) -> None:
        self.file, self.period = file, period
        self.drafts: dict[str, Draft] = {}
        self.alerts: set[str] = set()
        self.faults: list[Fault] = []
        self.notes: list[Fault] = []

    def document(self, document: Document) -> None:
        self.faults += document.faults
        spec = Foreign(self.file, document)
        root = self.root(spec)
        if root is not None:
            self.service(spec, root)
            self.notes += [spec.place(*path, key=True).fault(_LOST) for path in spec.rest()]
        self.faults += spec.faults

    def root(self, spec: Foreign) -> KeyPath | None:
        """Where the spec is in its document; None, and a fault, where it is none."""
        if spec.look("apiVersion") is None:
            version = spec.take("version")
            if version == VERSION:
                return ()
            spec.fault(f"found {describe(version)}, {_EXPECTED}", "version")
            return None
        version, kind = spec.take("apiVersion"), spec.take("kind")
        # The name of the object says nothing that the name of the service does not.
        spec.take("metadata", "name")
        if version == API_VERSION and kind == KIND:
            return ("spec",)
        if str(version).startswith("openslo/"):
            message = f"found {describe(version)}, which needs no import: name the file under `services`"
            spec.fault(message, "apiVersion")
        else:
            spec.fault(f"found {describe(version)} and {describe(kind)}, {_EXPECTED}", "apiVersion")
        return None

    def service(self, spec: Foreign, root: KeyPath) -> None:
        found = spec.text(*root, "service", need=True)
        if found is None:
            return
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", found).lstrip("._-")[:200] or "service"
        if name != found:
            message = f"found {describe(found)}, which cannot name a file: the service is called {name!r}"
            self.notes.append(spec.place(*root, "service").fault(message))
        one = self.drafts.setdefault(name, draft(name, spec.place(*root, "service")))
        for label in ("team", "owner"):
            if "team" not in one.data and isinstance(spec.look(*root, "labels", label), str):
                slos = one.data.pop("slos")
                one.data |= {"team": spec.take(*root, "labels", label), "slos": slos}
                one.places["team",] = spec.place(*root, "labels", label)
        for i in range(spec.count(*root, "slos")):
            self.slo(one, _Slo(spec, (*root, "slos", i)))

    def slo(self, one: Draft, slo: "_Slo") -> None:
        name, objective = slo.spec.text(*slo.at, "name", need=True), slo.objective()
        sli = slo.sli()
        if name is None or objective is None or sli is None:
            return
        data: dict[str, Any] = {"objective": objective}
        if self.period != "30d":
            data["period"] = self.period
        if description := slo.spec.text(*slo.at, "description"):
            data["description"] = description
        data |= {"sli": sli, "alert": slo.alerts(objective, self.period, self.unique(slo, one))}
        if message := one.add(name, data, slo.places()):
            slo.spec.fault(message, *slo.at, "name")
        self.notes += slo.notes

    def unique(self, slo: "_Slo", one: Draft) -> dict[str, str]:
        """Names of both alerts, which no other alert of the file has; none where Sloth's is not given."""
        alerting = slo.key("alerting")
        found = slo.spec.text(*alerting, "name")
        if found is None:
            return {}
        plain = re.sub(r"[^A-Za-z0-9_]+", "_", found)[:150]
        plain = f"_{plain}" if plain[0].isdigit() else plain
        name, n = plain, 1
        while self.alerts & {name + suffix for suffix in _SUFFIXES.values()}:
            name = plain + names.camel(one.data["service"]) + (str(n) if n > 1 else "")
            n += 1
        if name != found:
            message = f"found {describe(found)}, expected a name that an alert can have alone: it is called {name!r}"
            self.notes.append(slo.spec.place(*alerting, "name").fault(message))
        out = {kind: name + suffix for kind, suffix in _SUFFIXES.items()}
        self.alerts |= set(out.values())
        return out


class _Slo:
    """One SLO of a spec, at a path of it."""

    def __init__(self, spec: Foreign, at: KeyPath) -> None:
        self.spec, self.at = spec, at
        self.notes: list[Fault] = []

    def note(self, message: str, *path: str | int) -> None:
        self.notes.append(self.spec.place(*path).fault(message))

    def key(self, *path: str | int) -> KeyPath:
        """The path inside the SLO, in the spelling that is there."""
        out = self.at
        for key in path:
            camel = re.sub("_(.)", lambda match: match[1].upper(), str(key))
            out = (*out, key if self.spec.look(*out, camel) is None else camel)
        return out

    def places(self) -> dict[KeyPath, Place]:
        """Where the file says what our keys say."""
        out: dict[KeyPath, Place] = {(): self.spec.place(*self.at, "name")}
        out |= {(key,): self.spec.place(*self.at, key) for key in ("objective", "sli", "description")}
        out["alert",] = self.spec.place(*self.at, "alerting")
        for kind in _SUFFIXES:
            out["alert", kind] = self.spec.place(*self.key("alerting", f"{kind}_alert"))
        return out

    def objective(self) -> str | None:
        """A percentage, as a service file has it."""
        number = self.spec.number(*self.at, "objective")
        if number is not None and not 0 < number < 100:
            self.spec.fault(
                f"found {describe(number)}, expected a percentage of more than 0 and less than 100",
                *self.at,
                "objective",
            )
            return None
        return None if number is None else f"{number:.12g}%"

    # ------------------------------------------------------------------------------------------------ sli

    def sli(self) -> dict[str, str] | None:
        kinds = [kind for kind in ("events", "raw", "plugin") if self.spec.look(*self.at, "sli", kind) is not None]
        if kinds == ["plugin"]:
            message = (
                "found an SLI plugin, expected events or raw: what it asks for is in the plugin's code "
                "(`sloth generate` writes the query into its rules)"
            )
            self.spec.fault(message, *self.at, "sli", "plugin")
        elif kinds not in (["events"], ["raw"]):
            found = " and ".join(kinds) or "nothing"
            self.spec.fault(f"found {found}, expected one of events and raw", *self.at, "sli")
        if kinds == ["events"]:
            bad, total = (self.query("sli", "events", f"{part}_query") for part in ("error", "total"))
            if bad is not None and total is not None:
                return self.asked(queries.events("bad", bad, total), "sli", "events", "error_query")
        if kinds == ["raw"] and (share := self.query("sli", "raw", "error_ratio_query")) is not None:
            return self.asked(queries.ratio("bad", share), "sli", "raw", "error_ratio_query")
        return None

    def query(self, *path: str) -> queries.Query | None:
        at = self.key(*path)
        text = self.spec.text(*at, need=True)
        if text is None:
            return None
        try:
            query = queries.parse(text)
        except ValueError as error:
            self.spec.fault(str(error), *at)
            return None
        if not has_window(query.text):
            self.spec.fault("found no {{.window}}, expected it where the window stands", *at)
            return None
        return query

    def asked(self, asked: queries.Asked, *path: str) -> dict[str, str]:
        for remark in asked.remarks:
            self.note(remark, *self.key(*path))
        return asked.sli

    # ------------------------------------------------------------------------------------------------ alerts

    def alerts(self, objective: str, period: str, called: dict[str, str]) -> dict[str, Any]:
        """Both alerts. Sloth pages: the page is written out in any case, because nothing else would get its label."""
        out: dict[str, Any] = {}
        for kind in _SUFFIXES:
            at = self.key("alerting", f"{kind}_alert")
            if self.spec.flag(*at, "disable"):
                self.spec.take(*at)
                out[kind] = False
            elif kind == "page" and (why := no_page(objective, period)):
                self.note(why, *self.at, "objective")
                self.spec.take(*at)
                out[kind] = False
            else:
                texts = dict(self.texts(self.key("alerting"), at))
                name = called.get(kind)
                # A name alone needs no mapping.
                out[kind] = ({"name": name} | texts if texts else name) if name else texts
        return out

    def texts(self, general: KeyPath, own: KeyPath) -> Iterator[tuple[str, str]]:
        """Severity and annotations of an alert; its own win over those of both."""
        for key, path in (
            ("severity", ("labels", "severity")),
            ("summary", ("annotations", "summary")),
            ("description", ("annotations", "description")),
        ):
            both = [(*at, *path) for at in (own, general) if self.spec.look(*at, *path) is not None]
            texts = [(at, self.spec.text(*at)) for at in both]
            if texts and (text := texts[0][1]):
                if key == "severity":
                    yield key, text
                elif (annotation := self.annotation(text, texts[0][0])) is not None:
                    yield key, annotation
        for key in _RUNBOOKS:
            for at in ((*own, "annotations", key), (*general, "annotations", key)):
                if self.spec.look(*at) is not None:
                    text = self.spec.text(*at)
                    if text and "{{" in text:
                        self.note("found a template, expected a plain link: it is not carried over", *at)
                    elif text:
                        yield "runbook", text.replace("{", "{{").replace("}", "}}")
                    return

    def annotation(self, text: str, at: KeyPath) -> str | None:
        """A template that is about our labels; None, and a note, when there is no such."""
        ours = _LABEL.sub(lambda match: f"$labels.{_LABELS.get(match[1], match[1])}", text)
        if message := template.fault(ours):
            self.note(f"{message}: it is not carried over", *at)
            return None
        unknown = sorted(set(_LABEL.findall(ours)) - {*_LABELS.values(), names.SEVERITY, names.TEAM})
        if unknown:
            message = f"found $labels.{', $labels.'.join(unknown)}, which the alert has not: nothing will stand there"
            self.note(message, *at)
        return ours
