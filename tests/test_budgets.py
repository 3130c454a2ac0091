"""Reading error budgets: from what is recorded, directly where nothing is, and not at all while nobody answers."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tocsin import names
from tocsin.budgets import QUERY, Budgets
from tocsin.config.load import load
from tocsin.core import explain_slo
from tocsin.core.budget import Readings, SloView, Terms, assess
from tocsin.source.columns import Matrix, Vector
from tocsin.source.errors import SourceError
from tocsin.specs import slo_specs_of
from tocsin.telemetry import Telemetry

NOW = 1_800_000_000.0
MONTH = 30 * 86400


class Recorded:
    """A source that answers from tables: the recorded series, and values of expressions."""

    def __init__(self) -> None:
        self.series: list[tuple[dict[str, str], float]] = []
        self.direct: Mapping[str, float] = {}
        self.error: SourceError | None = None
        self.asked: list[str] = []

    async def instant(self, expr: str, t: float, _step: float | None = None) -> Vector:
        self.asked.append(expr)
        if self.error is not None:
            raise self.error
        rows = self.series if expr == QUERY else [({}, self.direct[expr])] if expr in self.direct else []
        labels = [msgspec.json.encode(labels) for labels, _ in rows]
        return Vector(t, labels, np.array([value for _, value in rows]))

    async def range(self, _expr: str, _start: float, _end: float, _step: float) -> AsyncIterator[Matrix]:
        raise AssertionError("budgets ask instant queries only")
        yield  # an iterator, as the protocol has it

    def record(self, slo: str, **values: float) -> None:
        """Series of an SLO of the shop by the end of their name."""
        known = {"history": names.RECORD_HISTORY, "left": names.RECORD_REMAINING}
        for short, value in values.items():
            kind, _, window = short.partition("_")
            name = known.get(short) or {"e": names.RECORD_ERROR_OVER, "n": names.RECORD_EVENTS_OVER}[kind] + window
            labels = {"__name__": name, names.SERVICE: "shop", names.SLO: slo}
            self.series.append((labels, value))


def budgets(tmp_path: Path, source: Recorded, telemetry: Telemetry | None = None) -> Budgets:
    (tmp_path / "tocsin.yml").write_text("source: {url: http://127.0.0.1:9090}\nservices: [shop.yml]\n")
    (tmp_path / "shop.yml").write_text(
        "service: shop\n"
        "slos:\n"
        "  api: {objective: 99.9%, sli: {bad: 'errors_total', total: requests_total}}\n"
        "  speed: {objective: 99%, sli: {ratio: slow_share}}\n"
    )
    return Budgets(slo_specs_of(load(tmp_path / "tocsin.yml")), source, telemetry or Telemetry(), clock=lambda: NOW)


def read(reader: Budgets, t: float = NOW) -> dict[str, SloView]:
    asyncio.run(reader.read(t))
    return {view.terms.slo: view for view in reader.views}


def test_recorded_series_become_burn_rates_budget_and_exhaustion(tmp_path: Path) -> None:
    source = Recorded()
    source.record("api", e_5m=0.02, e_1h=0.02, e_1d=0.002, n_1h=1e6, n_1d=1e7, history=0.5, left=0.6)
    source.record("speed", e_5m=0.0, e_1d=math.nan, history=1.0, left=1.0)
    views = read(budgets(tmp_path, source))
    api = views["api"]
    assert api.burn == {300: 20.0, 3600: 20.0, 86400: 2.0}
    assert api.readings.remaining == 0.6
    assert api.exhausted_at == NOW + 0.6 * MONTH / 2
    assert [(p.window.long, p.window.kind) for p in api.burning] == [(3600, "page")]
    assert api.held_back == {}
    assert api.reasons == ("partial_history",)
    assert api.interval == pytest.approx((0.001972, 0.002028), abs=1e-6)
    assert (views["speed"].exhausted_at, views["speed"].interval, views["speed"].reasons) == (None, None, ())
    assert source.asked == [QUERY]


def test_little_traffic_holds_back_with_the_reason(tmp_path: Path) -> None:
    source = Recorded()
    source.record("api", e_5m=0.5, e_1h=0.5, n_1h=8.0, n_1d=8.0)
    [pair] = (api := read(budgets(tmp_path, source))["api"]).burning
    assert api.held_back == {pair: "few_bad_events"}


def test_what_is_not_recorded_is_asked_for_directly_every_five_minutes(tmp_path: Path) -> None:
    source = Recorded()
    reader = budgets(tmp_path, source)
    source.direct = {"sum(increase(requests_total[5m]))": 100.0}
    api = read(reader)["api"]
    assert (api.readings.recorded, api.readings.events) == (False, {300: 100.0})
    asked = len(source.asked)
    assert asked == 1 + (7 + 5 + 2) + (7 + 2)
    assert read(reader, NOW + 299)["api"].t == NOW
    assert len(source.asked) == asked + 1
    source.direct = {"sum(increase(requests_total[5m]))": 200.0}
    assert read(reader, NOW + 300)["api"].readings.events == {300: 200.0}
    source.record("api", e_5m=0.0)
    assert read(reader, NOW + 330)["api"].readings.recorded


def test_two_readings_without_an_answer_withdraw_everything(tmp_path: Path) -> None:
    source, telemetry = Recorded(), Telemetry()
    reader = budgets(tmp_path, source, telemetry)
    source.record("api", e_5m=0.0)
    assert set(read(reader)) == {"api", "speed"}
    source.error = SourceError("is away", "unreachable")
    assert set(read(reader, NOW + 30)) == {"api", "speed"}
    assert read(reader, NOW + 60) == {}
    assert telemetry.value("slo_evaluations_total", "unreachable") == 2
    assert telemetry.value("slo_last_success_timestamp_seconds") == NOW
    source.error = None
    assert set(read(reader, NOW + 90)) == {"api", "speed"}


def test_an_sli_that_cannot_be_asked_for_keeps_no_other_from_being_read(tmp_path: Path) -> None:
    class Half(Recorded):
        async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:
            if "slow_share" in expr:
                raise SourceError("does not understand", "bad_query")
            return await super().instant(expr, t, step)

    source, telemetry = Half(), Telemetry()
    source.record("api", e_5m=0.0)
    views = read(budgets(tmp_path, source, telemetry))
    assert (views["api"].reasons, views["speed"].reasons) == ((), ("absent",))
    assert (telemetry.value("slo_evaluations_total", "bad_query"), telemetry.value("slo_evaluations_total", "ok")) == (
        1,
        1,
    )


# ------------------------------------------------------------------------------------------------ explained


TERMS = Terms(
    "shop", "api", 0.999, MONTH, 5, True, "Requests are answered.", (("page", "Burn"), ("ticket", "Smoulder"))
)


def sentences(terms: Terms = TERMS, **readings: Any) -> tuple[str, ...]:
    return explain_slo.explain(assess(terms, Readings(**readings), NOW)).sentences


def test_a_healthy_slo_is_explained_to_a_newcomer() -> None:
    found = sentences(errors={300: 0.0, 86400: 0.0005}, events={86400: 1e6}, history=1.0, remaining=0.75)
    assert "\n".join(found) == (
        "Requests are answered.\n"
        "99.9% has to be good over 30d; 0.1% may be bad: that is the error budget.\n"
        "75% of the budget is left (100% of the period was seen).\n"
        "Over the last day it burned 0.5 times as fast as the budget allows; at that rate nothing is left 45d from now,"
        " at 2027-03-01T08:00:00Z.\n"
        "With so many events the true share of bad ones is between 0.04571% and 0.05458% (95 %).\n"
        "Burn (page) would fire at a burn rate of 14.4 over 1h and 5m (1.44% bad) or 6 over 6h and 30m (0.6% bad);"
        " if everything failed, after 52s.\n"
        "Smoulder (ticket) would fire at a burn rate of 3 over 1d and 2h (0.3% bad) or 1 over 3d and 6h (0.1% bad);"
        " if everything failed, after 4m 19s."
    )


def test_what_fires_what_is_held_back_and_what_is_missing_is_said() -> None:
    burning = {300: 0.5, 3600: 0.5, 1800: 0.5, 21600: 0.001}
    fires = sentences(errors=burning, events={3600: 1e4}, recorded=False)
    assert "Burn (page) fires: the burn rate is 500 over 1h. Its bounds: 14.4 over 1h and 5m" in fires[2]
    assert "recording rules are not loaded" in fires[-1]
    held = sentences(errors=burning, events={3600: 8.0})
    assert held[-1] == (
        "The burn rate over 1h is at its bound, but nothing fires: there are fewer bad events than min_bad."
    )
    assert "Nothing is known of it" in sentences()[-1]
    assert "Nothing happened in the last hour" in sentences(events={3600: 0.0})[-1]
    assert "do not fit together" in sentences(errors={3600: -0.2}, events={3600: 5.0})[-1]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (51.84, "52s"), (259.2, "4m 19s"), (3600, "1h"), (90_000, "1d 1h")]
)
def test_a_span_of_time_is_written_in_two_units_at_most(seconds: float, text: str) -> None:
    assert explain_slo.about(seconds) == text
