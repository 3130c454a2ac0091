"""The ruler's word before anything is done: what it is asked, and which answers count."""

import asyncio
from typing import Any

import numpy as np
import pytest

from tocsin.respond.confirm import confirm
from tocsin.respond.decide import Confirmation
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError

NOW = 1_700_000_000.0
LABELS = {"alertname": "Full", "tocsin_service": "shop", "resource": 'pi"a\\no', "severity": "4", "cluster": "external"}


class Ruler:
    """Answers with the values, or fails."""

    def __init__(self, *values: float, warnings: tuple[str, ...] = (), error: SourceError | None = None) -> None:
        self.values, self.warnings, self.error = values, warnings, error
        self.asked: list[tuple[str, float]] = []

    async def instant(self, expr: str, t: float, _step: float | None = None) -> Vector:
        self.asked.append((expr, t))
        if self.error is not None:
            raise self.error
        return Vector(t, [b"{}"] * len(self.values), np.array(self.values), self.warnings)


def said(ruler: Any) -> Confirmation:
    return asyncio.run(confirm(ruler, LABELS, 120, NOW))


def test_it_is_asked_by_name_and_by_labels_that_the_rule_sets_those_that_are_absent_included() -> None:
    ruler = Ruler(NOW)
    said(ruler)
    labels = 'alertname="Full", tocsin_service="shop", signal="", resource="pi\\"a\\\\no", slo="", alertstate="firing"'
    assert ruler.asked == [(f"max(timestamp(ALERTS{{{labels}}}))", NOW)]


@pytest.mark.parametrize(
    ("ruler", "reason"),
    [
        (Ruler(NOW), ""),
        (Ruler(NOW - 120), ""),
        (Ruler(NOW - 120.1), "unconfirmed"),
        (Ruler(NOW + 120.1), "unconfirmed"),
        (Ruler(), "unconfirmed"),
        (Ruler(float("nan")), "unconfirmed"),
        (Ruler(NOW, warnings=("a part of the answer is missing",)), "unconfirmed"),
        (Ruler(error=SourceError("is away", "connection")), "confirm_unreachable"),
    ],
)
def test_only_a_fresh_answer_without_a_warning_confirms(ruler: Ruler, reason: str) -> None:
    assert said(ruler).reason == reason
