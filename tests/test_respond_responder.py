"""The responder in a process: what an alert, a reload, a ruler that is away and a clock that goes back do to others."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from aiohttp import web
from sqlalchemy import select
from structlog.testing import capture_logs

from operating import receiver
from stores import NOW, Place, episode, place
from tocsin.config.load import Config, load
from tocsin.guard import audit
from tocsin.guard.addresses import Allowed
from tocsin.respond import episodes as told_of
from tocsin.respond import payload
from tocsin.respond.actions import recover
from tocsin.respond.decide import LONGEST_ID
from tocsin.respond.policy import Policy
from tocsin.respond.responder import Responder
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.store.catalogue import Seed
from tocsin.store.handle import StoreHandle
from tocsin.store.tables import actions, episodes, resources
from tocsin.telemetry import Telemetry

STARTS = "2023-11-14T22:13:00Z"
SERVICE = """
service: shop
alerts: [{name: ShopFull, expr: shop_full > 1}]
remediation: [{when: ShopFull, run: http, with: {url: "%s", timeout: 5s}, dry_run: %s}]
"""


class Ruler:
    """Says that everything fires, and remembers no audit; `away` it answers nothing, `before` is called first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.away, self.forgets = clock, False, False
        self.asked = 0
        self.before: Callable[[], None] = lambda: None

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:  # noqa: ARG002  as a source
        if "audit_seq" in expr:
            if self.forgets:
                raise SourceError("too many samples", "too_many_samples")
            return Vector(t, [], np.empty(0))
        self.asked += 1
        self.before()
        await asyncio.sleep(0)
        if self.away:
            raise SourceError("away", "connection")
        return Vector(t, [b"{}"], np.array([t]))


class Process:
    """One process on a store, with its clock, and the calls that reached the operated thing."""

    def __init__(self, where: Place, folder: Path) -> None:
        self.now, self.folder, self.calls = NOW, folder, list[str]()
        self.ruler, self.url = Ruler(self.clock), ""
        self.store = StoreHandle(where.url, Telemetry(), password=lambda: where.password, clock=self.clock)
        self.seeds = [Seed("shop", name) for name in ("piano", "organ", "flute")]

    def clock(self) -> float:
        return self.now

    def config(self, *, dry_run: bool = False, path: str = "/restart") -> Config:
        text = SERVICE % (self.url + path, "true" if dry_run else "false")
        (self.folder / "shop.yml").write_text(text)
        (self.folder / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9}\nservices: [shop.yml]\n")
        return load(self.folder / "tocsin.yml")

    def configure(self, config: Config) -> None:
        self.responder.configure(Policy(config), self.ruler, self.ruler, Allowed(["127.0.0.1"]))

    async def alert(self, *names: str, **more: Any) -> None:
        for name in names:
            number = len(name)
            labels = {"alertname": "ShopFull", "tocsin_service": "shop", "resource": name}
            row = {"alertname": "ShopFull", "service": "shop", "labels": labels, "first_seen": NOW + number, **more}
            self.number += 1
            row = episode(self.number, **row)
            await self.store.write(lambda c, row=row: c.execute(episodes.insert(), row))

    async def look(self) -> None:
        await self.responder.look()
        while self.responder.runner.running:  # noqa: ASYNC110  the runner tells nobody when it is done
            await asyncio.sleep(0.01)

    async def rows(self) -> dict[str, tuple[str, str | None]]:
        """State and reason of each action, by its resource."""
        query = select(actions.c.resource, actions.c.state, actions.c.reason)
        return {row[0]: (row[1], row[2]) for row in await self.store.read(lambda c: c.execute(query).all())}

    def run(self, what: Callable[["Process"], Awaitable[None]]) -> None:
        async def answer(request: web.Request) -> web.Response:
            self.calls.append(request.path)
            return web.Response()

        async def main() -> None:
            self.number = 0
            await self.store.start()
            async with receiver(answer) as url:
                self.url = url.removesuffix("/recycle")
                seeds = [("all", lambda: self.seeds)]
                policy, ruler = Policy(self.config()), self.ruler
                self.responder = Responder(
                    self.store, Telemetry(), policy, ruler, seeds=lambda: seeds, clock=self.clock
                )
                self.configure(self.config())
                try:
                    await what(self)
                finally:
                    await self.responder.stop()
                    await self.store.stop()

        asyncio.run(main())


