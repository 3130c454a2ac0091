"""Two and three replicas on one PostgreSQL, which are killed and stopped, and whose database restarts."""

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from click.testing import CliRunner

from checker import check
from sites import COOL_DOWN, Load, Site, gauge, healthy, kill, ports, signalled, until
from sizes import sized, told
from stores import Place
from tocsin.cli import main
from tocsin.guard import switch
from tocsin.store import Store
from tools.postgres import PASSWORD, Cluster
from world import outside

EVENTS = sized(3, 40, 400)


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server of these tests alone: it is restarted while others would use it."""
    with Cluster() as running:
        yield running


class Replicas:
    """Processes on one store, each on a port of its own, always as many as there were at the beginning."""

    def __init__(self, site: Site, count: int) -> None:
        self.site, self.ports = site, ports(count)
        self.children: list[ForkServerProcess] = [site.start(port) for port in self.ports]
        for port in self.ports:
            until(partial(healthy, port))

    def kill(self, i: int) -> None:
        kill(self.children[i])
        self.children[i] = self.site.start(self.ports[i])

    def pause(self, i: int, seconds: float, ahead: float) -> None:
        """Stop it; time may go on for the others."""
        signalled(self.children[i], signal.SIGSTOP)
        try:
            time.sleep(seconds / 2)
            self.site.shared.ahead += ahead
            time.sleep(seconds / 2)
        finally:
            signalled(self.children[i], signal.SIGCONT)

    def end(self) -> None:
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.join(20)
            kill(child)


def test_the_switch_is_flipped_at_once_however_many_decide(own: Cluster) -> None:
    # Deciding without a pause: the row is always locked by somebody.
    where, ended = Place(own.database(), PASSWORD, own), threading.Event()
    with where.open() as store:

        def decide() -> None:
            while not ended.is_set():
                with store.write() as connection:
                    switch.read(connection, lock=True)
                    time.sleep(0.02)

        threads = [threading.Thread(target=decide) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            with where.open() as other:
                waited = [_flip(other, enabled=bool(i % 2)) for i in range(10)]
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert max(waited) < 0.5, waited


def _flip(store: Store, *, enabled: bool) -> float:
    began = time.monotonic()
    with store.write() as connection:
        switch.flip(connection, enabled=enabled, principal="test", reason="proof", now=began)
    return time.monotonic() - began


@contextmanager
def replicas(site: Site, count: int) -> Iterator[Replicas]:
    running = Replicas(site, count)
    try:
        yield running
    finally:
        running.end()


@pytest.mark.parametrize("count", [2, 3])
def test_replicas_do_nothing_twice_whatever_happens_to_them_and_their_database(
    tmp_path: Path, own: Cluster, count: int
) -> None:
    where = Place(own.database(), PASSWORD, own)
    chance = random.Random(count)  # noqa: S311  no secret
    happened: dict[str, int] = {}
    with outside() as world:
        world.slow = 0.02
        site = Site(tmp_path, where, world, resources=20 + 10 * EVENTS, timeout="5s")
        with replicas(site, count) as running:
            load = Load(site, running.ports, count, threads=2 * count)
            for turn in range(EVENTS):
                load.allow(chance.randint(4, 10))
                time.sleep(chance.random() * 0.3)
                what = ("kill", "pause", "restart")[turn % 3]
                happened[what] = happened.get(what, 0) + 1
                happen(running, own, what, chance)
            for port in running.ports:
                until(partial(healthy, port), 30)
            site.settle(load, running.ports)
        found = check(site.rows, world.calls, load.acknowledged, cool_down=COOL_DOWN)
    assert (found.wrong, load.wrong) == ((), [])
    told(f"{count} replicas: {happened}, {len(world.calls)} calls, actions {dict(found.states)}")


def happen(running: Replicas, server: Cluster, what: str, chance: random.Random) -> None:
    which = chance.randrange(len(running.children))
    if what == "kill":
        running.kill(which)
        running.site.shared.ahead += chance.choice((0.0, 30.0))
    elif what == "pause":
        running.pause(which, 0.2 + chance.random() * 0.5, chance.choice((0.0, 30.0, 70.0)))
    else:
        chance.choice((server.stop, server.crash))()
        time.sleep(chance.random() * 0.3)
        server.start()


def test_the_switch_is_off_on_all_within_a_second_and_what_runs_ends_within_ten(tmp_path: Path, own: Cluster) -> None:
    where = Place(own.database(), PASSWORD, own)
    with outside() as world, ExitStack() as stack:
        world.always_well = True
        world.slow = 0.05
        site = Site(tmp_path, where, world, resources=400, timeout="30s")
        running = stack.enter_context(replicas(site, 3))
        load = Load(site, running.ports, 1, threads=6)
        load.allow(15)
        until(lambda: len(world.calls) > 10)
        # Now some take longer than anybody waits.
        world.slow = 15.0
        load.allow(30)
        before = len(world.calls)
        until(lambda: len(world.calls) >= before + 6)
        load.allow(30)
        watching = Noticed(running.ports, 0.0)
        flipped(site, "disable", "--reason=proof")
        # From here on the command has said that it is done.
        off = time.monotonic()
        late = [max(0.0, seen - off) for seen in watching.times()]
        until(lambda: site.rows("SELECT count(*) FROM actions WHERE state = 'running'") == [(0,)], 10)
        ended = time.monotonic() - off
        time.sleep(max(0.0, off + 1.5 - time.monotonic()))
        after = [call.at - off for call in world.calls if call.at > off]
        assert max(late) < 1.0
        assert all(seconds < 1.0 for seconds in after), after
        until(lambda: site.rows(_HELD)[0][0] > 0)
        halted = site.rows("SELECT count(*) FROM actions WHERE state = 'unknown' AND reason = 'halted'")
        world.slow = 0.0
        flipped(site, "enable")
        site.settle(load, running.ports)
        found = check(site.rows, world.calls, load.acknowledged, cool_down=COOL_DOWN)
    assert (found.wrong, load.wrong) == ((), [])
    assert found.states["unknown"] >= halted[0][0] >= 6
    told(
        f"off everywhere after {max(late):.3f} s, what ran had ended after {ended:.2f} s; {len(after)} calls after the "
        f"flip; actions {dict(found.states)}"
    )


_HELD = "SELECT count(*) FROM actions WHERE state = 'held' AND reason = 'kill_switch'"


def flipped(site: Site, what: str, *more: str) -> None:
    done = CliRunner().invoke(main, ["kill-switch", what, f"--config.file={site.path}", *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output


class Noticed:
    """When each replica says so for the first time, monotonic seconds; looked at from now on."""

    def __init__(self, ports: list[int], value: float) -> None:
        self._found = [0.0] * len(ports)
        self._threads = [threading.Thread(target=self._watch, args=(i, port, value)) for i, port in enumerate(ports)]
        for thread in self._threads:
            thread.start()

    def times(self) -> list[float]:
        for thread in self._threads:
            thread.join()
        return self._found

    def _watch(self, i: int, port: int, value: float) -> None:
        until(lambda: gauge(port, "tocsin_kill_switch_armed") == value, 10)
        self._found[i] = time.monotonic()
