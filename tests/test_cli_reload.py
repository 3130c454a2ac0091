"""A reload that fails, at whatever point, leaves all of the old configuration in force: also what acts."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from sqlalchemy import select

from operating import receiver
from site_client import TOKEN, WEBHOOK, Client, alert, bearer, caller, notification
from tocsin.cli.running import Running
from tocsin.config.load import load
from tocsin.store.tables import actions, resources
from tocsin.web.app import create_app


class Shop:
    """A running program with an operation in earnest; what Prometheus answers and what is operated are one server."""

    def __init__(self, folder: Path, url: str, done: list[str]) -> None:
        self.folder, self.url, self.done = folder, url.removesuffix("/recycle"), done
        self.path = folder / "tocsin.yml"
        self.client: Client
        self.program: Running

    def write(self, *named: str, **process: Any) -> None:
        """The files, with resources of these names."""
        wanted = {"when": "ShopFull", "run": "http", "with": {"url": f"{self.url}/restart"}, "dry_run": False}
        shop = {
            "service": "shop",
            "resources": [{"id": name} for name in named],
            "alerts": [{"name": "ShopFull", "expr": "shop_full > 1"}],
            "remediation": [wanted],
        }
        whole = {
            "source": self.source("ca.pem"),
            "services": ["shop.yml"],
            "store": f"sqlite:///{self.folder}/tocsin.db",
            "principals": [caller().model_dump(mode="json", exclude_unset=True)],
            "guard": {"hosts": ["127.0.0.1"], "confirm": {"url": self.url}},
            **process,
        }
        (self.folder / "shop.yml").write_text(yaml.safe_dump(shop))
        self.path.write_text(yaml.safe_dump(whole))

    def source(self, ca_file: str, **limits: Any) -> dict[str, Any]:
        return {"url": self.url, "auth": {"tls": {"ca_file": ca_file}}, "limits": {"retries": 0, **limits}}

    async def reload(self) -> tuple[int, str, float]:
        """Status, text, and what the metrics say of it."""
        async with self.client.post("/-/reload") as response:
            ok = self.program.telemetry.value("config_last_reload_successful")
            return response.status, await response.text(), ok

    async def fires(self, resource: str) -> tuple[str, str | None]:
        """State and reason of what is done when the alert of a resource fires."""
        sent = notification({**alert(alertname="ShopFull", tocsin_service="shop", resource=resource)})
        async with self.client.post(WEBHOOK, json=sent, headers=bearer(TOKEN)) as response:
            assert response.status == 200
        wanted = select(actions.c.state, actions.c.reason).where(actions.c.resource == resource)
        async with asyncio.timeout(20):
            while True:
                found = await self.program.acting.store.read(lambda c: c.execute(wanted).one_or_none())
                if found is not None and found.state not in ("intent", "running"):
                    return found.state, found.reason
                await asyncio.sleep(0.02)

    async def catalogue(self, **expected: tuple[bool, int]) -> None:
        """Wait until each resource is active, or not, in its version."""
        rows, found = select(resources.c.id, resources.c.active, resources.c.version), None
        for _ in range(400):
            found = await self.program.acting.store.read(lambda c: c.execute(rows).all())
            if {row.id: (row.active, row.version) for row in found} == expected:
                return
            self.program.acting.responder.wake()
            await asyncio.sleep(0.05)
        raise AssertionError(found)


@asynccontextmanager
async def prometheus(done: list[str]) -> AsyncIterator[str]:
    """Every alert fires; also what an operation asks."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/restart":
            done.append((await request.json())["resource"])
            return web.json_response({})
        firing = "ALERTS" in (await request.post()).get("query", "")
        rows = [{"metric": {}, "value": [time.time(), str(time.time())]}] if firing else []
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": rows}})

    async with receiver(answer) as url:
        yield url