@pytest.fixture(params=["sqlite", "postgresql"])
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Process:
    return Process(place(request.param, request, tmp_path), tmp_path)


def test_a_label_that_no_index_can_hold_stops_neither_its_own_decision_nor_those_behind_it(process: Process) -> None:
    # Nothing that can be compressed: an index of PostgreSQL takes 2,704 bytes.
    long = "".join(chr(0x4E00 + 7919 * i % 20000) for i in range(3000))

    async def what(one: Process) -> None:
        one.seeds += [Seed("shop", long, origin="signal"), Seed("shop", "a\0b", origin="signal")]
        await one.alert(long, first_seen=NOW - 10)
        await one.alert("piano")
        await one.look()
        found = await one.rows()
        assert found.pop("piano") == ("ok", "done")
        ((kept, state),) = found.items()
        assert state == ("refused", "unknown_resource")
        assert kept == long[: LONGEST_ID // 3] + "…"
        ids = await one.store.read(lambda c: c.execute(select(resources.c.id)).scalars().all())
        assert sorted(ids) == ["flute", "organ", "piano"]

    process.run(what)
    assert process.calls == ["/restart"]


@pytest.mark.parametrize(
    ("dry_run", "path", "state", "calls"),
    [
        (True, "/restart", "dry_run", []),
        (False, "/other", "ok", ["/other"]),
        (False, "/restart", "ok", ["/restart"]),
    ],
)
def test_an_intent_of_another_configuration_is_decided_anew_by_the_present_one(
    process: Process, dry_run: bool, path: str, state: str, calls: list[str]
) -> None:
    async def what(one: Process) -> None:
        begin, one.responder.runner.begin = one.responder.runner.begin, lambda *_: None  # type: ignore[method-assign]  # died here
        await one.alert("piano")
        await one.look()
        assert await one.rows() == {"piano": ("intent", None)}
        one.responder.runner.begin = begin  # type: ignore[method-assign]  # and started again
        one.configure(one.config(dry_run=dry_run, path=path))
        one.now += 10
        await one.look()
        await one.look()
        assert (await one.rows())["piano"][0] == state
        stored = await one.store.read(lambda c: c.execute(select(actions.c.parameters, actions.c.dry_run)).one())
        assert (stored.parameters["url"], stored.dry_run) == (one.url + path, dry_run)

    process.run(what)
    assert process.calls == calls


@pytest.mark.parametrize("how", ["dry run", "removed"])
def test_a_reload_in_the_middle_of_a_look_holds_for_what_is_not_decided_yet(process: Process, how: str) -> None:
    async def what(one: Process) -> None:
        def reload() -> None:
            if one.ruler.asked == 2:
                config = one.config(dry_run=True)
                if how == "removed":
                    text = (one.folder / "shop.yml").read_text()
                    (one.folder / "shop.yml").write_text(text[: text.index("remediation")])
                    config = load(one.folder / "tocsin.yml")
                one.configure(config)

        one.ruler.before = reload
        await one.alert("piano", "organ", "flute")
        await one.look()
        await one.look()
        states = sorted(state for state, _ in (await one.rows()).values())
        assert states == (["dry_run", "dry_run", "ok"] if how == "dry run" else ["ok"])

    process.run(what)
    assert process.calls == ["/restart"]


def test_what_is_held_is_refused_when_the_configuration_has_it_no_more(process: Process) -> None:
    async def what(one: Process) -> None:
        one.ruler.away = True
        await one.alert("piano")
        await one.look()
        assert await one.rows() == {"piano": ("held", "confirm_unreachable")}
        one.config()
        text = (one.folder / "shop.yml").read_text()
        (one.folder / "shop.yml").write_text(text[: text.index("remediation")])
        one.configure(load(one.folder / "tocsin.yml"))
        await one.look()
        assert await one.rows() == {"piano": ("refused", "not_configured")}

    process.run(what)


def test_a_ruler_that_is_away_is_asked_once_in_a_look_and_keeps_no_lease_from_ending(process: Process) -> None:
    async def what(one: Process) -> None:
        one.ruler.away = True
        await one.alert("piano", "organ", "flute")
        await one.look()
        assert set((await one.rows()).values()) == {("held", "confirm_unreachable")}
        assert one.ruler.asked == 1
        # The next look asks anew.
        one.ruler.away = False
        one.now += 31
        await one.look()
        assert set((await one.rows()).values()) == {("ok", "done")}

    process.run(what)


def test_what_was_interrupted_is_given_up_while_a_look_waits(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = asyncio.Event()

    async def what(one: Process) -> None:
        waits = asyncio.Event()

        async def hang(*_: object) -> Vector:
            waits.set()
            return await asyncio.Future()

        def noted(*given: Any) -> Any:
            if waits.is_set():
                loop.call_soon_threadsafe(given_up.set)
            return recover(*given)

        loop = asyncio.get_running_loop()
        monkeypatch.setattr("tocsin.respond.responder.actions.recover", noted)
        monkeypatch.setattr("tocsin.respond.responder.EVERY", 0.05)
        monkeypatch.setattr(one.ruler, "instant", hang)
        one.responder.start()
        await asyncio.wait_for(waits.wait(), 20)
        await asyncio.wait_for(given_up.wait(), 20)

    process.run(what)


def test_nothing_is_done_before_somebody_has_said_what_is_remembered_of_the_store(process: Process) -> None:
    async def what(one: Process) -> None:
        one.now += 3600  # before that there is nothing to remember
        one.ruler.forgets = True
        await one.alert("piano")
        await one.look()
        assert await one.rows() == {"piano": ("held", "confirm_unreachable")}
        with capture_logs() as lines:
            for _ in range(3):
                one.now += 5
                await one.look()
        assert [line for line in lines if line["event"].startswith("nobody can say")] == []
        one.ruler.forgets = False
        one.now += 31
        await one.look()
        assert await one.rows() == {"piano": ("ok", "done")}

    process.run(what)


def test_what_was_refused_because_the_alert_seemed_over_is_decided_again_when_it_goes_on(process: Process) -> None:
    labels = {"alertname": "ShopFull", "tocsin_service": "shop", "resource": "piano"}
    body = orjson.dumps({"version": "4", "alerts": [{"status": "firing", "labels": labels, "startsAt": STARTS}]})

    async def what(one: Process) -> None:
        async def told() -> None:
            alerts = payload.notification(body, one.now, ()).alerts
            await one.store.write(lambda c: told_of.store(c, alerts, one.now))

        one.ruler.away = True
        await told()
        await one.look()
        one.now += 600
        ids = await one.store.read(lambda c: c.execute(select(episodes.c.id)).scalars().all())
        await one.store.write(lambda c: told_of.expire(c, ids, one.now, one.now))
        await one.look()
        assert await one.rows() == {"piano": ("refused", "episode_over")}
        one.ruler.away = False
        one.now += 600
        await told()
        assert await one.rows() == {"piano": ("held", "interrupted")}
        await one.look()
        assert await one.rows() == {"piano": ("ok", "done")}
        assert await one.store.read(audit.verify) is None

    process.run(what)
    assert process.calls == ["/restart"]


def test_a_clock_that_goes_back_keeps_nothing_held(process: Process) -> None:
    async def what(one: Process) -> None:
        one.ruler.away = True
        await one.alert("piano")
        await one.look()
        one.ruler.away = False
        one.now -= 8 * 3600
        await one.look()
        assert await one.rows() == {"piano": ("ok", "done")}

    process.run(what)
