"""Times and values as people read them."""

import math
from datetime import UTC, datetime

#: How people read a unit: (size, name) from the largest that fits.
_SIZES = {
    "bytes": tuple((2.0 ** (10 * power), name) for power, name in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB"))),
    "seconds": ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us")),
}
_SUFFIXES = {"bytes": " B", "seconds": " s", "celsius": " C", "per_second": "/s", "per_minute": "/min"}


#: Unix times between which there are dates.
_YEAR_1, _YEAR_10000 = -62135596800.0, 253402300800.0


def instant(t: float) -> str:
    """Unix time as ISO 8601 with Z; in words where there is no such date."""
    if not _YEAR_1 <= t < _YEAR_10000:
        return "after the year 9999" if t > 0 else "before the year 1" if t < 0 else "at no time"
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso(t: float) -> str:
    """Unix time as ISO 8601 with milliseconds and Z, as the runbooks' APIs have it; else as :func:`instant`."""
    if not _YEAR_1 <= t < _YEAR_10000:
        return instant(t)
    return datetime.fromtimestamp(t, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show(value: float | None, unit: str = "none") -> str:
    """A value for people: ratios as percent, everything to four digits."""
    if value is None or not math.isfinite(value):
        return "nothing"
    if unit == "ratio":
        return f"{value * 100:.4g} %"
    for size, name in _SIZES.get(unit, ()):
        if abs(value) >= size:
            return f"{value / size:.4g} {name}"
    return f"{value:.4g}{_SUFFIXES.get(unit, '')}"


def printable(text: str) -> str:
    """Text with what a terminal would obey made visible: it may come from somebody else's labels."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
