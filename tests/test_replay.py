"""What alerts would have done: an alert's life against a slow look at every second, and tiers against a live run."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import RICH, Live, hostile
from scripted import CAPACITY, STAMPS, T0, Scripted, spec, wire
from tocsin.replay import Alarm, Past, Recorded, Waits, expression, tiers

EVERY = 60


def past(rows: Sequence[Sequence[int]], wait: float = 0, keep: float = 0) -> list[tuple[float, float]]:
    """Episodes of looks at some instances: 1 active, 0 not, -1 unknown."""
    alarm = Alarm(Waits(wait, keep), EVERY)
    for i, row in enumerate(rows):
        seen = np.array(row)
        alarm.see(float(i * EVERY), seen > 0, seen < 0)
    end = float(len(rows) * EVERY)
    return sorted(map(tuple, alarm.past(0.0, end).episodes.tolist()))


def column(text: str) -> list[list[int]]:
    return [[{"#": 1, ".": 0, "?": -1}[c]] for c in text]


@pytest.mark.parametrize(
    ("seen", "wait", "keep", "expected"),
    [
        ("..##..", 0, 0, [(120, 240)]),
        ("##", 0, 0, [(0, 120)]),
        ("", 0, 0, []),
        # It fires when the condition has lasted, and not at the very moment at which it ends.
        ("##..", 119, 0, [(119, 120)]),
        ("##..", 120, 0, []),
        ("#.#.#", 60, 0, []),
        # It fires on, and what comes back in that time is the same episode.
        ("#...#...", 0, 60, [(0, 120), (240, 360)]),
        ("#...#...", 0, 180, [(0, 180 + 60), (240, 480)]),
        ("#...#...", 0, 181, [(0, 480)]),
        ("#.....", 0, 90, [(0, 150)]),
        # What comes back while it fires on need not wait again.
        ("##.#..", 100, 120, [(100, 360)]),
        # While nothing is known it stays as it was.
        ("#??#..", 0, 0, [(0, 240)]),
        ("#???", 0, 0, [(0, 240)]),
        (".??..", 0, 0, []),
        ("#??#", 90, 0, []),
        # What fires still at the end has lasted until then.
        ("...#", 0, 600, [(180, 240)]),
        ("..#.", 0, 600, [(120, 240)]),
    ],
)
def test_an_alert_waits_fires_and_fires_on(
    seen: str, wait: float, keep: float, expected: list[tuple[float, float]]
) -> None:
    assert past(column(seen), wait, keep) == expected


def slow(seen: Sequence[int], wait: int, keep: int) -> list[tuple[float, float]]:
    """The same second by second, as a Prometheus does that evaluates without a pause."""
    out: list[tuple[float, float]] = []
    pending: int | None = None
    fired: int | None = None
    ended: int | None = None
    for t in range(len(seen) * EVERY):
        now = seen[t // EVERY]
        if fired is not None and ended is not None and t - ended >= keep:
            out.append((fired, t))
            pending = fired = ended = None
        if now > 0 or (now < 0 and fired is not None):
            pending, ended = t if pending is None else pending, None
            if fired is None and t - pending >= wait:
                fired = t
        else:
            pending = None
            if fired is not None and ended is None:
                ended = t
                if keep == 0:
                    out.append((fired, t))
                    fired = ended = None
    if fired is not None:
        out.append((fired, len(seen) * EVERY))
    return out


@given(
    st.lists(st.lists(st.sampled_from([0, 1, 1, -1]), min_size=2, max_size=2), max_size=30),
    st.integers(0, 300),
    st.integers(0, 300),
)
def test_an_alert_lives_as_second_by_second(rows: list[list[int]], wait: int, keep: int) -> None:
    expected = [episode for i in range(2) for episode in slow([row[i] for row in rows], wait, keep)]
    assert past(rows, wait, keep) == sorted(expected)


def test_an_instance_that_comes_later_is_another_one() -> None:
    alarm = Alarm(Waits(), EVERY)
    alarm.see(0.0, np.array([True]))
    alarm.see(60.0, np.array([True, True]))
    alarm.see(120.0, np.array([False, True]))
    assert sorted(map(tuple, alarm.past(0.0, 180.0).episodes.tolist())) == [(0.0, 120.0), (60.0, 180.0)]


def test_a_column_that_changes_hands_ends_its_episode() -> None:
    alarm = Alarm(Waits(0, 600), EVERY)
    alarm.see(0.0, np.array([True]))
    alarm.forget([0, 5], 60.0)
    alarm.see(60.0, np.array([True]))
    assert sorted(map(tuple, alarm.past(0.0, 120.0).episodes.tolist())) == [(0.0, 60.0), (60.0, 120.0)]


def test_a_past_is_told_in_numbers() -> None:
    one = Past(0.0, 86400.0, np.array([[0.0, 600.0], [300.0, 900.0], [2000.0, 2060.0]]))
    assert (one.median, one.per_day, one.firing) == (600.0, 3.0, 960 / 86400)
    none = Past(0.0, 86400.0, np.empty((0, 2)))
    assert (none.median, none.per_day, none.firing) == (None, 0.0, 0.0)


def rows(*values: Sequence[float | None]) -> list[tuple[str, Callable[[float], float | None]]]:
    """Series a, b and so on with these values, one a minute from T0 on."""
    return [(name, lambda t, row=row: row[round((t - T0) / EVERY)]) for name, row in zip("ab", values, strict=False)]


def test_instants_of_the_past_are_read_from_ranges() -> None:
    a = [0, 2, 4, None, 8, 10, 12, 14, 16, 18, 20, 22]
    b = [1, 3, 5, 7, 9, 11, None, None, None, None, None, None]
    source = Scripted(*rows(a, b), chunk=5)
    recorded = Recorded(source, T0, T0 + 660, EVERY)

    async def all_of_it() -> list[dict[bytes, float]]:
        answers = [await recorded.instant("m", T0 + i * EVERY) for i in range(12)]
        return [dict(zip(one.metrics, one.values.tolist(), strict=True)) for one in answers]

    seen = asyncio.run(all_of_it())
    assert seen == [
        {wire(name): value for name, value in (("a", x), ("b", y)) if value is not None}
        for x, y in zip(a, b, strict=True)
    ]
    assert source.asked == [("range", "m", T0, T0 + 660)]
    with pytest.raises(IndexError):
        asyncio.run(recorded.instant("m", T0 + 720))
    assert source.asked[1:] == [("instant", "m", T0 + 720, 0.0)]


def test_series_of_an_expression_are_instances_of_its_alert_across_chunks() -> None:
    a = [1 if 3 <= i < 8 else None for i in range(12)]
    b = [1 if i >= 5 else None for i in range(12)]
    told: list[tuple[int, int]] = []
    source = Scripted(*rows(a, b), chunk=5)
    found = asyncio.run(
        expression("m", Waits(60), source, T0, T0 + 660, EVERY, lambda *progress: told.append(progress))
    )
    episodes = sorted((begin - T0, end - T0) for begin, end in found.episodes.tolist())
    assert episodes == [(240, 480), (360, 660)]
    assert told == [(5, 12), (10, 12), (12, 12)]


def test_tiers_of_the_past_are_those_of_a_tocsin_that_was_running() -> None:
    # Samples repeat every other minute, and a capacity doubles.
    source = Scripted(*hostile(), chunk=7)
    source.series[STAMPS] = [(labels, lambda t: t // 120 * 120) for labels, _ in hostile()]
    source.series[CAPACITY] = [(labels, lambda t: 1.0 if t < T0 + 2400 else 2.0) for labels, _ in hostile()]
    how = spec(**RICH, step=120, timestamps=STAMPS, capacity=CAPACITY)
    minutes, waits = 60, {2: Waits(0, 0), 3: Waits(75, 300), 4: Waits(0, 120)}
    live, seen = Live(source, how), []
    for i in range(minutes):
        live.at(T0 + i * EVERY)
        view = live.view
        seen.append({r.resource: int(view.grades.tier[c]) for c, r in enumerate(view.resources) if r is not None})
    told: list[tuple[int, int]] = []
    end = T0 + (minutes - 1) * EVERY
    alarms = list(waits.items())
    pasts = asyncio.run(tiers(how, alarms, source, T0, end, lambda *progress: told.append(progress)))
    for (least, wait), found in zip(alarms, pasts, strict=True):
        expected = []
        for resource in {name for row in seen for name in row}:
            tier = [row.get(resource, 0) for row in seen]
            life = slow([-1 if one < 0 else int(one >= least) for one in tier], int(wait.wait), int(wait.keep))
            expected += [(T0 + a, min(T0 + b, end)) for a, b in life if T0 + a < end]
        assert sorted(map(tuple, found.episodes.tolist())) == sorted(expected)
        assert len(expected) > 3
    assert told[-1] == (minutes, minutes)
