"""The service files of the examples as the demonstration runs them: graded every few seconds."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tocsin.config import yaml

#: Where the wheel has them (pyproject.toml puts them there), and where a checkout does.
_PLACES = (Path(__file__).parent / "services", Path(__file__).parents[3] / "examples" / "services")
#: How often every signal is graded. What it learns keeps its step, for which the workload has history.
INTERVAL = "10s"
#: What `interval` is where a file says nothing.
_DEFAULT_INTERVAL = "1m"

#: Settings of signals that the demonstration replaces: the one with the live table is graded every two seconds against
#: a week of half hours, so that what counts is the distance from the usual hour of the day.
_OVERRIDES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("melody-meter", "utilization"): {"interval": "2s", "window": 336, "direction": "up"},
}


def folder() -> Path:
    """Where the files are; FileNotFoundError when this is neither a checkout nor a whole installation."""
    for place in _PLACES:
        if place.is_dir():
            return place
    raise FileNotFoundError(f"the example services are in none of {', '.join(map(str, _PLACES))}: install tocsin again")


def services() -> dict[str, dict[str, Any]]:
    """Every service file by its name, as plain data, with what the demonstration replaces."""
    return {file.name: quick(_data(file)) for file in sorted(folder().glob("*.yml"))}


def _data(file: Path) -> dict[str, Any]:
    data = yaml.parse(file.read_bytes(), str(file)).data
    assert isinstance(data, dict)
    return data


def quick(service: Mapping[str, Any]) -> dict[str, Any]:
    """The same service with its signals graded every few seconds; what is learnt is learnt as before."""
    signals = {
        name: {
            **signal,
            "step": signal.get("step", signal.get("interval", _DEFAULT_INTERVAL)),
            "interval": INTERVAL,
            **_OVERRIDES.get((service["service"], name), {}),
        }
        for name, signal in service.get("signals", {}).items()
    }
    return {**service, "signals": signals}


def receivers(service: Mapping[str, Any]) -> Iterator[str]:
    """Names of those whom the alerts of a service are sent to."""
    if "default_receiver" in service:
        yield service["default_receiver"]
    for policy in service.get("escalation", {}).values():
        yield from (step["to"] for step in policy["steps"])


def calendars(service: Mapping[str, Any]) -> Iterator[str]:
    """Names of the calendars that the signals of a service follow."""
    yield from (signal["calendar"] for signal in service["signals"].values() if "calendar" in signal)
