"""Whether Prometheus can read what is generated: one rule that it cannot keeps it from loading the whole file."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from tocsin import names
from tocsin.config.faults import Path, show_path
from tocsin.config.models import Service
from tocsin.config.references import alerts_of
from tocsin.config.remediation_checks import pages
from tocsin.generate.lint.book import Rule, rules_of

#: A string in double quotes, and the window of a range.
_STRING = re.compile(r'(=?)("(?:[^"\\]|\\.)*")', re.DOTALL)
_WINDOW = re.compile(r"\[[1-9]\d*[smhdw]\]")
#: What makes a double quote something else than the beginning or the end of a string.
_OTHER = re.compile(r"['`#]")


def unreadable(file: str, data: Mapping[str, Any], service: Service | None) -> Iterator[str]:
    """A sentence for each rule of a file that does not parse, with its place in the configuration of a service."""
    for rule in rules_of(file, data):
        if (message := _fault(_shape(rule.expr))) and (message := _fault(rule.expr)):
            where = "" if service is None else f" (service {service.service}: {show_path(_path(rule, service))})"
            kind = "alert" if rule.is_alert else "record"
            yield f"{file}: {kind} {rule.name}{where}: {message}: {' '.join(rule.expr.split())}"


def _shape(expr: str) -> str:
    """An expression that parses if and only if this one does; those of many services have the same.

    The value of a label is not looked into, and neither is the length of a range, so each stands for every other.
    """
    if _OTHER.search(expr):
        return expr
    return _WINDOW.sub("[5m]", _STRING.sub(_same, expr))


def _same(match: re.Match[str]) -> str:
    # An empty one does matter, and so may an escape; what follows =~ is an expression of its own.
    plain = match[1] and match[2] != '""' and "\\" not in match[2]
    return '="x"' if plain else match[0]


@lru_cache(maxsize=4096)
def _fault(expr: str) -> str | None:
    parsed = Rule("", "", {"expr": expr}).parsed
    return f"found no PromQL ({parsed}), expected an expression" if isinstance(parsed, str) else None


def _path(rule: Rule, service: Service) -> Path:
    """Where the configuration asks for a rule; the part of it that a recording is of."""
    if not rule.is_alert:
        slo = rule.labels.get(names.SLO)
        return ("records", rule.name) if slo is None else ("slos", slo, "sli")
    return dict((*alerts_of(service), *pages(service))).get(rule.name, ())
