"""The tables as SQLAlchemy Core knows them, for queries; `sql/` makes and changes them, and a test compares the two.

Times are Unix seconds. Identifiers are text that the writer makes (so a replica needs no sequence), but for the audit,
whose numbers are counted in :data:`chain_head`. Constraints that no query needs are only in `sql/`.

Who locks several of them does it in this order: kill_switch, limits, resources, actions, chain_head.
"""

from typing import Any

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text, TypeDecorator
from sqlalchemy.engine import Dialect

METADATA = MetaData()


class Json(TypeDecorator[Any]):
    """JSON as text with sorted keys: the same value is the same bytes, on both databases."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Text of the value; None is NULL."""
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ANN401, ARG002  any JSON; likewise
        """The value of the text."""
        return None if value is None else orjson.loads(value)


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null)


def _at(name: str, *, null: bool = False) -> Column[float]:
    return Column(name, Double, nullable=null)


def _json(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Json, nullable=null)


def _one_row() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=False)


# One row: which schema this is, which store (two replicas of one store have one instance), and since when it is a
# restored one; while restored_at is set, a human has not said yet that actions may go on.
meta = Table(
    "meta",
    METADATA,
    _one_row(),
    Column("schema_version", Integer, nullable=False),
    _text("instance_id"),
    _at("created_at"),
    _at("restored_at", null=True),
)

# One uninterrupted firing of one alert. identity is a hash of the labels without replica labels; at most one episode of
# an identity is firing (a unique index). What has ended keeps a tombstone, so that a late firing of the same
# episode reopens it. Acknowledgement and outcome are what humans said of it.
episodes = Table(
    "episodes",
    METADATA,
    _text("id", key=True),
    _text("identity"),
    _text("service"),
    _text("alertname"),
    _text("fingerprint"),
    _json("labels"),
    _json("annotations"),
    _at("starts_at"),
    _at("first_seen"),
    _at("last_seen"),
    _text("state"),
    _at("resolved_at", null=True),
    _at("expired_at", null=True),
    _at("tombstone_until", null=True),
    _at("acknowledged_at", null=True),
    _text("acknowledged_by", null=True),
    _text("outcome", null=True),
    _text("outcome_reason", null=True),
    _at("outcome_at", null=True),
    _text("outcome_by", null=True),
)

# The intent, written before anything is done: unique on episode and operation, which is what makes an action happen at
# most once. Whoever runs it holds the lease; process says which child (boot id, pid, start time) recovery has to end.
actions = Table(
    "actions",
    METADATA,
    _text("id", key=True),
    _text("episode_id"),
    _text("operation"),
    _text("service"),
    _text("resource"),
    Column("resource_version", BigInteger),
    _json("parameters"),
    Column("dry_run", Boolean, nullable=False),
    _text("state"),
    _text("reason", null=True),
    _text("lease_owner", null=True),
    _at("lease_until", null=True),
    _json("process", null=True),
    _json("result", null=True),
    _at("created_at"),
    _at("updated_at"),
    _at("started_at", null=True),
    _at("ended_at", null=True),
)

# What an operation may be applied to: an alert's label only selects a row here. version grows with every change, a
# deletion clears active. While held_since is set nothing is done to it: the action in held_by ended unknown.
resources = Table(
    "resources",
    METADATA,
    _text("service", key=True),
    _text("id", key=True),
    Column("capacity_minutes", Double),
    Column("version", BigInteger, nullable=False),
    Column("active", Boolean, nullable=False),
    _text("origin"),
    _at("held_since", null=True),
    _text("held_by", null=True),
    _at("created_at"),
    _at("updated_at"),
)

# One row: whether operations may run at all. generation counts the flips, so that a replica sees one that it missed.
kill_switch = Table(
    "kill_switch",
    METADATA,
    _one_row(),
    Column("enabled", Boolean, nullable=False),
    Column("generation", BigInteger, nullable=False),
    _text("reason", null=True),
    _text("changed_by", null=True),
    _at("changed_at"),
)

# One row for each limit that was ever asked: locked while its slots are counted, and blocked during a storm.
limits = Table(
    "limits",
    METADATA,
    _text("name", key=True),
    _at("blocked_since", null=True),
    _at("blocked_until", null=True),
)

# What was taken from a limit and when: a sliding window counts the rows that are young enough. A restart forgets none.
limit_slots = Table(
    "limit_slots",
    METADATA,
    _text("name", key=True),
    _text("holder", key=True),
    _at("taken_at"),
)

# One row: the last link of the audit's chain, locked by whoever appends, so that there is one order for all replicas.
chain_head = Table(
    "chain_head",
    METADATA,
    _one_row(),
    Column("seq", BigInteger, nullable=False),
    _text("hash"),
)

# Who did or was refused what, written in the transaction of what it describes, each row hashed with the one before.
audit = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _text("prev_hash"),
    _text("hash"),
    _at("at"),
    _text("principal"),
    _text("kind"),
    _text("operation", null=True),
    _text("service", null=True),
    _text("resource", null=True),
    _text("episode_id", null=True),
    _text("action_id", null=True),
    _text("result"),
    _text("reason", null=True),
    _json("detail"),
)

# Messages that have to go out at least once; id is the key by which the receiver recognises a repetition.
outbox = Table(
    "outbox",
    METADATA,
    _text("id", key=True),
    _text("episode_id", null=True),
    _text("kind"),
    _text("receiver"),
    _json("payload"),
    _at("created_at"),
    _at("due_at"),
    Column("attempts", Integer, nullable=False),
    _text("last_error", null=True),
    _text("lease_owner", null=True),
    _at("lease_until", null=True),
    _at("sent_at", null=True),
)

# Why something was or was not done, check by check; kept for the retention.
decisions = Table(
    "decisions",
    METADATA,
    _text("id", key=True),
    _at("at"),
    _text("episode_id", null=True),
    _text("action_id", null=True),
    _text("service"),
    _text("operation"),
    _text("resource", null=True),
    _text("outcome"),
    _text("reason", null=True),
    _json("checks"),
)

# What the jobs found; kept for the retention.
insights = Table(
    "insights",
    METADATA,
    _text("id", key=True),
    _at("at"),
    _text("service"),
    _text("kind"),
    _json("detail"),
)

#: All of them so that whatever a row refers to comes first.
IN_ORDER = (
    meta,
    episodes,
    actions,
    resources,
    kill_switch,
    limits,
    limit_slots,
    chain_head,
    audit,
    outbox,
    decisions,
    insights,
)
