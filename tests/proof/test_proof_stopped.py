"""A process is stopped, its lease ends, another one gives its action up, and then it is woken."""

import signal
from pathlib import Path

import pytest

from checker import check
from proof_child import BEFORE_THE_FIRST_BYTE, Fate
from sites import COOL_DOWN, Load, Site, alert, kill, ports, post, signalled, stopped, until
from stores import Place
from world import World, outside


def woken_late(folder: Path, where: Place, world: World, point: str) -> Site:
    """One alert, whose action is stopped at the point by one process, given up by another, and then woken."""
    # What the sleeper has locked in a PostgreSQL may keep the other one waiting: the lease outlasts that.
    site = Site(folder, where, world, resources=1, timeout="30s")
    first, second = ports(2)
    with site.serving(first, Fate(point, 1, signal.SIGSTOP)) as sleeper:
        load = Load(site, [first], 0, threads=1)
        load.allow(1)
        try:
            until(lambda: stopped(sleeper))
            assert site.rows("SELECT state FROM actions") == [("running",)]
            assert world.calls == []
            with site.serving(second):
                # While the lease lasts the other one leaves it alone.
                until(lambda: post(second, [alert(0, site.resources)]) == 200)
                assert site.rows("SELECT state FROM actions") == [("running",)]
                site.shared.ahead += 120
                until(lambda: site.rows("SELECT state, reason FROM actions") == [("unknown", "interrupted")])
                signalled(sleeper, signal.SIGCONT)
                until(lambda: site.rows("SELECT count(*) FROM audit WHERE kind = 'action.late'") == [(1,)])
        except BaseException:
            kill(sleeper)
            raise
        finally:
            load.end()
    assert site.rows("SELECT state, reason FROM actions") == [("unknown", "interrupted")]
    assert site.rows("SELECT count(*) FROM resources WHERE held_since IS NOT NULL") == [(1,)]
    found = check(site.rows, world.calls, {"0"}, cool_down=COOL_DOWN)
    assert found.wrong == ()
    return site


@pytest.mark.parametrize("point", ["claim: committed", "action: checked"])
def test_who_slept_past_the_lease_does_nothing_and_says_so(tmp_path: Path, somewhere: Place, point: str) -> None:
    with outside() as world:
        site = woken_late(tmp_path, somewhere, world, point)
        assert world.calls == []
    kinds = site.rows("SELECT kind, result FROM audit ORDER BY seq")
    assert kinds == [
        ("action.intent", "intent"),
        ("action.started", "running"),
        ("action.ended", "unknown"),
        ("action.late", "unknown"),
    ]
    ((said,),) = site.rows("SELECT detail FROM audit WHERE kind = 'action.late'")
    assert '"outcome":"refused"' in said


def test_who_slept_after_the_last_look_sends_its_request_once_with_its_key(tmp_path: Path, somewhere: Place) -> None:
    # What no look at a store can prevent, and docs/safety.md says: the receiver can tell by the key. The sleeper may be
    # faster with its request, or with seeing that it has not read the switch for long and has to end what runs.
    with outside() as world:
        world.always_well = True
        site = woken_late(tmp_path, somewhere, world, BEFORE_THE_FIRST_BYTE)
        ((key,),) = site.rows("SELECT id FROM actions")
        keys = [call.key for call in world.calls]
    ((reason, said),) = site.rows("SELECT reason, detail FROM audit WHERE kind = 'action.late'")
    if reason == "halted":
        assert (keys in ([], [key]), said) == (True, '{"outcome":"unknown"}')
    else:
        assert (keys, '"outcome":"ok"' in said) == ([key], True)
