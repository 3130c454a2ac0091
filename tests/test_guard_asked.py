"""What somebody asks of the audit, in a URL or on the command line."""

import pytest

from tocsin.guard.asked import Misasked, Page, moment, number_of, page
from tocsin.guard.audit import Wanted

#: 2026-01-31T00:00:00Z
DAY = 1769817600.0


def test_nothing_asked_is_the_newest_hundred() -> None:
    assert page({}) == Page(Wanted(), 100, None)


def test_every_parameter_has_its_field() -> None:
    names = ("operationType", "kind", "operation", "principal", "service", "resource", "result")
    given = {name: f"the {name}" for name in names}
    assert page({**given, "since": "5", "until": "6.5", "limit": "7", "before": "8"}) == Page(
        Wanted(
            operation_type="the operationType",
            kind="the kind",
            operation="the operation",
            principal="the principal",
            service="the service",
            resource="the resource",
            result="the result",
            since=5.0,
            until=6.5,
        ),
        7,
        8,
    )


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-01-31", DAY, DAY + 86399.9999),
        ("20260131", DAY, DAY + 86399.9999),
        ("2026-01-31T12:00", DAY + 43200, DAY + 43200),
        ("2026-01-31T12:00:00.250Z", DAY + 43200.25, DAY + 43200.25),
        ("2026-01-31T12:00:00+02:00", DAY + 36000, DAY + 36000),
        ("1769817600", DAY, DAY),
        ("1769817600.5", DAY + 0.5, DAY + 0.5),
        ("0", 0, 0),
        ("-1", -1, -1),
    ],
)
def test_times_are_read_in_every_usual_form(text: str, begin: float, end: float) -> None:
    assert moment("since", text) == begin
    found = moment("until", text, end=True)
    assert end <= found < end + 0.0001
    assert found < DAY + 86400


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-01-32", "nan", "1e9", "9999-12-31T23:59:60", "٣", "1" * 13, "", "12:00"]
)
def test_a_time_that_is_none_is_named(text: str) -> None:
    with pytest.raises(Misasked) as error:
        moment("since", text)
    assert error.value.parameter == "since"
    assert str(error.value) == (
        f"found {text!r}, expected a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or Unix seconds"
    )


def test_the_last_day_of_all_has_no_end() -> None:
    with pytest.raises(Misasked, match="expected a date"):
        moment("until", "9999-12-31", end=True)


@pytest.mark.parametrize("text", ["0", "-1", "1001", "1.0", "x", "٣", "9" * 30])
def test_a_limit_that_is_none_is_named(text: str) -> None:
    with pytest.raises(Misasked) as error:
        page({"limit": text})
    assert error.value.parameter == "limit"
    assert str(error.value) == f"found {text!r}, expected a whole number from 1 to 1000"


def test_the_largest_number_of_a_page_is_that_of_the_databases() -> None:
    assert page({"before": str(2**63 - 1)}).before == 2**63 - 1
    with pytest.raises(Misasked, match="expected a whole number from 1 to 9223372036854775807"):
        page({"before": str(2**63)})


def test_an_unknown_parameter_is_named_with_those_that_there_are() -> None:
    with pytest.raises(Misasked) as error:
        page({"princpal": "x"})
    assert error.value.parameter == "princpal"
    assert str(error.value) == (
        "found a parameter that is not known, expected one of operationType, kind, operation, principal, service, "
        "resource, result, since, until, limit, before"
    )


@pytest.mark.parametrize("text", ["a\x00b", "", "a\nb"])
def test_text_that_cannot_be_printed_is_refused(text: str) -> None:
    with pytest.raises(Misasked) as error:
        page({"principal": text})
    assert (error.value.parameter, str(error.value)) == ("principal", "expected text that can be printed")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", (None, 12)),
        ("KILL_SWITCH_DISABLE#12", ("KILL_SWITCH_DISABLE", 12)),
        ("a#b#3", ("a#b", 3)),
        ("9223372036854775807", (None, 2**63 - 1)),
        ("9223372036854775808", None),
        ("#3", None),
        ("x", None),
        ("٣", None),
        ("K#", None),
        ("-1", None),
        ("", None),
    ],
)
def test_ids_are_numbers_with_or_without_a_kind(text: str, number: tuple[str | None, int] | None) -> None:
    assert number_of(text) == number
