"""The store as the running program has it: who asks over HTTP keeps nobody else from it."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from tocsin.store import StoreError
from tocsin.store.handle import StoreHandle
from tocsin.telemetry import Telemetry


def test_many_visitors_are_let_in_two_at_a_time_and_keep_no_other_reader_waiting(tmp_path: Path) -> None:
    handle, go = StoreHandle(f"sqlite:///{tmp_path / 'tocsin.db'}", Telemetry()), threading.Event()
    inside, most = 0, 0
    lock = threading.Lock()

    def visit(_connection: Connection) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        go.wait(20)
        with lock:
            inside -= 1

    async def run() -> None:
        await handle.start()
        visits = [asyncio.create_task(handle.visit(visit)) for _ in range(12)]
        try:
            for _ in range(5):
                found = handle.read(lambda c: c.execute(text("SELECT count(*) FROM kill_switch")).scalar_one())
                assert await asyncio.wait_for(found, 5) == 1
        finally:
            go.set()
            await asyncio.gather(*visits)
            await handle.stop()

    asyncio.run(run())
    assert most == 2


def test_a_store_that_was_not_started_or_is_stopped_is_an_error(tmp_path: Path) -> None:
    handle = StoreHandle(f"sqlite:///{tmp_path / 'tocsin.db'}", Telemetry())

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(StoreError):
                await handle.read(lambda _: None)
            await handle.start()
            await handle.read(lambda _: None)
            await handle.stop()
        with pytest.raises(StoreError, match="the store is closed"):
            await handle.visit(lambda _: None)

    asyncio.run(run())
