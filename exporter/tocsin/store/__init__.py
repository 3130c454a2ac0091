"""What outlives a restart: one SQLite file, or one PostgreSQL database for several replicas."""

from tocsin.store.engines import Waits
from tocsin.store.errors import (
    StoreBusy,
    StoreCannotOpen,
    StoreConflict,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreInvalid,
    StoreLost,
    StoreNewer,
    StoreNotEmpty,
    StoreReadOnly,
)
from tocsin.store.head import Head, audit_head
from tocsin.store.store import Probe, Store
from tocsin.store.writer import Writer

__all__ = [
    "Head",
    "Probe",
    "Store",
    "StoreBusy",
    "StoreCannotOpen",
    "StoreConflict",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreInvalid",
    "StoreLost",
    "StoreNewer",
    "StoreNotEmpty",
    "StoreReadOnly",
    "Waits",
    "Writer",
    "audit_head",
]
