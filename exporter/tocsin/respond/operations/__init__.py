"""What Tocsin can do about an alert: one file for each operation, and one line in the map."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tocsin.respond.operations import http, postgres_pool_recycle
from tocsin.respond.operations.kind import Kind, Outcome, Result, Stopped, Task

OPERATIONS: Mapping[str, Kind[Any]] = MappingProxyType(
    {
        "http": http.KIND,
        "postgres_pool_recycle": postgres_pool_recycle.KIND,
    }
)

#: Every reason that an outcome can have, beside those of Stopped.
REASONS: tuple[str, ...] = tuple(sorted({reason for kind in OPERATIONS.values() for reason in kind.reasons}))

__all__ = ["OPERATIONS", "REASONS", "Kind", "Outcome", "Result", "Stopped", "Task"]
