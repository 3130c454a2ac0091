"""Checks of plain recording rules: `level:metric` or `level:metric:operations`, and an expression."""

import re
from collections.abc import Iterator

from tocsin import names
from tocsin.config import expr
from tocsin.config.known import Finding, Known
from tocsin.config.models import Service
from tocsin.config.types import describe

#: https://prometheus.io/docs/practices/rules/; where a metric has no usual operation to name, it has none in its name.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?::[A-Za-z0-9_]+){1,3}")


def check(service: Service, known: Known) -> Iterator[Finding]:
    """All findings of a service's recording rules."""
    for name, text in service.records.items():
        at = ("records", name)
        if not _NAME.fullmatch(name):
            yield Finding(at, f"found the name {describe(name)}, expected level:metric:operations, or level:metric")
        elif name.startswith(names.PREFIX):
            yield Finding(at, f"found {describe(name)}, expected another name: {names.PREFIX} is for Tocsin's own")
        if message := expr.fault(text):
            # MetricsQL is larger than PromQL, but these rules are for Prometheus: there it would be refused.
            yield Finding(at, message, warning=known.kind == "victoriametrics")
