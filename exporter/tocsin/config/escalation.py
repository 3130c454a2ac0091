"""Timed escalation: who is told when something lasts, comes back, or is everywhere."""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tocsin.config.base import AlertName, Model, Name
from tocsin.config.types import Seconds, checked, describe, parse_ratio, parse_whole_seconds

_TIER = re.compile(r"tier >= ([1-4])")
_SEVERITY = re.compile(r"severity = (\S{1,200})")
_TIMES = re.compile(r"([0-9]{1,3}) times in (\S+)")
_SHARE = re.compile(r"over (\S+) of resources")


@dataclass(frozen=True, slots=True)
class When:
    """What a policy is about: a least tier of signals, or alerts of a severity."""

    tier: int | None = None
    severity: str | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """So many times within so many seconds."""

    count: int
    within: int


def parse_when(text: str) -> When:
    """Read `tier >= 4` or `severity = P0`; ValueError says what is expected."""
    if match := _TIER.fullmatch(text):
        return When(tier=int(match[1]))
    if match := _SEVERITY.fullmatch(text):
        return When(severity=match[1])
    raise ValueError(f"found {describe(text)}, expected `tier >= 4` (1 to 4) or `severity = P0`")


def parse_times(text: str) -> Times:
    """Read `3 times in 2h`; ValueError says what is expected."""
    match = _TIMES.fullmatch(text)
    if match and int(match[1]) >= 2:
        return Times(int(match[1]), parse_whole_seconds(match[2]))
    raise ValueError(f"found {describe(text)}, expected a number from 2 on and a duration, such as `3 times in 2h`")


def parse_share(text: str) -> float:
    """Read `over 50% of resources` as a ratio; ValueError says what is expected."""
    if match := _SHARE.fullmatch(text):
        share = parse_ratio(match[1])
        if 0 < share < 1:
            return share
    raise ValueError(f"found {describe(text)}, expected a share between 0% and 100%, such as `over 50% of resources`")


class Step(Model):
    """One level: who is told, and when. Only the first needs no condition: the alerts themselves tell it."""

    model_config = ConfigDict(populate_by_name=True)

    to: Name
    """Receiver of the process file."""
    after: Seconds | None = None
    """Time since the first firing, at most 1d, longer than that of the step before."""
    or_: Annotated[str | None, Field(alias="or"), checked(parse_times)] = None
    """Also when it came back: `3 times in 2h`, within at most 1d."""
    if_: Annotated[str | None, Field(alias="if"), checked(parse_share)] = None
    """When it is everywhere: `over 50% of resources`, of at least three; alone in its step, and with `tier` only."""
    name: AlertName | None = None
    """Name of the level's alert; by default service, `Escalation`, policy and receiver in CamelCase."""


class Escalation(Model):
    """A policy: what it is about, who owns it, and its levels."""

    via: Literal["rules", "responder"] = "rules"
    """Who escalates: `rules` (alerts without state, any restart changes nothing) or the responder, without any rule."""
    when: Annotated[str, checked(parse_when)]
    """What it is about: `tier >= 4` for signals, `severity = P0` for all alerts of the service."""
    signals: tuple[Name, ...] = ()
    """Signals that it concerns, with `tier` only; by default all that have an alert on this tier or a lower one."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    """Levels, in the order in which they are told."""
