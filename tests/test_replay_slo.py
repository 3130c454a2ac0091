"""Burn alerts of the past from metrics alone: windows put together from slots, against a slow look at each of them."""

import asyncio

import numpy as np
import pytest

from scripted import T0, Scripted, down
from tocsin import names
from tocsin.config.expr import parse
from tocsin.config.load import load
from tocsin.config.types import format_duration
from tocsin.core import slo as core
from tocsin.generate.lint.inline import Cannot
from tocsin.generate.slo import Objective, expr, objectives
from tocsin.replay import Waits
from tocsin.replay_slo import SLOT, Recordings, recordings
from tocsin.source.errors import SourceError

SERVICE = """\
service: shop
links: {runbook: "https://wiki.example.com/{alert}"}
slos:
  bad: {objective: 99.9%, sli: {bad: 'r{c="5"}', total: r}}
  good: {objective: 99.9%, sli: {good: 'r{c="2"}', total: r}}
  probe: {objective: 99.9%, sli: {probe: p}}
  now: {objective: 99.9%, sli: {ratio: n}}
  asked: {objective: 99.9%, sli: {ratio: 'rate(r[$window])'}}
"""
DAY = 86400
START, END = T0 + 4 * DAY, T0 + 6 * DAY
#: Numbers of events in each slot: nothing at all before T0 + 2 h, no bad counter before T0 + 5 d, gaps now and then.
FIRST, FIRST_BAD = T0 + 7200, T0 + 5 * DAY


