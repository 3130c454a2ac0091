"""How things look: units, colours of tiers and lines, the same on every dashboard."""

from collections.abc import Iterable, Mapping
from typing import Any

from tocsin import names

#: Grafana's unit for each of ours.
UNITS: Mapping[str, str] = {
    "ratio": "percentunit",
    "seconds": "s",
    "bytes": "bytes",
    "celsius": "celsius",
    "count": "short",
    "per_second": "cps",
    "per_minute": "cpm",
    "none": "short",
}

#: The colours of the tiers on Tocsin's own page.
TIERS: Mapping[int, str] = {-1: "#9aa0a6", 0: "#2e9e5b", 1: "#3b82c4", 2: "#d9a400", 3: "#e2711d", 4: "#c62828"}
GOOD, NOTE, WARNING, ACTION, CRITICAL, DIM = (TIERS[tier] for tier in (0, 1, 2, 3, 4, -1))

Steps = list[dict[str, Any]]


def tier_mappings() -> list[dict[str, Any]]:
    """Numbers of tiers as words."""
    return values({tier: (f"{tier} {names.TIER_LABELS[tier]}", colour) for tier, colour in TIERS.items()})


def values(words: Mapping[int, tuple[str, str]]) -> list[dict[str, Any]]:
    """Numbers as words with a colour."""
    options = {str(v): _result(text, colour, i) for i, (v, (text, colour)) in enumerate(words.items())}
    return [{"type": "value", "options": options}]


def _result(text: str, colour: str, index: int) -> dict[str, Any]:
    return {"text": text, "color": colour, "index": index}


def missing(text: str) -> dict[str, Any]:
    """No value at all as a word, in grey."""
    return {"type": "special", "options": {"match": "null+nan", "result": _result(text, DIM, 90)}}


def between(low: float, high: float | None, text: str, colour: str) -> dict[str, Any]:
    """Every number from the first to the second as a word with a colour; None is no end."""
    return {"type": "range", "options": {"from": low, "to": high, "result": _result(text, colour, 91)}}


def steps(base: str, bounds: Iterable[tuple[float, str]] = ()) -> dict[str, Any]:
    """Thresholds: the colour below the first bound, and that from each bound on; of equal bounds the last one holds."""
    found: Steps = [{"color": base, "value": None}]
    found += [{"color": colour, "value": bound} for bound, colour in sorted(dict(bounds).items())]
    return {"mode": "absolute", "steps": found}


def tier_steps() -> dict[str, Any]:
    """Thresholds with the colours of the tiers."""
    return steps(TIERS[-1], [(tier, colour) for tier, colour in TIERS.items() if tier >= 0])
