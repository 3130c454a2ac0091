"""`tocsin check rules --source`: what each alert would have done over the last two weeks."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import promql_parser as promql
from rich.console import Console
from rich.table import Table

from tocsin import names
from tocsin.cli.credentials import no_secret_in, typed
from tocsin.cli.failure import Failed
from tocsin.cli.progress import Progress
from tocsin.config.expr import parse
from tocsin.config.load import Config
from tocsin.config.types import format_duration, parse_duration
from tocsin.core.readable import instant
from tocsin.generate import tier
from tocsin.generate.lint.book import ALERT_SERIES, EXPOSED, OF_RESOURCES, Book, Rule
from tocsin.generate.lint.check import Finding
from tocsin.generate.lint.inline import Cannot, inlined
from tocsin.generate.lint.tree import metric, selectors
from tocsin.replay import Past, Waits, expression, tiers
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.specs import spec_of
from tocsin.telemetry import Telemetry

#: Seconds that are looked back.
SPAN = 14 * 86400
#: Seconds between two looks at an expression: a condition that is shorter may be missed.
EVERY = 60
#: A page more often than once a day wakes somebody every night; ten of anything a day are no longer read; and what
#: fires most of the time says nothing.
PAGES_A_DAY, ALERTS_A_DAY, FIRING = 1.0, 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Story:
    """What an alert would have done, or why that is not known; `young` when its series were not there at the start."""

    rule: Rule
    past: Past | None
    why: str = ""
    young: bool = False

    @property
    def pages(self) -> bool:
        """Whether it wakes somebody."""
        return self.rule.labels.get(names.PAGE) == "true"

    @property
    def unbearable(self) -> str | None:
        """Why nobody could live with it; None for one that is quiet enough."""
        if self.past is None:
            return None
        if self.past.firing > FIRING:
            return f"fires {self.past.firing:.0%} of the time"
        if self.pages and self.past.per_day > PAGES_A_DAY:
            return f"pages {self.past.per_day:.1f} times a day"
        return f"fires {self.past.per_day:.0f} times a day" if self.past.per_day > ALERTS_A_DAY else None

    def report(self) -> dict[str, Any]:
        """For machines."""
        past = self.past
        return {
            "alert": self.rule.name,
            "file": self.rule.file,
            "pages": self.pages,
            "episodes": None if past is None else len(past.episodes),
            "median_seconds": None if past is None else past.median,
            "firing_ratio": None if past is None else past.firing,
            "less_history": self.young,
            "unbearable": self.unbearable,
            "not_asked": self.why or None,
        }


class History:
    """Asks one source about the alerts of a book, over the time that ends at `now`."""

    def __init__(self, config: Config, book: Book, source: Source, now: float, progress: Progress) -> None:
        self._config, self._book, self._source, self._progress = config, book, source, progress
        self._every = max(EVERY, config.process.target.evaluation_interval)
        self.end = math.floor((now - source.query_delay) / self._every) * float(self._every)
        self.start = self.end - SPAN
        self._known: dict[tuple[str, float], bool] = {}

    async def stories(self) -> AsyncIterator[Story]:
        """One for each alert but the watchdog. Raises SourceError when the source does not answer at all."""
        await self._source.instant("vector(1)", self.end)
        graded = set()
        for service in self._config.services:
            for name in service.signals:
                rules = [one for one in tier.rules_of(service, self._config.process.target) if one.signal_name == name]
                graded |= {one.name for one in rules}
                if rules:
                    for story in await self._of_signal(rules):
                        yield story
        for rule in self._book.rules:
            if rule.is_alert and rule.name not in graded and rule.name != names.ALERT_WATCHDOG:
                yield await self._of_expression(rule)

    async def _of_signal(self, alerts: Sequence[tier.Rule]) -> list[Story]:
        first = alerts[0]
        rules = [self._book.alerts[one.name][0] for one in alerts]
        spec = spec_of(self._config, first.service, first.signal_name)
        alarms = [(one.model.tier, Waits(one.wait, one.keep)) for one in alerts]
        title = f"{spec.service}/{spec.signal}"
        try:
            told = self._told(title)
            pasts = await tiers(spec, alarms, self._source, self.start, self.end, told)
            young = not await self._were_there(parse(spec.expr))
        except SourceError as error:
            return [Story(rule, None, str(error)) for rule in rules]
        return [Story(rule, past, young=young) for rule, past in zip(rules, pasts, strict=True)]

    async def _of_expression(self, rule: Rule) -> Story:
        if rule.tree is None:
            return Story(rule, None, "it cannot be read")
        waits = Waits(*(parse_duration(str(rule.data.get(key, "0"))) for key in ("for", "keep_firing_for")))
        try:
            await self._learn_of_recordings(rule.tree)
            expr = inlined(rule.tree, self._book, self._every, self._is_there)
            tree = parse(expr)
            if missing := [name for name in _ours(tree) if not await self._has(name, self.start)]:
                return Story(rule, None, f"needs Tocsin's own {missing[0]} in the source, over all of the time")
            told = self._told(rule.name)
            past = await expression(expr, waits, self._source, self.start, self.end, self._every, told)
            return Story(rule, past, young=not await self._were_there(tree))
        except (Cannot, SourceError) as error:
            return Story(rule, None, str(error))

    def _told(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(what, done, total)

    async def _were_there(self, tree: promql.Expr) -> bool:
        """Whether something of what an expression is about was there at the start."""
        about = [selector.prettify() for selector in selectors(tree)]
        return not about or any([await self._has(one, self.start) for one in dict.fromkeys(about)])

    async def _has(self, selector: str, t: float) -> bool:
        key = (selector, t)
        if key not in self._known:
            self._known[key] = len((await self._source.instant(f"count({selector})", t)).values) > 0
        return self._known[key]

    async def _learn_of_recordings(self, tree: promql.Expr) -> None:
        """Ask for the recordings that the expression stands on, so that :meth:`_is_there` can tell."""
        waiting, seen = [tree], set()
        while waiting:
            for selector in selectors(waiting.pop()):
                if metric(selector) in self._book.records and (asked := selector.prettify()) not in seen:
                    seen.add(asked)
                    if not (await self._has(asked, self.start) and await self._has(asked, self.end)):
                        waiting += [rule.tree for rule in self._book.recorded(selector) if rule.tree]

    def _is_there(self, selector: promql.VectorSelector) -> bool:
        asked = selector.prettify()
        return self._known.get((asked, self.start), False) and self._known.get((asked, self.end), False)


def _ours(tree: promql.Expr) -> list[str]:
    """What only a Tocsin that was there, or alerts that were evaluated, would have left in the source."""
    found = (metric(selector) for selector in selectors(tree))
    return [name for name in found if name in OF_RESOURCES or name in EXPOSED or name in ALERT_SERIES]


@dataclass(frozen=True, slots=True)
class Told:
    """The stories of a stretch of time."""

    start: float
    end: float
    stories: Sequence[Story]

    def findings(self) -> list[Finding]:
        """A warning for each alert that nobody could live with."""
        return [
            Finding(
                story.rule.file,
                story.rule.group,
                story.rule.name,
                f"found an alert that {story.unbearable}, expected one that somebody can live with",
                warning=True,
            )
            for story in self.stories
            if story.unbearable
        ]

    def report(self) -> dict[str, Any]:
        """For machines."""
        return {"start": self.start, "end": self.end, "alerts": [story.report() for story in self.stories]}

    def show(self) -> None:
        """For people: a table of the alerts whose past is known, and the names of the others by reason."""
        known = [story for story in self.stories if story.past is not None]
        console = Console()
        console = console if console.is_terminal else Console(width=140)
        console.print(f"From {instant(self.start)} to {instant(self.end)}:", highlight=False)
        if known:
            console.print(_table(known), highlight=False)
        others: dict[str, list[str]] = {}
        for story in self.stories:
            if story.past is None:
                others.setdefault(story.why, []).append(story.rule.name)
        for why, alerts in others.items():
            console.print(f"not known: {why}: {', '.join(alerts)}", highlight=False, markup=False, soft_wrap=True)


def look_back(config: Config, book: Book, url: str) -> Told:
    """What the alerts would have done, by the source at an address, by the configuration's where that is empty.

    Raises Failed when the source does not answer at all.
    """
    no_secret_in(url, "--source")
    model = config.process.source
    progress = Progress()
    try:
        with contextlib.closing(progress):
            source = Source(model.model_copy(update={"url": url}) if url else model, Telemetry())
            return asyncio.run(_tell(config, book, source, progress))
    except SourceError as error:
        raise Failed(typed(error) if url else str(error)) from None


async def _tell(config: Config, book: Book, source: Source, progress: Progress) -> Told:
    async with source:
        history = History(config, book, source, time.time(), progress)
        return Told(history.start, history.end, [story async for story in history.stories()])


def _table(stories: Sequence[Story]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("alert", "pages", "episodes", "a week", "median", "firing", ""):
        table.add_column(title, justify="left" if title in ("alert", "pages", "") else "right", overflow="fold")
    for story in sorted(stories, key=lambda one: -len(one.past.episodes) if one.past else 0):
        assert story.past is not None
        median = story.past.median
        table.add_row(
            story.rule.name,
            "yes" if story.pages else "",
            str(len(story.past.episodes)),
            f"{7 * story.past.per_day:.1f}",
            "" if median is None else format_duration(round(median)),
            f"{story.past.firing:.1%}",
            "less history than that" if story.young else "",
        )
    return table
