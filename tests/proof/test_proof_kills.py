"""Tocsin is killed again and again, at any time and at every named point, with many alerts on their way."""

import random
from collections import Counter
from pathlib import Path

import pytest

from checker import check
from proof_child import Fate
from sites import COOL_DOWN, Load, Site, gauge, kill, ports, until
from sizes import sized, told
from stores import Place, place
from world import outside

POINTS = (
    "intake: read",
    "group: begun",
    "group: one written",
    "write: before the commit",
    "group: committed",
    "decide: begun",
    "decide: written",
    "decide: committed",
    "claim: written",
    "claim: committed",
    "action: checked",
    "action: done",
    "end: written",
    "end: committed",
)
KILLS = sized(20, 200, 5000)
#: Kills on one store, before it has to settle and is looked at.
ROUND = 25
#: Tests among which they are divided: so many can run side by side.
PARTS = sized(1, 2, 20)


def killed(site: Site, load: Load, port: int, chance: random.Random, turn: int) -> str:
    """Start it, and kill it; says where it died."""
    load.allow(chance.randint(1, 4))
    site.shared.ahead += chance.choice((0.0, 0.0, 20.0, 70.0))
    if turn % 2:
        fate, patience = Fate(POINTS[turn // 2 % len(POINTS)], chance.randint(1, 4)), 0.8
    else:
        fate, patience = Fate(), chance.random() * 0.5
    child = site.start(port, fate)
    child.join(patience)
    where = "anywhere" if child.is_alive() else fate.point
    kill(child)
    assert child.exitcode == -9, site.log(port)
    return where


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_done_twice_or_lost_however_often_it_is_killed(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, part: int
) -> None:
    died: Counter[str] = Counter()
    states: Counter[str] = Counter()
    rounds = range(part, -(-KILLS // ROUND), PARTS)
    for number in rounds:
        folder = tmp_path / str(number)
        folder.mkdir()
        turns = range(number * ROUND, min(KILLS, (number + 1) * ROUND))
        where, found = one_round(folder, place(kind, request, folder), turns)
        died += where
        states += found
    kills = sum(min(KILLS, (number + 1) * ROUND) - number * ROUND for number in rounds)
    assert died.total() == kills
    told(f"{kind}: {kills} kills, {dict(died)}, actions {dict(states)}")


def one_round(folder: Path, where: Place, turns: range) -> tuple[Counter[str], Counter[str]]:
    """Kill it on a new store, have it settle, and look."""
    chance = random.Random(turns.start)  # noqa: S311  no secret
    (port,) = ports(1)
    with outside() as world:
        site = Site(folder, where, world, resources=50)
        load = Load(site, [port], turns.start)
        died = Counter(killed(site, load, port, chance, turn) for turn in turns)
        with site.serving(port):
            site.settle(load, [port])
            # A human sees every unknown.
            ((held,),) = site.rows("SELECT count(*) FROM resources WHERE held_since IS NOT NULL")
            until(lambda: (gauge(port, 'tocsin_actions_unknown{tocsin_service="shop"}') or 0) == held, 10)
        found = check(site.rows, world.calls, load.acknowledged, cool_down=COOL_DOWN)
    site.integrity()
    assert (found.wrong, load.wrong, found.held) == ((), [], held)
    return died, Counter(found.states)