def shop(folder: Path, talk: Callable[[Shop], Awaitable[None]]) -> None:
    """Let it talk to a program that names a piano and a violin."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=x", "-keyout", "key.pem", "-out", "ca.pem"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)

    async def run() -> None:
        done: list[str] = []
        async with prometheus(done) as url:
            one = Shop(folder, url, done)
            one.write("piano", "violin")
            one.program = Running(one.path, load(one.path))
            async with TestClient(TestServer(create_app(one.program.program()))) as one.client:
                await one.program.start()
                try:
                    await talk(one)
                finally:
                    await one.program.stop()

    asyncio.run(run())


def test_a_ruler_that_cannot_be_opened_is_a_failed_reload_and_the_old_one_confirms_on(tmp_path: Path) -> None:
    async def talk(one: Shop) -> None:
        (tmp_path / "ca.pem").rename(tmp_path / "away.pem")
        status, text, ok = await one.reload()
        assert (status, ok) == (500, 0)
        where = f"{one.path}: guard.confirm.url: {one.url} needs the TLS files"
        assert text.splitlines() == [
            "the configuration was not loaded, the old one stays in force:",
            f"{where} {tmp_path}/ca.pem, which cannot be loaded: No such file or directory",
        ]
        assert await one.fires("piano") == ("ok", "done")
        (tmp_path / "away.pem").rename(tmp_path / "ca.pem")
        assert await one.reload() == (200, "the configuration was loaded\n", 1)
        assert await one.fires("violin") == ("ok", "done")
        assert one.done == ["piano", "violin"]

    shop(tmp_path, talk)


def test_a_source_that_cannot_be_opened_leaves_the_old_one_and_all_that_acts(tmp_path: Path) -> None:
    async def talk(one: Shop) -> None:
        before = await (await one.client.get("/config")).text()
        sources = one.program._source, one.program.acting.means
        one.write("piano", source=one.source("away.pem"))
        status, text, ok = await one.reload()
        assert (status, ok) == (500, 0)
        assert f"{one.path}: {one.url} needs the TLS files {tmp_path}/away.pem, which cannot be loaded" in text
        assert (one.program._source, one.program.acting.means) == sources
        assert await (await one.client.get("/config")).text() == before
        assert await one.fires("violin") == ("ok", "done")

    shop(tmp_path, talk)


def test_a_change_that_fails_in_the_middle_is_undone_noted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def talk(one: Shop) -> None:
        before, use = await (await one.client.get("/config")).text(), one.program.acting.use
        failing = ["once"]

        def fails(means: Any) -> None:
            use(means)
            if failing:
                raise ValueError(failing.pop())

        monkeypatch.setattr(one.program.acting, "use", fails)
        one.write("piano", source=one.source("ca.pem", concurrency=3), publish="full")
        status, text, ok = await one.reload()
        assert (status, ok) == (500, 0)
        assert f"{one.path}: found ValueError (once), expected a configuration that can be used" in text
        assert await (await one.client.get("/config")).text() == before
        assert one.program._exposition._publish == "essential"
        assert await one.fires("violin") == ("ok", "done")
        status, _, ok = await one.reload()
        assert (status, ok) == (200, 1)
        assert await one.fires("piano") == ("ok", "done")

    shop(tmp_path, talk)


def test_a_resource_that_is_taken_out_of_the_file_is_acted_on_no_more_until_it_is_back(tmp_path: Path) -> None:
    async def talk(one: Shop) -> None:
        await one.catalogue(piano=(True, 1), violin=(True, 1))
        one.write()
        assert (await one.reload())[0] == 200
        await one.catalogue(piano=(False, 2), violin=(False, 2))
        assert await one.fires("piano") == ("refused", "inactive_resource")
        # The very file of the start.
        one.write("piano", "violin")
        assert (await one.reload())[0] == 200
        await one.catalogue(piano=(True, 3), violin=(True, 3))
        assert await one.fires("violin") == ("ok", "done")
        assert one.done == ["violin"]

    shop(tmp_path, talk)
