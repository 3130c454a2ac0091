"""`tocsin simulate ALERT.json`: what would be done about an alert and why, without doing it."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson
from sqlalchemy import Connection, select

from tocsin import names
from tocsin.cli.acting import maintenance_of, named_resources
from tocsin.cli.failure import Failed
from tocsin.cli.stored import failed, open_store
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, SecretError, load
from tocsin.core.readable import iso, printable
from tocsin.respond import confirm, episodes, payload
from tocsin.respond.decide import Confirmation, Decision, Request, decide
from tocsin.respond.operations import OPERATIONS
from tocsin.respond.payload import Alert, Malformed
from tocsin.respond.policy import Plan, Policy
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.store import Store, StoreError
from tocsin.store.catalogue import seed
from tocsin.store.tables import episodes as table
from tocsin.telemetry import Telemetry


class _Decided(Exception):
    """The decision, on its way out of a transaction of which nothing is kept."""

    def __init__(self, request: Request, decision: Decision) -> None:
        super().__init__()
        self.request, self.decision = request, decision


@click.command()
@click.argument("file", type=click.File("rb"), metavar="ALERT.json")
@click.option("--config.file", "path", type=click.Path(path_type=Path), default="tocsin.yml", show_default=True)
@click.option(
    "--store/--no-store",
    "stored",
    default=True,
    show_default=True,
    help="Decide on what is in the store now: the switch, limits and resources; or on an empty one.",
)
@click.option("--firing", is_flag=True, help="Take it that the ruler says that they fire, instead of asking it.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def simulate(
    file: Any,  # noqa: ANN401  click's file
    path: Path,
    *,
    stored: bool,
    firing: bool,
    output: str,
) -> None:
    """Say what would be done about the alerts in ALERT.json, and why: every check in its order.

    The file is a notification of Alertmanager, what its /api/v2/alerts or Prometheus' /api/v1/alerts answers, or one
    alert: {"labels": {"alertname": ..., "tocsin_service": ..., ...}}; `-` is standard input. The ruler is asked whether
    the alert fires, with its labels. Nothing is done, and nothing is stored.
    """
    try:
        config = load(path)
    except ConfigError as error:
        raise Failed(f"{path} is not a valid configuration:\n{error}") from None
    now = time.time()
    alerts = _alerts(file.read(), getattr(file, "name", "-"), now)
    confirmations = asyncio.run(_confirmations(config, alerts, now, ask=not firing))
    try:
        with _store(path, now, stored=stored) as store:
            told = list(_told(config, store, confirmations, now, seeded=not stored))
    except StoreError as error:
        raise failed(error) from None
    if output == "json":
        click.echo(orjson.dumps([one for _, one in told], option=orjson.OPT_INDENT_2).decode())
        return
    for text, _ in told:
        click.echo(text)


def _alerts(content: bytes, name: str, now: float) -> Sequence[Alert]:
    """The alerts of a file in any of its shapes."""
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Failed(f"{name}: found no JSON: {error}") from None
    if isinstance(data, dict) and isinstance(data.get("data"), dict):
        # What Prometheus answers.
        data = data["data"].get("alerts")
    if isinstance(data, dict) and "alerts" not in data:
        data = [data]
    if isinstance(data, list):
        whole = [_firing(one) if isinstance(one, dict) else one for one in data]
        data = {"version": payload.VERSION, "alerts": whole}
    try:
        found = payload.notification(orjson.dumps(data), now, ())
    except Malformed as error:
        raise Failed(f"{name}: found {error}, expected a notification, alerts or one alert with labels") from None
    if found.invalid or not found.alerts:
        why = "; ".join(str(one) for one in found.invalid) or "no alert"
        raise Failed(f"{name}: found {why}, expected an alert with labels")
    return found.alerts


def _firing(one: dict[str, Any]) -> dict[str, Any]:
    """An alert of a list as a notification has it; Alertmanager's own list has an object for its status."""
    return one if isinstance(one.get("status"), str) else {**one, "status": "firing"}


