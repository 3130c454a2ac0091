"""Times as the APIs of the runbooks have them."""

import pytest

from tocsin.core.readable import iso


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1769342400.25, "2026-01-25T12:00:00.250Z"),
        (1769342400.9999, "2026-01-25T12:00:00.999Z"),
        (-1.0, "1969-12-31T23:59:59.000Z"),
        (1e18, "after the year 9999"),
        (float("nan"), "at no time"),
    ],
)
def test_a_time_has_milliseconds_and_z(t: float, text: str) -> None:
    assert iso(t) == text
