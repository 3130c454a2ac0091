"""What only a human can say, and how an older state of the store is noticed."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from stores import NOW, Place
from tocsin.cli import main
from tocsin.guard import audit, release, switch
from tocsin.respond import memory
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.store import Store
from tocsin.store.catalogue import Seed, seed
from tocsin.store.handle import StoreHandle
from tocsin.store.head import store_id
from tocsin.store.tables import meta, resources
from tocsin.telemetry import Telemetry


class Remembers:
    """A source that remembers a number of audit records."""

    def __init__(self, seq: float | None) -> None:
        self.seq = seq
        self.asked: list[str] = []

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:  # noqa: ARG002  a source's signature
        self.asked.append(expr)
        if self.seq is not None and self.seq < 0:
            raise SourceError("is away", "connection")
        found = [] if self.seq is None else [self.seq]
        return Vector(t, [b"{}"] * len(found), np.array(found))


def look(where: Place, source: Remembers, now: float = NOW) -> None:
    async def run() -> None:
        handle = StoreHandle(where.url, Telemetry(), password=lambda: where.password, clock=lambda: now)
        await handle.start()
        try:
            await memory.look(handle, source, lambda: now)
        finally:
            await handle.stop()

    asyncio.run(run())


def flipped(where: Place, times: int) -> None:
    with where.open() as store, store.write() as connection:
        for _ in range(times):
            switch.flip(connection, enabled=True, principal="ops", reason=None, now=NOW)


def held(where: Place) -> float | None:
    with where.open() as store, store.read() as connection:
        found: float | None = connection.execute(select(meta.c.restored_at)).scalar_one()
        return found


@pytest.mark.parametrize(("remembered", "expected"), [(None, None), (-1.0, None), (3.0, None), (4.0, NOW)])
def test_fewer_records_than_are_remembered_hold_all_actions(
    somewhere: Place, remembered: float | None, expected: float | None
) -> None:
    flipped(somewhere, 3)
    source = Remembers(remembered)
    look(somewhere, source)
    assert held(somewhere) == expected
    with somewhere.open() as store, store.read() as connection:
        which = store_id(connection)
    assert source.asked == [f'max(max_over_time(tocsin_audit_seq{{store="{which}"}}[2592000s]))']


def test_it_is_said_once_and_after_a_human_has_released_it_the_time_before_counts_no_more(somewhere: Place) -> None:
    flipped(somewhere, 3)
    look(somewhere, Remembers(9.0))
    look(somewhere, Remembers(9.0), NOW + 60)
    with somewhere.open() as store, store.write() as connection:
        kinds = [entry.record.kind for entry in audit.entries(connection, audit.Wanted(), limit=2)]
        assert kinds == ["store.older", "KILL_SWITCH_ENABLE"]
        release.release_store(connection, principal="ops", reason="it is the newest backup", now=NOW + 100)
    source = Remembers(9.0)
    look(somewhere, source, NOW + 339)
    assert (source.asked, held(somewhere)) == ([], None)
    source = Remembers(5.0)
    look(somewhere, source, NOW + 400)
    assert source.asked[0].endswith("[180s]))")
    assert held(somewhere) is None


def test_a_resource_is_released_once_and_the_audit_names_the_action(store: Store) -> None:
    with store.write() as connection:
        seed(connection, [Seed("shop", "piano")], NOW)
        connection.execute(update(resources).values(held_since=NOW, held_by="a-1"))
    with store.write() as connection:
        entry = release.release_resource(connection, "shop", "piano", principal="ops", reason="looked", now=NOW)
    assert (entry.record.action_id, entry.record.reason) == ("a-1", "looked")
    for resource, message in (("piano", "found that 'piano' of 'shop' is not held"), ("organ", "found no resource")):
        with pytest.raises(release.NotHeld, match=message), store.write() as connection:
            release.release_resource(connection, "shop", resource, principal="ops", reason="x", now=NOW)


def invoke(folder: Path, *arguments: str) -> Result:
    (folder / "shop.yml").write_text("service: shop\nsignals: {load: {expr: up}}\n")
    (folder / "tocsin.yml").write_text(
        f"source: {{url: 'http://127.0.0.1:1'}}\nservices: [shop.yml]\nstore: 'sqlite:///{folder}/tocsin.db'\n"
    )
    return CliRunner().invoke(main, ["release", *arguments, "--config.file", str(folder / "tocsin.yml")])


def test_the_commands_release_and_say_so(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/tocsin.db", now=NOW) as store, store.write() as connection:
        seed(connection, [Seed("shop", "piano")], NOW)
        connection.execute(update(resources).values(held_since=NOW, held_by="a-1"))
        connection.execute(update(meta).values(restored_at=NOW))
    done = invoke(tmp_path, "resource", "shop", "piano", "--reason", "it was done")
    assert (done.exit_code, done.output) == (
        0,
        "SUCCESS: actions on piano of shop may begin again (resource.release#1)\n",
    )
    done = invoke(tmp_path, "store", "--reason", "the newest there is")
    assert (done.exit_code, done.output) == (0, "SUCCESS: actions may begin again on this store (store.release#2)\n")
    done = invoke(tmp_path, "store", "--reason", "again")
    assert (done.exit_code, done.output) == (1, "FAILED: found that the store is no older state of itself\n")
    done = invoke(tmp_path, "store", "--reason", " ")
    assert done.exit_code == 2
