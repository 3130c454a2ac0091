"""500 hostile texts as service, resource and episode, through every operation: they stay text, and nothing is run."""

import asyncio
import itertools
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from aiohttp import web

from operating import secret, task
from tocsin.config.operations import HttpParameters, PostgresPoolRecycle
from tocsin.respond.operations import OPERATIONS, Outcome
from tools.postgres import PASSWORD, Cluster

#: Each runs `{run}` where somebody interprets it, or leads out of a path, a header or a line.
_PAYLOADS = (
    "$({run})",
    "`{run}`",
    "; {run} ;",
    "| {run}",
    "&& {run}",
    "\n{run}\n",
    "$({{IFS}}{run})",
    "${{x:-$({run})}}",
    "() {{ :;}}; {run}",
    "'; {run}; '",
    '"; {run}; "',
    "\\$({run})",
    "'; COPY (SELECT 1) TO PROGRAM '{run}'; --",
    "\"; COPY (SELECT 1) TO PROGRAM '{run}'; --",
    "1); COPY (SELECT 1) TO PROGRAM '{run}'; --",
    "%(own)s'; COPY (SELECT 1) TO PROGRAM '{run}'; --",
    "{{{{ cycler.__init__.__globals__.os.popen('{run}').read() }}}}",
    "{{% import os %}}{{{{ os.system('{run}') }}}}",
    "{{0.__class__.__init__.__globals__}}",
    "${{__import__('os').system('{run}')}}",
    "%s%n%x%(service)s",
    "${{jndi:ldap://127.0.0.1/x}}",
    "<%= `{run}` %>",
    "!!python/object/apply:os.system ['{run}']",
    "__import__('os').system('{run}')",
    "../../../../etc/passwd",
    "..\\..\\windows",
    "/etc/passwd\0.txt",
    "file:///etc/passwd",
    "http://127.0.0.1:1/",
    "@127.0.0.1:1/#",
    "x\r\nX-Injected: yes",
    "x\r\n\r\nGET /injected HTTP/1.1\r\nHost: x\r\n\r\n",
    "x\nIdempotency-Key: other",
    '","action_id":"other","x":"',
    '"}}{{"action_id":"other"}}',
    "\0",
    "a\0b",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "\u2028\u2029",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "Ω≈ç√∫",
    "👩‍👩‍👧‍👦",
    "ﷺ" * 50,
    "a" * 10_000,
    "-rf",
    "--help",
    "-oProxyCommand={run}",
    "LD_PRELOAD=/tmp/x.so",
    "PGPASSWORD=x PGOPTIONS='-c x=y'",
    "*",
    "%",
    "%00",
    "%0d%0aX-Injected:%20yes",
    "\\u0000",
    "",
    " ",
    "null",
    "NaN",
    "<script>alert(1)</script>",
    "]]>",
)


def hostile(run: str) -> list[str]:
    """500 texts, the same each time: the payloads, and pieces of them put together."""
    plain = [payload.format(run=run) for payload in _PAYLOADS]
    pick = random.Random(6)  # noqa: S311  the same each time
    mixed = ("·".join(pick.choices(plain, k=pick.randint(2, 4))) for _ in itertools.count())
    return list(itertools.islice(itertools.chain(plain, mixed), 500))


@pytest.fixture
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that is not there, in a folder where everybody may write."""
    folder = Path("/tmp") / f"tocsin-canary-{tmp_path_factory.getbasetemp().name}"  # noqa: S108  PostgreSQL's user has to reach it
    folder.mkdir()
    folder.chmod(0o777)
    yield folder / "executed"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_the_canary_sings_when_a_text_is_run(canary: Path, postgresql: Cluster) -> None:
    text = next(text for text in hostile(f"touch {canary}") if text.startswith("$("))
    subprocess.run(["sh", "-c", f"echo {text}"], check=True)
    assert canary.exists()
    canary.unlink()
    postgresql.execute(f"COPY (SELECT 1) TO PROGRAM 'touch {canary}'")
    assert canary.exists()


def test_there_are_500_of_them() -> None:
    texts = hostile("touch x")
    assert len(texts) == 500
    assert len(set(texts)) >= 480


def test_over_http_they_arrive_unchanged_inside_json_and_nowhere_else(canary: Path, tmp_path: Path) -> None:
    texts = hostile(f"touch {canary}")
    bodies: list[dict[str, str]] = []
    outside: set[tuple[str, str, tuple[tuple[str, str], ...]]] = set()
    before = sorted(path.name for path in tmp_path.iterdir())

    async def answer(request: web.Request) -> web.Response:
        bodies.append(json.loads(await request.read()))
        headers = tuple((k, v) for k, v in request.headers.items() if k != "Content-Length")
        outside.add((request.method, request.path_qs, headers))
        return web.Response()

    async def go() -> set[str]:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            parameters = HttpParameters(
                url=f"http://127.0.0.1:{runner.addresses[0][1]}/{{resource}}", body={"a": "{resource}"}
            )
            results = set()
            for text in texts:
                given = task(service=text, resource=text, episode_id=text)
                outcome = await OPERATIONS["http"].run(given, parameters)
                assert "\n" not in OPERATIONS["http"].describe(parameters, text)
                results.add((outcome.result, outcome.reason))
            return results
        finally:
            await runner.cleanup()

    assert asyncio.run(go()) == {("ok", "done")}
    assert [(body["service"], body["resource"], body["episode_id"]) for body in bodies] == [(t, t, t) for t in texts]
    assert {(body["action_id"], body["operation"], str(body["parameters"])) for body in bodies} == {
        ("a-1", "http", "{'a': '{resource}'}")
    }
    assert len(outside) == 1  # method, path and headers know nothing of the text
    assert not canary.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_in_postgres_nothing_of_them_arrives(canary: Path, postgresql: Cluster, tmp_path: Path) -> None:
    texts = hostile(f"touch {canary}")
    url = postgresql.database()
    parameters = PostgresPoolRecycle(
        url=url, password_file=secret(tmp_path, PASSWORD), idle_longer_than="1h", timeout="10s"
    )  # fmt: skip

    async def go() -> list[Outcome]:
        outcomes = []
        # Three at a time: a login is slow.
        for service, resource, episode in zip(texts[::3], texts[1::3], [*texts[2::3], ""], strict=True):
            given = task(service=service, resource=resource, episode_id=episode)
            outcomes.append(await OPERATIONS["postgres_pool_recycle"].run(given, parameters))
            assert "\n" not in OPERATIONS["postgres_pool_recycle"].describe(parameters, resource)
        return outcomes

    with psycopg.connect(url, password=PASSWORD) as bystander:  # a superuser, who may run programs
        outcomes = asyncio.run(go())
        assert bystander.execute("SELECT 1").fetchone() == (1,)
    assert outcomes == [Outcome("ok", "nothing_idle", {"ended": 0})] * 167
    assert not canary.exists()