async def _confirmations(
    config: Config, alerts: Sequence[Alert], now: float, *, ask: bool
) -> list[tuple[Alert, Sequence[Plan], Confirmation]]:
    """Each alert, what is wanted for it, and what the ruler says of it."""
    policy, model = Policy(config), config.process.source
    url = config.process.guard.confirm.url or model.url
    found = []
    try:
        async with Source(model.model_copy(update={"url": url}), Telemetry()) as ruler:
            for alert in alerts:
                plans = policy.plans(alert.service, alert.name)
                within = config.process.guard.confirm.within
                said = Confirmation(now, "", "taken for granted: it was not asked whether the alert fires")
                if ask and plans:
                    said = await confirm.confirm(ruler, alert.labels, within, now)
                found.append((alert, plans, said))
    except (SecretError, SourceError) as error:
        raise Failed(str(error)) from None
    return found


@contextmanager
def _store(path: Path, now: float, *, stored: bool) -> Iterator[Store]:
    """The configured store as it is, or an empty one that goes away again."""
    if stored:
        try:
            opened = open_store(path, now, migrate=False)
        except Failed as error:
            raise Failed(f"{error.message}; with --no-store an empty one is decided on") from None
        with opened as store:
            yield store
        return
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/tocsin.db", now=now) as store:
        yield store


def _told(
    config: Config,
    store: Store,
    found: Sequence[tuple[Alert, Sequence[Plan], Confirmation]],
    now: float,
    *,
    seeded: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is said of each alert and operation, as text and as data."""
    for alert, plans, said in found:
        if not plans:
            of = f" of {printable(alert.service)}" if alert.service else f", which has no label {names.SERVICE}"
            text = f"{printable(alert.name)}{of}: no remediation is about it"
            yield text, {"labels": alert.labels, "operation": None}
        for plan in plans:
            request, decision = _decided(config, store, alert, plan, said, now, seeded=seeded)
            yield _text(alert, request, decision), _data(alert, request, decision)


def _decided(
    config: Config, store: Store, alert: Alert, plan: Plan, said: Confirmation, now: float, *, seeded: bool
) -> tuple[Request, Decision]:
    """The decision on an alert as if it came now, in a transaction that is rolled back."""

    def work(connection: Connection) -> None:
        if seeded:
            seed(connection, named_resources(config), now)
        episodes.store(connection, [alert], now)
        request = Request(
            plan=plan,
            episode_id=_episode(connection, alert),
            labels=alert.labels,
            describe=OPERATIONS[plan.operation].describe(plan.parameters, plan.resource(alert.labels) or ""),
            confirmation=said,
            maintenance=maintenance_of(config, plan.service, now),
        )
        raise _Decided(request, decide(connection, request, now))

    try:
        with store.write() as connection:
            work(connection)
    except _Decided as end:
        return end.request, end.decision
    raise AssertionError("a simulation kept what it wrote")


def _episode(connection: Connection, alert: Alert) -> str:
    newest = select(table.c.id).where(table.c.identity == alert.identity).order_by(table.c.first_seen.desc())
    found: str = connection.execute(newest.limit(1)).scalar_one()
    return found


_ENDS = {
    "intent": "it would be done: {}",
    "dry_run": "it would be noted, and not done, because it is a dry run: {}",
    "held": "it would be held, and decided again every 30 s while the alert lasts: {}",
    "refused": "it would be refused for as long as this alert lasts: {}",
    "gone": "it was decided on before, and nothing more would be done: {}",
}


def _text(alert: Alert, request: Request, decision: Decision) -> str:
    plan = request.plan
    head = f"{printable(alert.name)} of {printable(alert.service)} -> {plan.operation}"
    lines = [
        f"  {'pass' if check.passed else 'STOP'}  {check.name}: {printable(check.why)}" for check in decision.checks
    ]
    why = decision.reason if decision.state in ("held", "refused", "gone") else printable(request.describe)
    lines.append(f"  {_ENDS[decision.state].format(why)}")
    if decision.written is not None:
        record = decision.written
        lines.append(f"  audit: {iso(record.at)} {record.principal} {record.kind} result={record.result}")
    return "\n".join([head, *lines])


def _data(alert: Alert, request: Request, decision: Decision) -> dict[str, Any]:
    return {
        "labels": alert.labels,
        "operation": request.plan.operation,
        "resource": request.resource,
        "outcome": decision.state,
        "reason": decision.reason or None,
        "would": request.describe,
        "checks": [check.data() for check in decision.checks],
        "audit": None if decision.written is None else asdict(decision.written),
    }