def total(t: float) -> float | None:
    k = int(t // SLOT)
    return None if t < FIRST or k % 7 == 0 else float(k * 2654435761 % 13)


def bad(t: float) -> float | None:
    return None if t < FIRST_BAD or (number := total(t)) is None else float(int(t // SLOT) % 5 == 0) * number / 2


@pytest.fixture(scope="module")
def slos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Objective]:
    """The SLOs by name."""
    folder = tmp_path_factory.mktemp("config")
    (folder / "tocsin.yml").write_text("source: {url: 'http://127.0.0.1:1'}\nservices: [shop.yml]\n")
    (folder / "shop.yml").write_text(SERVICE)
    config = load(folder / "tocsin.yml")
    return {one.name: one for one in objectives(config.services[0], config.process.target)}


def found(slo: Objective, source: Scripted) -> Recordings:
    return asyncio.run(recordings(slo, source, START, END, lambda _done, _total: None))  # type: ignore[arg-type]  # a source in memory


def over(at: object, t: float, window: int) -> float:
    """Sum over the slots of a window by looking at each; NaN where there is none."""
    values = [at(t - i * SLOT) for i in range(window // SLOT)]  # type: ignore[operator]  # a function of the time
    known = [value for value in values if value is not None]
    return float(sum(known)) if known else np.nan


@pytest.mark.parametrize("kind", ["bad", "good"])
def test_windows_are_put_together_from_slots(slos: dict[str, Objective], kind: str) -> None:
    slo, source = slos[kind], Scripted(chunk=100)
    part = slo.measure.bad or slo.measure.good
    assert part is not None
    source.series = {slo.measure.total_over("5m"): [("", total)], part("5m"): [("", bad)]}
    seen = found(slo, source)
    assert seen.times.tolist() == [START + i * SLOT for i in range(2 * DAY // SLOT + 1)]
    for window in core.ALL:
        text = format_duration(window)
        events, share = seen.series[names.RECORD_EVENTS_OVER + text], seen.series[names.RECORD_ERROR_OVER + text]
        for i in range(0, len(seen.times), 29):
            t = float(seen.times[i])
            number, some = over(total, t, window), over(bad, t, window)
            assert events[i] == pytest.approx(number, nan_ok=True)
            # A counter that is not there yet counted nothing.
            some = 0 * number if np.isnan(some) else some
            expected = some / number if number > 0 else np.nan
            assert share[i] == pytest.approx(1 - expected if kind == "good" else expected, nan_ok=True, abs=1e-12)
    assert seen.seen
    # A day in each query, each slot once.
    spans = [(a, b) for _, one, a, b in source.asked if one == part("5m")]
    assert all(b - a < DAY for a, b in spans)
    assert [a for a, _ in spans[1:]] == [b + SLOT for _, b in spans[:-1]]


def test_a_share_of_the_moment_is_averaged(slos: dict[str, Objective]) -> None:
    slo, source = slos["now"], Scripted()
    source.series = {f"avg_over_time(({slo.measure.now})[5m:1m])": [("", total)]}
    seen = found(slo, source)
    day = seen.series[names.RECORD_ERROR_OVER + "1d"]
    values = [value for k in range(DAY // SLOT) if (value := total(END - k * SLOT)) is not None]
    assert day[-1] == pytest.approx(np.mean(values))


def test_a_share_of_a_window_is_asked_for_and_held(slos: dict[str, Objective]) -> None:
    slo, source = slos["asked"], Scripted()
    source.series = {slo.measure.share(format_duration(w)): [("", lambda t, w=w: t + w)] for w in core.ALL}
    seen = found(slo, source)
    hour, three = (seen.series[names.RECORD_ERROR_OVER + text] for text in ("1h", "3d"))
    assert hour.tolist() == [t + 3600 for t in seen.times.tolist()]
    # 48 looks in a window of three days.
    assert three.tolist() == [START + (t - START) // 5400 * 5400 + 3 * DAY for t in seen.times.tolist()]


def test_when_it_began_and_how_often_it_was_there(slos: dict[str, Objective]) -> None:
    slo, source = slos["bad"], Scripted()
    source.series = {slo.measure.total_over("5m"): [("", lambda t: 1.0 if t >= END - 3000 and t != END else None)]}
    seen = found(slo, source)
    assert (seen.since, seen.share, seen.seen) == (END - 3000, pytest.approx(10 / 11), False)
    assert found(slo, Scripted()).since is None


def test_an_alert_is_its_own_expression_on_these_windows(slos: dict[str, Objective]) -> None:
    slo, source, burn = slos["bad"], Scripted(), START + DAY
    assert slo.measure.bad is not None
    source.series = {
        slo.measure.total_over("5m"): [("", lambda _: 3000.0)],
        slo.measure.bad("5m"): [("", lambda t: 3000.0 if burn < t <= burn + 3600 else 0.0)],
    }
    seen = found(slo, source)
    page = seen.past(parse(expr(slo, "page")), Waits(), START, END)
    # One slot of failures is enough, and the half hour after them has the last one in it.
    assert page.episodes.tolist() == [[burn + SLOT, burn + 3600 + 1800]]
    kept = seen.past(parse(expr(slo, "page")), Waits(keep=600), START, END)
    assert kept.episodes.tolist() == [[burn + SLOT, burn + 3600 + 1800 + 600]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("up > 1", "its expression needs up in the source"),
        ('tocsin_slo:error:ratio_rate1h{slo="other"} > 1', "its expression needs tocsin_slo:error:ratio_rate1h{"),
        ("rate(tocsin_slo:error:ratio_rate1h[5m]) > 1", "its expression "),
        ("1 > bool 2", "its expression is not one that is worked out here: 1 > bool 2"),
    ],
)
def test_an_expression_that_needs_more_is_refused(slos: dict[str, Objective], text: str, reason: str) -> None:
    seen = found(slos["bad"], Scripted())
    with pytest.raises(Cannot) as caught:
        seen.past(parse(text), Waits(), START, END)
    assert str(caught.value).startswith(reason)


def test_operators_are_those_of_promql_for_one_series(slos: dict[str, Objective]) -> None:
    slo = slos["bad"]
    values = np.array([np.nan, 0.0, 2.0, 9.0])
    seen = Recordings(slo.identity, np.arange(4.0), {"a": values}, ~np.isnan(values))
    a = 'a{tocsin_service="shop", slo="bad"}'
    for text, expected in {
        f"{a} + 1": [np.nan, 1, 3, 10],
        f"clamp_max({a}, 1) * 2": [np.nan, 0, 2, 2],
        f"clamp_min(({a}), 1) - sqrt({a})": [np.nan, 1, 2 - 2**0.5, 6],
        f"abs(1 - {a})": [np.nan, 1, 1, 8],
        f"{a} > 1 and {a} < 5": [np.nan, np.nan, 2, np.nan],
        f"{a} / 2 > 1 or {a} == 0": [np.nan, 0, np.nan, 4.5],
        f"{a} unless {a} != 2": [np.nan, np.nan, 2, np.nan],
        f"{a} >= 2 unless {a} <= 2": [np.nan, np.nan, np.nan, 9],
    }.items():
        assert seen._value(parse(text)).tolist() == pytest.approx(expected, nan_ok=True), text


def test_a_source_that_fails_says_so(slos: dict[str, Objective]) -> None:
    source = Scripted()
    source.fault = lambda _kind, _expr, _t: down()
    with pytest.raises(SourceError, match="is down"):
        found(slos["probe"], source)
