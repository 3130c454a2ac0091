"""`tocsin check rules --source`: what each alert would have done over the last two weeks."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
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
from tocsin.generate import slo, tier
from tocsin.generate.lint.book import ALERT_SERIES, EXPOSED, OF_RESOURCES, Book, Rule
from tocsin.generate.lint.check import Finding
from tocsin.generate.lint.inline import Cannot, inlined
from tocsin.generate.lint.tree import metric, selectors
from tocsin.generate.paging import pages
from tocsin.replay import Past, Waits, expression, tiers
from tocsin.replay_slo import SLOT, recordings
from tocsin.source.client import Source
from tocsin.source.errors import SourceError
from tocsin.specs import spec_of
from tocsin.telemetry import Telemetry

#: Seconds that are looked back.
SPAN = 14 * 86400
#: Seconds between two looks at an expression: a condition that is shorter may be missed.
EVERY = 60
#: Seconds between two looks at whether something was there, and the share of them at which recordings have to be.
GRAIN, MOST = 3600, 0.9
#: Seconds of history below which nothing can be said of how often an alert fires.
LEAST = 86400
#: A page more often than once a day wakes somebody every night; ten of anything a day are no longer read; and what
#: fires most of the time says nothing.
PAGES_A_DAY, ALERTS_A_DAY, FIRING = 1.0, 10.0, 0.5


@dataclass(frozen=True, slots=True)
class Story:
    """What an alert would have done, or why that is not known; `young` when its series were not there at the start.

    `every` are the seconds between two looks, `notes` what somebody should know who reads the numbers.
    """

    rule: Rule
    past: Past | None
    why: str = ""
    young: bool = False
    every: float = EVERY
    notes: tuple[str, ...] = ()

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
            "history_seconds": None if past is None else past.end - past.start,
            "step_seconds": None if past is None else self.every,
            "less_history": self.young,
            "notes": list(self.notes),
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
        self._seen: dict[str, tuple[float | None, float]] = {}

    async def stories(self) -> AsyncIterator[Story]:
        """One for each alert but the watchdog. Raises SourceError when the source does not answer at all."""
        await self._source.instant("vector(1)", self.end)
        paged = {one.name: one.alert for service in self._config.services for one in pages(service).values()}
        told = set()
        for service in self._config.services:
            for name in service.signals:
                rules = [one for one in tier.rules_of(service, self._config.process.target) if one.signal_name == name]
                told |= {one.name for one in rules}
                for story in await self._of_signal(rules) if rules else ():
                    yield story
            for objective in slo.objectives(service, self._config.process.target):
                alerts = [one for kind in slo.KINDS if (one := objective.alert_name(kind)) is not None]
                told |= set(alerts)
                for story in await self._of_slo(objective, [self._book.alerts[one][0] for one in alerts]):
                    yield story
        for rule in self._book.rules:
            if rule.name in paged:
                yield Story(rule, None, f"pages for {paged[rule.name]} where nothing has helped: see there")
            elif rule.is_alert and rule.name not in told and rule.name != names.ALERT_WATCHDOG:
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
            about = _about(parse(spec.expr))
            since = await self._first(about)
        except SourceError as error:
            return [Story(rule, None, str(error)) for rule in rules]
        return [
            self._story(rule, past, since, spec.settings.interval, about)
            for rule, past in zip(rules, pasts, strict=True)
        ]

    async def _of_slo(self, objective: slo.Objective, rules: Sequence[Rule]) -> list[Story]:
        """By what was recorded where that was there most of the time, else by the metrics of the SLI."""
        if not rules:
            return []
        try:
            since, share = await self._there(objective.recorded(names.RECORD_OBJECTIVE))
            if since is not None and share >= MOST and await self._all_seen(rules):
                return [await self._of_recordings(rule, since) for rule in rules]
            told = self._told(f"{objective.service.service}/{objective.name}")
            found = await recordings(objective, self._source, self.start, self.end, told)
        except (Cannot, SourceError) as error:
            return [Story(rule, None, str(error)) for rule in rules]
        about = _about(parse(objective.measure.share("5m") if objective.measure.now is None else objective.measure.now))
        if found.since is None:
            return [Story(rule, None, f"its SLI has no result there: {_absent(about)}") for rule in rules]
        less = ", windows of a day and more less often" if objective.measure.ratio is not None else ""
        notes = [f"every {format_duration(SLOT)}{less}, from the SLI's own metrics"]
        if not found.seen:
            notes.append("no bad event was ever counted")
        if found.share < MOST:
            notes.append(f"the SLI has a result {found.share:.0%} of the time")
        stories = []
        for rule in rules:
            try:
                past = found.past(_tree(rule), _waits(rule), self.start, self.end)
            except Cannot as error:
                stories.append(Story(rule, None, str(error)))
            else:
                stories.append(self._story(rule, past, found.since, SLOT, about, notes))
        return stories

    async def _all_seen(self, rules: Sequence[Rule]) -> bool:
        """Whether everything that these alerts read was recorded at some time."""
        return all([(await self._there(one))[0] is not None for rule in rules for one in _about(_tree(rule))])

    async def _of_recordings(self, rule: Rule, since: float) -> Story:
        try:
            told = self._told(rule.name)
            past = await expression(rule.expr, _waits(rule), self._source, self.start, self.end, self._every, told)
        except SourceError as error:
            return Story(rule, None, str(error))
        return self._story(rule, past, since, self._every)

    async def _of_expression(self, rule: Rule) -> Story:
        try:
            tree = _tree(rule)
            await self._learn_of_recordings(tree)
            # What is about Tocsin itself is about what it, or its rules, left behind: nothing can stand for that.
            own = rule.generated and rule.group == names.META_GROUP
            expr = rule.expr if own else inlined(tree, self._book, self._every, self._is_there)
            tree = parse(expr)
            since = [(name, (await self._there(name))[0]) for name in _ours(tree, self._book if own else None)]
            if missing := [name for name, first in since if first is None]:
                return Story(rule, None, f"needs {missing[0]} in the source")
            told = self._told(rule.name)
            past = await expression(expr, _waits(rule), self._source, self.start, self.end, self._every, told)
            about = _about(tree)
            first = max(t for _, t in since if t is not None) if since else await self._first(about)
            return self._story(rule, past, first, self._every, about)
        except (Cannot, SourceError) as error:
            return Story(rule, None, str(error))

    def _story(
        self,
        rule: Rule,
        past: Past,
        since: float | None,
        every: float,
        about: Sequence[str] = (),
        notes: Iterable[str] = (),
    ) -> Story:
        """The story with the time in which there was something to see, `since` then; None is never."""
        if since is None:
            # What asks whether something is absent has its answer; everything else has none.
            known = len(past.episodes) > 0
            return (
                Story(rule, past, every=every, notes=(_absent(about),)) if known else Story(rule, None, _absent(about))
            )
        if self.end - since < LEAST:
            have = format_duration(round(self.end - since))
            return Story(rule, None, f"the source has only {have} of it, and {format_duration(LEAST)} is the least")
        start = max(self.start, since)
        young = start - self.start >= GRAIN
        notes = tuple(notes)
        if young:
            notes = (f"of the last {(self.end - start) / 86400:.1f} days only", *notes)
        return Story(rule, replace(past, start=start), young=young, every=every, notes=notes)

    def _told(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._progress(what, done, total)

    async def _first(self, about: Sequence[str]) -> float | None:
        """When something of what an expression is about was there first; an expression about nothing always has it."""
        found = [self.start] if not about else []
        for selector in about:
            if found and found[0] == self.start:
                break
            since, _ = await self._there(selector)
            found = sorted([*found, *([] if since is None else [since])])
        return found[0] if found else None

    async def _there(self, selector: str) -> tuple[float | None, float]:
        """When something that is selected was there first, looked at once an hour, and at what share of these times."""
        if selector not in self._seen:
            times: list[float] = []
            async for matrix in self._source.range(f"count({selector})", self.start, self.end, GRAIN):
                times += matrix.times[(~np.isnan(matrix.values)).any(axis=1)].tolist()
            self._seen[selector] = (times[0] if times else None, len(times) / (SPAN / GRAIN + 1))
        return self._seen[selector]

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


def _tree(rule: Rule) -> promql.Expr:
    if rule.tree is None:
        raise Cannot("it cannot be read")
    return rule.tree


def _waits(rule: Rule) -> Waits:
    return Waits(*(parse_duration(str(rule.data.get(key, "0"))) for key in ("for", "keep_firing_for")))


def _about(tree: promql.Expr) -> list[str]:
    """What an expression selects, each once."""
    return list(dict.fromkeys(selector.prettify() for selector in selectors(tree)))


def _absent(about: Sequence[str]) -> str:
    return f"{', '.join(about)} {'is' if len(about) == 1 else 'are'} not in the source"


def _ours(tree: promql.Expr, book: Book | None) -> list[str]:
    """What only a Tocsin that was there, or rules that were evaluated, would have left in the source.

    With a book its recordings are among them.
    """
    found = (metric(selector) for selector in selectors(tree))
    left = {*OF_RESOURCES, *EXPOSED, *ALERT_SERIES, *(book.records if book is not None else ())}
    return [name for name in dict.fromkeys(found) if name is not None and name in left]


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
            console.print(
                f"cannot be judged here: {why}: {', '.join(alerts)}", highlight=False, markup=False, soft_wrap=True
            )


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
            "; ".join(story.notes),
        )
    return table
