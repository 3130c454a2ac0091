"""OpenSLO documents -> services: objectives that are kept in a format of no vendor, read as if they were our own.

The format: https://github.com/OpenSLO/OpenSLO, version ``openslo/v1``. Documents of all files belong together: an SLO
may name an SLI or a DataSource of another file, and the SLOs of one service may be anywhere.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from tocsin.config import openslo_sli as sli
from tocsin.config.converted import Converted, Draft, draft, no_page
from tocsin.config.faults import Fault
from tocsin.config.faults import Path as KeyPath
from tocsin.config.foreign import Foreign, Place
from tocsin.config.types import describe
from tocsin.config.yaml import Document, parse_all

VERSION = "openslo/v1"

_KINDS = ("SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget")
#: What has alerts of its own here.
_ALERTS = ("AlertPolicy", "AlertCondition", "AlertNotificationTarget")
#: Durations of a rolling window, and how they are called here.
_PERIODS = {"7d": "7d", "1w": "7d", "28d": "28d", "4w": "28d", "30d": "30d", "90d": "90d"}
_NO_PLACE = "found what has no place here, and is left out"

_MENTION = re.compile(rb"[\"']?apiVersion[\"']?\s*:")


def documents(content: bytes, file: str) -> list[Document] | None:
    """The documents of a file of another format; None of a service file. ConfigError when it cannot be read."""
    if not _MENTION.search(content):
        return None
    found = parse_all(content, file)
    objects = [one for document in found for one in _objects(document.data)]
    return found if any("apiVersion" in one for one in objects) else None


def _objects(data: object) -> list[dict[str, Any]]:
    return [one for one in (data if isinstance(data, list) else [data]) if isinstance(one, dict)]


def services(files: Iterable[tuple[str, list[Document]]]) -> tuple[list[Converted], list[Fault], list[Fault]]:
    """The services of all documents, faults of the documents, and warnings."""
    reader = _Reader()
    for file, found in files:
        for document in found:
            reader.document(file, document)
    reader.slos()
    warnings = [*reader.warnings, *reader.left_out()]
    faults = reader.faults + [fault for one in reader.every for fault in one.faults]
    return [one.shaped() for one in reader.drafts.values()], faults, warnings


class _Reader:
    def __init__(self) -> None:
        self.every: list[Foreign] = []
        self.objects: dict[str, dict[str, Foreign]] = {kind: {} for kind in _KINDS}
        self.drafts: dict[str, Draft] = {}
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def document(self, file: str, document: Document) -> None:
        self.faults += document.faults
        roots = [(i,) for i in range(len(document.data))] if isinstance(document.data, list) else [()]
        for root in roots:
            one = Foreign(file, document, root)
            self.every.append(one)
            self.register(one)

    def register(self, one: Foreign) -> None:
        version, kind = one.take("apiVersion"), one.take("kind")
        if version != VERSION:
            import_ = " (`tocsin import sloth` reads those)" if "sloth" in str(version) else ""
            one.fault(f"found {describe(version)}, expected {VERSION!r}{import_}", "apiVersion")
        elif kind not in _KINDS:
            one.fault(f"found {describe(kind)}, expected one of {', '.join(_KINDS)}", "kind")
        elif name := one.text("metadata", "name", need=True):
            # What people read; the name says the same.
            one.take("metadata", "displayName")
            first = self.objects[kind].setdefault(name, one)
            if first is not one:
                file, line, column, _ = first.place("metadata", "name")
                has = f"{file}:{line}:{column} has it already"
                one.fault(f"found the {kind} {name!r} again, expected a name of its own ({has})", "metadata", "name")

    def slos(self) -> None:
        for name, one in self.objects["SLO"].items():
            service = one.text("spec", "service", need=True)
            if service is None:
                continue
            found = self.drafts.setdefault(service, draft(service, one.place("spec", "service")))
            for part in self.parts(name, one):
                if message := found.add(*part):
                    one.fault(message, "metadata", "name")
        for name, one in self.objects["Service"].items():
            self.service(name, one)

    def service(self, name: str, one: Foreign) -> None:
        """What a Service says of a service that has SLOs."""
        team = one.look("metadata", "labels", "team")
        if isinstance(team, list) and len(team) == 1:
            team = team[0]
        if name in self.drafts and isinstance(team, str):
            one.take("metadata", "labels", "team")
            self.drafts[name].data["team"] = team
            self.drafts[name].places["team",] = one.place("metadata", "labels", "team")

    def parts(self, name: str, one: Foreign) -> Iterator[tuple[str, dict[str, Any], dict[KeyPath, Place]]]:
        """The SLOs, one for each objective, with the places of what they say."""
        period, indicator = self.period(one), self.indicator(one)
        method = one.take("spec", "budgetingMethod")
        if method not in (None, "Occurrences"):
            message = f"found {describe(method)}, expected 'Occurrences': time is not cut into slices here"
            one.fault(message, "spec", "budgetingMethod")
        description = one.text("spec", "description") or one.look("metadata", "displayName")
        count = one.count("spec", "objectives")
        for i, called in enumerate(self.called(name, one, count)):
            target = self.target(one, i)
            if indicator is None or target is None or period is None:
                continue
            asked = sli.of(indicator, self.objects["DataSource"], one, i)
            if asked is None:
                continue
            self.warnings += [indicator.where(asked.key).fault(remark) for remark in asked.remarks]
            slo: dict[str, Any] = {"objective": target[0], "period": period, "sli": asked.sli}
            if isinstance(description, str):
                slo["description"] = description
            if why := no_page(target[0], period):
                self.warnings.append(target[1].fault(why))
                slo["alert"] = {"page": False}
            places: dict[KeyPath, Place] = {(): one.place("metadata", "name"), ("objective",): target[1]}
            places |= {("period",): one.place("spec", "timeWindow"), ("sli",): indicator.where(asked.key)}
            yield called, slo, places

    def called(self, name: str, one: Foreign, count: int) -> list[str]:
        """Names of the SLOs of several objectives: what each one is displayed as, else its number."""
        shown = [one.take("spec", "objectives", i, "displayName") for i in range(count)]
        if count == 1:
            return [name]
        words = [re.sub(r"[^a-z0-9]+", "-", str(text or "").lower()).strip("-") for text in shown]
        return [f"{name}-{word if word and words.count(word) == 1 else i}" for i, word in enumerate(words, 1)]

    def period(self, one: Foreign) -> str | None:
        at = ("spec", "timeWindow")
        if one.look(*at) is None:
            return "30d"
        if one.count(*at) > 1:
            one.fault(f"found {one.count(*at)} windows, expected one", *at)
        if one.look(*at, 0, "calendar") is not None or one.flag(*at, 0, "isRolling") is False:
            one.take(*at)
            one.fault("found a window that follows the calendar, expected one with isRolling: true", *at)
            return None
        duration = one.take(*at, 0, "duration")
        if not isinstance(duration, str) or duration not in _PERIODS:
            expected = ", ".join(dict.fromkeys(_PERIODS.values()))
            one.fault(f"found {describe(duration)}, expected a window of {expected}", *at, 0, "duration")
            return None
        return _PERIODS[duration]

    def target(self, one: Foreign, i: int) -> tuple[str, Place] | None:
        """The objective as a percentage, and where it is."""
        at = ("spec", "objectives", i)
        given = [key for key in ("target", "targetPercent") if one.look(*at, key) is not None]
        if len(given) != 1:
            one.fault(f"found {'both' if given else 'neither'} of target and targetPercent, expected one", *at)
            return None
        number = one.number(*at, given[0])
        if number is None:
            return None
        top = 1 if given == ["target"] else 100
        if not 0 < number < top:
            one.fault(f"found {describe(number)}, expected more than 0 and less than {top}", *at, given[0])
            return None
        return f"{number * 100 / top:.12g}%", one.place(*at, given[0])

    def indicator(self, one: Foreign) -> sli.Indicator | None:
        given = [key for key in ("indicator", "indicatorRef") if one.look("spec", key) is not None]
        if given == ["indicator"]:
            # It has no other user than this SLO.
            one.take("spec", "indicator", "metadata")
            return sli.Indicator(one, ("spec", "indicator", "spec"))
        if given != ["indicatorRef"]:
            found = "both" if given else "neither"
            one.fault(f"found {found} of indicator and indicatorRef, expected one", "spec")
            return None
        name = one.text("spec", "indicatorRef", need=True)
        if name is None or name in self.objects["SLI"]:
            return None if name is None else sli.Indicator(self.objects["SLI"][name], ("spec",))
        known = ", ".join(sorted(self.objects["SLI"])) or "there is none"
        one.fault(
            f"found {describe(name)}, expected the name of an SLI in these files ({known})", "spec", "indicatorRef"
        )
        return None

    # ------------------------------------------------------------------------------------------------ the rest

    def left_out(self) -> Iterator[Fault]:
        """What nobody has read: each kind of thing once, at its first place, with how often it is there."""
        first: dict[tuple[object, ...], Fault] = {}
        count: dict[tuple[object, ...], int] = {}
        for one in self.every:
            for key, fault in self._left_out(one):
                first.setdefault(key, fault)
                count[key] = count.get(key, 0) + 1
        for key, fault in first.items():
            more = f" (and {count[key] - 1} more)" if count[key] > 1 else ""
            yield Fault(fault.file, fault.line, fault.column, fault.path, fault.message + more)

    def _left_out(self, one: Foreign) -> Iterator[tuple[tuple[object, ...], Fault]]:
        kind = one.look("kind")
        if one.faults:
            return
        if kind in _ALERTS:
            name = one.look("metadata", "name")
            message = f"found the {kind} {name!r}, which is left out: an SLO has alerts of its own here"
            yield (kind,), one.place("metadata", "name").fault(message)
            return
        if kind == "SLI" and not one.touched("spec"):
            yield (kind,), one.place("metadata", "name").fault("found an SLI that no SLO is about, and is left out")
            return
        for path in one.rest():
            key = (kind, *(part for part in path if isinstance(part, str)))
            yield key, one.place(*path, key=True).fault(_NO_PLACE)
