"""Scalars as people write them in YAML: durations, sizes and ratios, turned into plain numbers.

Each parser raises ValueError with a sentence that says what was found and what is expected.
"""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

from tocsin.core import calendar

_UNITS = {"y": 31536000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_DURATION = re.compile("(?=.)" + "".join(rf"(?:([0-9]{{1,15}}){unit})?" for unit in _UNITS))
#: Prometheus counts nanoseconds in 64 bits.
_LONGEST = 9_223_372_036
_SIZE_UNITS = {"": 1, "B": 1} | {
    prefix + suffix: base**power
    for power, letters in enumerate(("kK", "M", "G", "T"), 1)
    for letter in letters
    for prefix, suffix, base in ((letter, "B", 1000), (letter, "iB", 1024))
}
_SIZE = re.compile(rf"([0-9]{{1,15}}) ?({'|'.join(_SIZE_UNITS)})")
_PERCENT = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,15})?) ?%")


def describe(value: object) -> str:
    """A value as it reads after "found": scalars as YAML writes them, cut to 60 characters, collections by kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, int | float):
        return f"the number {value:.12g}" if isinstance(value, float) else f"the number {value}"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def parse_duration(text: object) -> float:
    """Seconds of a Prometheus duration such as ``90s``, ``1h30m`` or ``2w``; a year has 365 days."""
    if text == "0" and isinstance(text, str):
        return 0.0
    if isinstance(text, str) and (match := _DURATION.fullmatch(text)):
        # Milliseconds are whole: adding 0.001 times n to seconds would round twice.
        parts = zip(match.groups(), _UNITS.values(), strict=True)
        seconds = sum(int(n) * round(unit * 1000) for n, unit in parts if n) / 1000
        if seconds <= _LONGEST:
            return seconds
    raise ValueError(f"found {describe(text)}, expected a duration such as 30s, 5m or 1h30m")


def format_duration(seconds: float) -> str:
    """Write a Prometheus duration, rounded to milliseconds: 5400 is ``1h30m``, 7776000 is ``90d``.

    Years and weeks are written where they are exact, as Prometheus does it: 12w6d is harder to read than 90d.
    """
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    out = ""
    for unit, length in _UNITS.items():
        n, rest = divmod(left, round(length * 1000))
        if n and (unit not in ("y", "w") or rest == 0):
            out += f"{n}{unit}"
            left = rest
    return out


def parse_whole_seconds(text: object) -> int:
    """Seconds of a duration that has at least one and no fraction of one: what a grid can be made of."""
    seconds = parse_duration(text)
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f"found {describe(text)}, expected a duration of whole seconds, at least 1s")
    return int(seconds)


def parse_size(text: object) -> int:
    """Bytes of a size such as ``64MB`` or ``1GiB``, or of a plain number of bytes; at least one."""
    size = 0
    if isinstance(text, int) and not isinstance(text, bool):
        size = text
    elif isinstance(text, str) and (match := _SIZE.fullmatch(text)):
        size = int(match[1]) * _SIZE_UNITS[match[2]]
    if size > 0:
        return size
    raise ValueError(f"found {describe(text)}, expected a size such as 64MB or 1GiB")


def format_size(size: int) -> str:
    """Write a size in the largest unit that is exact: 64000000 is ``64MB``, 65536 is ``64KiB``."""
    best = str(size)
    for unit, length in _SIZE_UNITS.items():
        if unit not in ("", "B", "KB", "kiB") and size and size % length == 0:
            best = min(best, f"{size // length}{unit}", key=lambda text: int(text.rstrip("BKMGTik")))
    return best


def parse_ratio(value: object) -> float:
    """A ratio, from a number (``0.999``) or a percentage (``99.9%``)."""
    if isinstance(value, str) and (match := _PERCENT.fullmatch(value)):
        # Shift the decimal point in the text: 99.9 / 100 is not the double nearest to 0.999.
        return float(f"{match[1]}e-2")
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e300:
        return float(value)
    raise ValueError(f"found {describe(value)}, expected a ratio such as 0.999 or 99.9%")


def parse_season(value: object) -> int | str:
    """A number of slots as it is, or a duration as text: how many slots that is depends on the signal's step."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        parse_whole_seconds(value)
    except ValueError:
        raise ValueError(f"found {describe(value)}, expected a number of slots or a duration such as 1d") from None
    return str(value)


def checked(parse: Any) -> AfterValidator:  # noqa: ANN401  any parser: only its ValueError matters here
    """Keep the text when the parser can read it."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _beside_config(path: str, info: ValidationInfo) -> str:
    """A path as seen from the folder of the configuration file, when the caller names that as context ``base``."""
    base = (info.context or {}).get("base")
    return path if base is None else str(Path(base) / path)


_DURATION_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": f"^(?:0|{_DURATION.pattern})$",
    "examples": ["30s", "5m", "1h30m"],
}
_SIZE_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": f"^{_SIZE.pattern}$"}, {"type": "integer", "minimum": 1}],
    "examples": ["64MB", "1GiB"],
}
_RATIO_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "pattern": f"^{_PERCENT.pattern}$"}, {"type": "number"}],
    "examples": [0.999, "99.9%"],
}
_SEASON_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "integer", "minimum": 2, "maximum": 2016}, _DURATION_SCHEMA],
    "examples": [288, "1d"],
}

_AS_DURATION = PlainSerializer(format_duration, return_type=str)

Duration = Annotated[float, BeforeValidator(parse_duration), _AS_DURATION, WithJsonSchema(_DURATION_SCHEMA)]
Seconds = Annotated[int, BeforeValidator(parse_whole_seconds), _AS_DURATION, WithJsonSchema(_DURATION_SCHEMA)]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema(_SIZE_SCHEMA),
]
Ratio = Annotated[float, BeforeValidator(parse_ratio), WithJsonSchema(_RATIO_SCHEMA)]
Season = Annotated[int | str, BeforeValidator(parse_season), WithJsonSchema(_SEASON_SCHEMA)]

Zone = Annotated[str, checked(calendar.parse_zone)]
Days = Annotated[str, checked(calendar.parse_days)]
DateRule = Annotated[str, checked(calendar.parse_rule)]
Hours = Annotated[str, checked(calendar.parse_hours)]
Date = Annotated[str, checked(calendar.parse_date)]
FilePath = Annotated[str, AfterValidator(_beside_config)]
