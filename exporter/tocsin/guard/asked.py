"""Which records of the audit somebody asks for, as text: the same words in a URL and on the command line."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tocsin.guard.audit import Wanted

#: Parameter -> the field of Wanted that it fills.
FILTERS = {
    "operationType": "operation_type",
    "kind": "kind",
    "operation": "operation",
    "principal": "principal",
    "service": "service",
    "resource": "resource",
    "result": "result",
}
PARAMETERS = (*FILTERS, "since", "until", "limit", "before")
MOST, USUAL = 1000, 100

#: Largest number of a record, of both databases.
_LARGEST = 2**63 - 1
_UNIX = re.compile(r"-?\d{1,12}(\.\d{1,9})?")
#: Eight digits are a date: as Unix seconds they would be of 1970.
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{8}")
_TIME = re.compile(r"[\d-]{8,10}[T ].*")
_ID = re.compile(r"(?:(?P<kind>.+)#)?(?P<seq>\d{1,19})")


class Misasked(ValueError):
    """A parameter that says nothing; `parameter` is its name, the message what was found and what is expected."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Page:
    """Which records, how many at most, and the number before which they are."""

    wanted: Wanted
    limit: int
    before: int | None


def page(given: Mapping[str, str]) -> Page:
    """What these parameters ask for. Raises Misasked."""
    for name, text in given.items():
        if name not in PARAMETERS:
            raise Misasked(name, f"found a parameter that is not known, expected one of {', '.join(PARAMETERS)}")
        if not text.isprintable() or not text:
            raise Misasked(name, "expected text that can be printed")
    limit = _number(given, "limit", MOST)
    return Page(
        Wanted(
            **{field: given[name] for name, field in FILTERS.items() if name in given},
            since=moment("since", given["since"]) if "since" in given else None,
            until=moment("until", given["until"], end=True) if "until" in given else None,
        ),
        USUAL if limit is None else limit,
        _number(given, "before", _LARGEST),
    )


def number_of(text: str) -> tuple[str | None, int] | None:
    """Kind and number of a record's id, such as `KILL_SWITCH_DISABLE#12`, or of the number alone; None for neither."""
    match = _ID.fullmatch(text)
    if match is None or not text.isascii() or int(match["seq"]) > _LARGEST:
        return None
    return match["kind"], int(match["seq"])


def moment(name: str, text: str, *, end: bool = False) -> float:
    """Unix time of an ISO 8601 time (UTC if it names no zone), a date, or Unix seconds. Raises Misasked.

    A date is its first moment, or with `end` its last one.
    """
    day = text.isascii() and _DATE.fullmatch(text)
    if text.isascii() and _UNIX.fullmatch(text) and not day:
        return float(text)
    try:
        # Python takes more than anybody means, such as any digit for the T.
        found = datetime.fromisoformat(text if day or _TIME.fullmatch(text) else "")
        if end and day:
            # The last float before midnight: what is compared with it is inclusive.
            return math.nextafter((found.replace(tzinfo=UTC) + timedelta(days=1)).timestamp(), 0)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        expected = "expected a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or Unix seconds"
        raise Misasked(name, f"found {text[:50]!r}, {expected}") from None


def _number(given: Mapping[str, str], name: str, most: int) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= most):
        raise Misasked(name, f"found {text[:50]!r}, expected a whole number from 1 to {most}")
    return int(text)
