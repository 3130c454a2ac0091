"""The operation `postgres_pool_recycle`, against a real PostgreSQL and a wire that breaks when it is told to."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from cutting import wire
from operating import NOW, Checks, secret, task
from tocsin.config.operations import PostgresPoolRecycle
from tocsin.respond.operations import Outcome, Stopped
from tocsin.respond.operations import postgres_pool_recycle as operation
from tools.postgres import PASSWORD, Cluster

_NUMBER = itertools.count()
OLD = 0.3  # seconds after which a connection counts as old here


@dataclass
class Pool:
    """A database with an ordinary role, the application's, and connections of its."""

    cluster: Cluster
    folder: Path
    url: str = ""
    role: str = ""
    connections: dict[str, psycopg.Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.url = self.cluster.database()
        self.role = self.add_role("app")

    def add_role(self, kind: str, options: str = "") -> str:
        name = f"{kind}{next(_NUMBER)}"
        self.cluster.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' {options}")
        return name

    def connect(self, name: str, role: str | None = None, **options: Any) -> psycopg.Connection:
        parts = urlsplit(self.url)
        options = {"dbname": parts.path[1:], "application_name": "shop", "autocommit": True, **options}
        made = psycopg.connect(host="127.0.0.1", port=parts.port, user=role or self.role, password="secret", **options)  # noqa: S106  of a role that lives as long as the test
        made.execute("SELECT 1")
        self.connections[name] = made
        return made

    def alive(self) -> list[str]:
        return sorted(name for name, made in self.connections.items() if _answers(made))

    def parameters(self, login: str | None = None, **changed: Any) -> PostgresPoolRecycle:
        url = self.url if login is None else self.url.replace("//tocsin@", f"//{login}@")
        password = secret(self.folder, (PASSWORD if login is None else "secret") + "\n")
        given = {"url": url, "password_file": password, "idle_longer_than": f"{OLD * 1000:.0f}ms", "timeout": "10s"}
        return PostgresPoolRecycle.model_validate({**given, **changed})


def _answers(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.errors.InFailedSqlTransaction:
        return True
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def pool(postgresql: Cluster, tmp_path: Path) -> Iterator[Pool]:
    made = Pool(postgresql, tmp_path)
    yield made
    for connection in made.connections.values():
        connection.close()


def grow_old(seconds: float = OLD) -> None:
    time.sleep(seconds + 0.1)  # PostgreSQL has no other clock


def run(parameters: PostgresPoolRecycle, **changed: Any) -> Outcome:
    return asyncio.run(operation.run(task(**changed), parameters))


def test_old_idle_connections_are_ended_and_no_others(pool: Pool) -> None:
    pool.connect("old")
    pool.connect("old too", application_name="")
    pool.connect("in transaction", autocommit=False)
    failed = pool.connect("in failed transaction", autocommit=False)
    with pytest.raises(psycopg.errors.DivisionByZero):
        failed.execute("SELECT 1/0")
    pool.connect("store", application_name="tocsin")
    pool.connect("elsewhere", dbname="postgres")
    pool.connect("of a superuser", pool.add_role("root", "SUPERUSER"))
    pool.connect("for replication", pool.add_role("repl", "REPLICATION"))
    busy = pool.connect("busy")
    pid = busy.info.backend_pid
    pool.cluster.execute(f"ALTER ROLE {pool.role} SET statement_timeout = 0")
    busy.pgconn.send_query(b"SELECT pg_sleep(30)")
    grow_old(3)  # enough to be young beside, on a machine that is slow
    pool.connect("young")
    given = task()
    outcome = asyncio.run(operation.run(given, pool.parameters(idle_longer_than="3s")))
    assert outcome == Outcome("ok", "done", {"ended": 2, "denied": 0})
    pool.connections.pop("busy")
    assert pool.alive() == [
        "elsewhere",
        "for replication",
        "in failed transaction",
        "in transaction",
        "of a superuser",
        "store",
        "young",
    ]
    assert given.check.count == 2  # type: ignore[attr-defined]  once before each
    with psycopg.connect(pool.url, password=PASSWORD) as admin:
        assert admin.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall() == [("active",)]
        admin.execute("SELECT pg_terminate_backend(%s)", [pid])
    busy.close()


def test_replication_and_background_processes_are_not_candidates(pool: Pool) -> None:
    # A walsender of an ordinary pool's age, of the same database.
    role = pool.add_role("repl", "REPLICATION")
    parts = urlsplit(pool.url)
    options = {"dbname": parts.path[1:], "replication": "database", "application_name": "shop", "autocommit": True}
    sender = psycopg.connect(host="127.0.0.1", port=parts.port, user=role, password="secret", **options)  # noqa: S106  as above
    with sender:
        grow_old()
        assert run(pool.parameters()) == Outcome("ok", "nothing_idle", {"ended": 0})
        assert sender.pgconn.exec_(b"IDENTIFY_SYSTEM").ntuples == 1


def test_those_that_idle_in_a_transaction_are_ended_when_that_is_asked_for(pool: Pool) -> None:
    pool.connect("old")
    pool.connect("in transaction", autocommit=False)
    grow_old()
    outcome = run(pool.parameters(include_idle_in_transaction=True))
    assert outcome == Outcome("ok", "done", {"ended": 2, "denied": 0})
    assert pool.alive() == []


def test_filters_hold(pool: Pool) -> None:
    other = pool.add_role("other")
    pool.connect("shop of app")
    pool.connect("till of app", application_name="till")
    pool.connect("till of other", other, application_name="till")
    grow_old()
    assert run(pool.parameters(application="till", user=other)) == Outcome("ok", "done", {"ended": 1, "denied": 0})
    assert pool.alive() == ["shop of app", "till of app"]
    assert run(pool.parameters(application="%")) == Outcome("ok", "nothing_idle", {"ended": 0})


def test_no_more_than_the_bound_are_ended_and_the_longest_idle_first(pool: Pool) -> None:
    for name in ("a", "b", "c"):
        pool.connect(name)
    grow_old()
    pool.connections["a"].execute("SELECT 1")
    grow_old()
    assert run(pool.parameters(max_connections=2)) == Outcome("ok", "done", {"ended": 2, "denied": 0})
    assert pool.alive() == ["a"]


def test_a_role_ends_its_own_and_is_told_when_it_cannot_see_those_of_others(pool: Pool) -> None:
    pool.connect("own")
    grow_old()
    outcome = run(pool.parameters(pool.role))
    assert outcome == Outcome("ok", "done", {"ended": 1, "denied": 0})
    stranger = pool.add_role("stranger")
    pool.connections.pop("own").close()
    pool.connect("not its own")
    grow_old()
    assert run(pool.parameters(stranger)) == Outcome("failed", "permission_denied", {"hidden": 1})
    assert run(pool.parameters(stranger, user=stranger)) == Outcome("ok", "nothing_idle", {"ended": 0})
    assert pool.alive() == ["not its own"]


def test_a_role_that_sees_and_may_not_end_is_denied(pool: Pool) -> None:
    looker = pool.add_role("looker", "IN ROLE pg_read_all_stats")
    pool.connect("one")
    pool.connect("two")
    grow_old()
    assert run(pool.parameters(looker)) == Outcome("failed", "permission_denied", {"denied": 2})
    assert pool.alive() == ["one", "two"]


def test_a_role_that_may_end_only_some_says_so(pool: Pool) -> None:
    looker = pool.add_role("looker", "IN ROLE pg_read_all_stats")
    pool.connect("not its own")
    pool.connect("its own", looker)
    grow_old()
    assert run(pool.parameters(looker)) == Outcome("ok", "partly_denied", {"ended": 1, "denied": 1})
    assert pool.alive() == ["not its own"]


def test_a_role_with_both_rights_ends_those_of_others(pool: Pool) -> None:
    operator = pool.add_role("operator", "IN ROLE pg_read_all_stats, pg_signal_backend")
    pool.connect("old")
    grow_old()
    assert run(pool.parameters(operator)) == Outcome("ok", "done", {"ended": 1, "denied": 0})
    assert pool.alive() == []


def test_what_begins_to_work_after_it_was_found_is_left_alone(pool: Pool) -> None:
    worker = pool.connect("worker")
    grow_old()

    async def work() -> None:
        worker.execute("SELECT 1")

    assert run(pool.parameters(), check=work) == Outcome("ok", "nothing_idle", {"ended": 0})
    assert pool.alive() == ["worker"]


def test_what_is_stopped_before_the_first_is_stopped_and_what_is_stopped_later_is_unknown(pool: Pool) -> None:
    pool.connect("one")
    pool.connect("two")
    grow_old()
    with pytest.raises(Stopped, match="kill_switch"):
        run(pool.parameters(), check=Checks(stop_at=1))
    assert pool.alive() == ["one", "two"]
    grow_old()
    outcome = run(pool.parameters(), check=Checks(stop_at=2))
    assert outcome == Outcome("unknown", "stopped_midway", {"signalled": 1, "denied": 0})
    assert len(pool.alive()) == 1


def test_a_check_that_takes_too_long_certainly_ended_nothing(pool: Pool) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    pool.connect("old")
    grow_old()
    assert run(pool.parameters(timeout="3s"), check=hang) == Outcome("failed", "statement_timeout")
    assert pool.alive() == ["old"]


def test_a_wrong_password_is_no_login_and_is_told_nowhere(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    outcome = run(pool.parameters(password_file=secret(pool.folder, "canary-password")))
    assert outcome == Outcome("failed", "login_refused")
    assert "canary" not in repr(outcome) + caplog.text


def test_a_database_or_role_that_is_not_there_is_no_login(pool: Pool) -> None:
    assert run(pool.parameters(url=pool.url + "x")) == Outcome("failed", "login_refused")
    assert run(pool.parameters("nobody")) == Outcome("failed", "login_refused")
    assert run(pool.parameters(password_file=None)) == Outcome("failed", "login_refused")


def test_a_password_that_cannot_be_read_ended_nothing(pool: Pool) -> None:
    outcome = run(pool.parameters(password_file=str(pool.folder / "missing")))
    assert outcome == Outcome("failed", "secret_unusable")


def test_a_server_that_is_away_ended_nothing(pool: Pool) -> None:
    parts = urlsplit(pool.url)
    away = pool.url.replace(f":{parts.port}/", ":1/")
    assert run(pool.parameters(url=away)) == Outcome("failed", "connection_failed")
    nowhere = pool.url.replace("127.0.0.1", "nowhere.invalid")
    assert run(pool.parameters(url=nowhere)) == Outcome("failed", "connection_failed")


def test_nothing_is_begun_when_the_time_is_over(pool: Pool) -> None:
    assert run(pool.parameters(), deadline=NOW) == Outcome("refused", "no_time_left")


NOTHING, ONE = {"signalled": 0, "denied": 0}, {"signalled": 1, "denied": 0}

#: Where the wire breaks, and how; what that is called; whether the old connection lives.
BREAKS = (
    (b"user", "hang before", Outcome("failed", "connection_timeout"), True),
    (b"user", "cut before", Outcome("failed", "connection_failed"), True),
    (b"ORDER BY", "hang before", Outcome("failed", "statement_timeout"), True),
    (b"ORDER BY", "hang after", Outcome("failed", "statement_timeout"), True),
    (b"ORDER BY", "cut before", Outcome("failed", "connection_lost"), True),
    (b"ORDER BY", "cut after", Outcome("failed", "connection_lost"), True),
    (b"terminate", "hang before", Outcome("unknown", "not_confirmed", NOTHING), True),
    (b"terminate", "hang after", Outcome("unknown", "not_confirmed", NOTHING), False),
    (b"terminate", "cut before", Outcome("unknown", "connection_lost", NOTHING), True),
    (b"terminate", "cut after", Outcome("unknown", "connection_lost", NOTHING), False),
    (b"ANY($1)", "hang before", Outcome("unknown", "not_confirmed", ONE), False),
    (b"ANY($1)", "cut after", Outcome("unknown", "connection_lost", ONE), False),
)


def test_a_wire_that_breaks_leaves_unknown_what_nobody_can_know(postgresql: Cluster, tmp_path: Path) -> None:
    pools = [Pool(postgresql, tmp_path) for _ in BREAKS]
    given = [
        pool.parameters(timeout="5s" if "hang" in how else "30s")
        for pool, (_, how, *_) in zip(pools, BREAKS, strict=True)
    ]
    for pool in pools:
        pool.connect("old")
    grow_old()

    async def one(parameters: PostgresPoolRecycle, word: bytes, broken: str) -> tuple[Outcome, float]:
        async with wire(parameters.url, word, broken) as url:
            began = time.monotonic()
            got = await operation.run(task(), parameters.model_copy(update={"url": url}))
            return got, time.monotonic() - began

    async def go() -> list[tuple[Outcome, float]]:
        # All at once: those that hang take their whole time.
        return await asyncio.gather(*(one(p, word, how) for p, (word, how, *_) in zip(given, BREAKS, strict=True)))

    ended = asyncio.run(go())
    alive = [pool.alive() == ["old"] for pool in pools]
    for pool in pools:
        pool.connections["old"].close()
    assert [(*case[:2], got, lives) for case, (got, _), lives in zip(BREAKS, ended, alive, strict=True)] == list(BREAKS)
    assert max(took for _, took in ended) < 8


def test_what_is_cancelled_while_the_server_hangs_is_cancelled_at_once(pool: Pool) -> None:
    pool.connect("old")
    grow_old()

    async def go() -> float:
        async with wire(pool.url, b"terminate", "hang before") as url:
            reached = asyncio.Event()

            async def check() -> None:
                reached.set()

            running = asyncio.create_task(operation.run(task(check=check), pool.parameters(url=url)))
            await reached.wait()
            await asyncio.sleep(0.1)
            began = time.monotonic()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            return time.monotonic() - began

    assert asyncio.run(go()) < 2


def test_a_server_that_stops_meanwhile_leaves_unknown_what_was_begun(tmp_path: Path) -> None:
    with Cluster() as cluster:
        pool = Pool(cluster, tmp_path)
        for name in ("one", "two"):
            pool.connect(name)
        grow_old()
        calls = itertools.count(1)

        async def check() -> None:
            if next(calls) == 2:
                cluster.crash()

        outcome = run(pool.parameters(), check=check)
        for connection in pool.connections.values():
            connection.close()
    assert outcome == Outcome("unknown", "connection_lost", {"signalled": 1, "denied": 0})


def test_a_description_is_one_plain_sentence_without_secrets(pool: Pool) -> None:
    parts = {"url": "postgresql://ops@db.example.com/app", "idle_longer_than": "10m"}
    assert operation.describe(PostgresPoolRecycle.model_validate(parts), "room-3") == (
        "end at most 10 connections to app on db.example.com that have been idle for 10m, for 'room-3'"
    )
    more = {"max_connections": 1, "application": "till", "user": "app", "include_idle_in_transaction": True}
    given = pool.parameters(**{**parts, **more})
    assert operation.describe(given, "a\nb") == (
        "end at most 1 connection of user 'app' and application 'till' to app on db.example.com "
        "that have been idle, or idle in a transaction, for 10m, for 'a\\nb'"
    )
