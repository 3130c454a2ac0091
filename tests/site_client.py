"""A program whose parts a test can change, served on loopback."""

import asyncio
import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from scripted import T0, Scripted, spec, steady
from tocsin.config.models import Principal as Model
from tocsin.config.models import Scope
from tocsin.core.snapshot import Snapshot
from tocsin.evaluation import Evaluation
from tocsin.guard.principals import Principals
from tocsin.metrics import Exposition
from tocsin.respond.intake import Intake
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry
from tocsin.web.app import create_app
from tocsin.web.program import Program

TOKEN = "s3cret"  # noqa: S105  of this test alone
WEBHOOK = "/api/v2/webhook"
Client = TestClient[web.Request, web.Application]


def caller(token: str = TOKEN, *scopes: Scope, name: str = "alertmanager") -> Model:
    token_hash = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    return Model(name=name, token_hash=token_hash, scopes=scopes or ("webhook",))


def snapshot(*names: Any, at: float = T0) -> Snapshot:
    """Resources with a value each, the later ones further from their baseline."""

    def made(i: int) -> Callable[[float], float]:
        return lambda t: steady()(t) + (i if t >= T0 else 0.0)

    evaluation = Evaluation(spec(), Scripted(*((name, made(i)) for i, name in enumerate(names))), lambda: 1000)

    async def run() -> None:
        await evaluation.fill(T0)
        await evaluation.cycle(T0)

    asyncio.run(run())
    assert evaluation.view is not None
    return Snapshot(at, (evaluation.view,))


class Site:
    """A program whose parts a test can change, its app on loopback, and a store in a file."""

    def __init__(self, found: Snapshot | None = None, *known: Model, prefix: str = "", webhook: bool = True) -> None:
        self.telemetry = Telemetry()
        self.faults: Sequence[str] = ()
        self.closed: Sequence[str] = ()
        self.users: dict[str, str] = {}
        principals = Principals(known)
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.file = Path(folder) / "tocsin.db"
        self.store = StoreHandle(f"sqlite:///{self.file}", self.telemetry)
        exposition, found = Exposition(self.telemetry.registry, "essential"), found or Snapshot(T0)
        self.program = Program(
            snapshot=lambda: found,
            page=lambda openmetrics: exposition.page(found, openmetrics=openmetrics),
            ready=lambda: True,
            reload=self._reload,
            config_text=lambda: "process: {}\n",
            principals=lambda: principals,
            closed=lambda: self.closed,
            telemetry=self.telemetry,
            intake=Intake(self.telemetry, self.store, replica_labels=lambda: ("replica",)),
            store=self.store,
            clock=lambda: T0,
        )
        self.prefix, self.webhook = prefix, webhook

    async def _reload(self) -> Sequence[str]:
        return self.faults

    def use(self, talk: Callable[[Client], Awaitable[None]]) -> None:
        async def run() -> None:
            app = create_app(self.program, self.prefix, webhook=self.webhook, users=self.users)
            await self.store.start()
            try:
                async with TestClient(TestServer(app)) as client:
                    await talk(client)
            finally:
                await self.store.stop()

        asyncio.run(run())

    def ask(self, method: str, path: str, **how: Any) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of one request."""
        found: list[tuple[int, dict[str, str], str]] = []

        async def talk(client: Client) -> None:
            async with client.request(method, path, allow_redirects=False, **how) as response:
                found.append((response.status, dict(response.headers), await response.text()))

        self.use(talk)
        return found[0]

    def counted(self, code: int) -> float:
        return self.telemetry.value("webhook_requests_total", str(code))


def notification(*alerts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "receiver": "tocsin", "alerts": list(alerts), **more}


def alert(status: str = "firing", **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": "A", **labels}, "annotations": {"summary": "s"}}


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
