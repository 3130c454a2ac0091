"""Reading the SLOs: all that is recorded by one query, the others one expression after the other and less often.

What is recorded never waits for what is not. After two readings without an answer nothing is claimed any more, nor of
what is too old because an answer does not end; the SLOs themselves stay listed.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from tocsin.budgets.recorded import QUERY, Values, by_slo, readings
from tocsin.core.budget import Origin, SloView, Terms, assess
from tocsin.source.errors import SourceError
from tocsin.spec import Source
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds between readings of an SLO whose rules are not loaded, and how many of these are read at the same time: half
#: of the requests that a source gets at a time by default.
DIRECT_INTERVAL, DIRECT_AT_ONCE = 300, 2
#: Readings without an answer after which nothing is claimed any more.
BLIND_AFTER = 2
#: Intervals, but at least so many seconds, after which a reading is no longer of now.
_LATE, _LATE_SECONDS = 3, 60.0
#: Faults of one expression; after any other the source is not asked for more of the same SLO.
_OF_THE_QUERY = frozenset({"bad_query", "too_large", "too_many_samples"})
#: SLOs that are named in a line of the log.
_NAMED = 5


@dataclass(frozen=True, slots=True)
class SloSpec:
    """An SLO as it is read; `direct` are the expressions behind each recorded series."""

    terms: Terms
    direct: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return f"{self.terms.service}/{self.terms.slo}"


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an SLO as of unix time `t`.

    `asked` is when the source was last asked directly, `misses` how often in a row it did not answer all of that.
    """

    t: float
    origin: Origin = "unread"
    values: Values = field(default_factory=dict)
    unanswered: bool = False
    asked: float = -math.inf
    misses: int = 0

    def due(self, t: float) -> bool:
        """Whether the source is to be asked directly at t: every so often, and again soon after a miss."""
        return 0 < self.misses < BLIND_AFTER or not 0 <= t - self.asked < DIRECT_INTERVAL

    def after(
        self, answers: Mapping[str, float | None], unanswered: Sequence[str], t: float, *, soon: bool
    ) -> "_Known":
        """The same after these answers to direct queries at t; what one miss leaves open stays as it was.

        `soon`: without any answer the source is asked again at every cycle, however often that fails.
        """
        misses = self.misses + 1 if unanswered else 0
        blind = misses >= BLIND_AFTER
        if not answers:
            known = _Known(self.t, "blind") if blind else self
            return replace(known, asked=-math.inf if soon else t, misses=misses)
        kept = {} if blind else {name: self.values[name] for name in unanswered if name in self.values}
        values = kept | {name: value for name, value in answers.items() if value is not None}
        return _Known(t, "direct", values, len(kept) < len(unanswered), asked=t, misses=misses)


class Budgets:
    """Reads the SLOs of a configuration."""

    def __init__(
        self,
        specs: Sequence[SloSpec],
        source: Source,
        telemetry: Telemetry,
        *,
        interval: float = 15.0,
        query_delay: float = 0.0,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`interval` is how many seconds lie between two evaluations of the rules."""
        self._specs, self._source, self._telemetry = tuple(specs), source, telemetry
        self._interval, self._delay, self._clock, self._sleep = interval, query_delay, clock, sleep
        self._misses = 0
        self._known: dict[SloSpec, _Known] = {}
        #: What follows from what is known, worked out once.
        self._views: dict[SloSpec, SloView] = {}
        #: Those of which the last reading found nothing recorded.
        self._unrecorded: tuple[SloSpec, ...] = ()
        self._reading: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start reading, where there is anything to read."""
        if self._specs and self._reading is None:
            self._reading = asyncio.create_task(self._run(), name="budgets")

    async def stop(self) -> None:
        """End the tasks and wait for them."""
        tasks = [task for task in (self._reading, self._asking) if task is not None]
        self._reading = self._asking = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def reconfigure(
        self, specs: Sequence[SloSpec], source: Source | None, *, interval: float, query_delay: float
    ) -> None:
        """Read these from now on; of SLOs that did not change stays known what is.

        `source` replaces the present one (then nothing stays, because it may know other data); None keeps it.
        """
        await self.stop()
        wanted = set(specs) if source is None else set()
        self._specs, self._source = tuple(specs), source or self._source
        self._interval, self._delay = interval, query_delay
        self._known = {spec: known for spec, known in self._known.items() if spec in wanted}
        self._views = {spec: view for spec, view in self._views.items() if spec in wanted}
        self._unrecorded = tuple(spec for spec in self._unrecorded if spec in wanted)
        self._misses = 0 if source is not None else self._misses
        self.start()

    def as_of(self, now: float) -> tuple[SloView, ...]:
        """All SLOs in the order of the files, at unix time `now` of the source."""
        return tuple(self._view(spec, now) for spec in self._specs)

    async def _run(self) -> None:
        while True:
            started = self._clock()
            t = started - self._delay
            await self.read(t)
            if self._unrecorded and (self._asking is None or self._asking.done()):
                self._asking = asyncio.create_task(self.ask(t), name="budgets without rules")
            await self._sleep(max(1.0, started + self._interval - self._clock()))

    # ------------------------------------------------------------------------------------------------ recorded

    async def read(self, t: float) -> None:
        """Read what is recorded of all SLOs as of unix time t, and count how that went."""
        outcome = "ok"
        try:
            self._note(by_slo(await self._source.instant(QUERY, t)), t)
            self._telemetry.set("slo_last_success_timestamp_seconds", t + self._delay)
        except SourceError as error:
            outcome = error.klass
            self._missed(t)
            log.warning("no answer", what="SLOs", t=t, misses=self._misses, reason=str(error))
        except Exception:
            outcome = "internal_error"
            self._missed(t)
            log.exception("reading the SLOs failed", t=t)
        self._telemetry.count("slo_evaluations_total", outcome)

    def _note(self, found: Mapping[tuple[str, str], Values], t: float) -> None:
        self._misses, known = 0, set(self._unrecorded)
        for spec in self._specs:
            if (values := found.get((spec.terms.service, spec.terms.slo))) is not None:
                self._set(spec, _Known(t, "recorded", values))
        self._unrecorded = tuple(spec for spec in self._specs if (spec.terms.service, spec.terms.slo) not in found)
        for spec in self._unrecorded:
            self._forget_old(spec, t)
        if new := [spec for spec in self._unrecorded if spec not in known]:
            log.warning(
                "recording rules not loaded, asking directly",
                slos=len(new),
                names=", ".join(map(str, new[:_NAMED])),
                queries=sum(len(spec.direct) for spec in new),
                every=DIRECT_INTERVAL,
            )

    def _forget_old(self, spec: SloSpec, t: float) -> None:
        """The source answers again, and it is its turn to be asked directly: until then it is just not read."""
        known = self._of(spec, t)
        late = known.origin == "recorded" and t - known.t >= self._late("recorded")
        if late or (known.origin == "blind" and not known.misses):
            del self._known[spec], self._views[spec]

    def _missed(self, t: float) -> None:
        self._misses += 1
        if self._misses >= BLIND_AFTER:
            for spec in self._specs:
                self._set(spec, _Known(self._of(spec, t).t, "blind"))

    # ------------------------------------------------------------------------------------------------ not recorded

    async def ask(self, t: float) -> None:
        """Ask for what the last reading did not find recorded and is due at unix time t; nothing where that failed."""
        if self._misses:
            return
        limit = asyncio.Semaphore(DIRECT_AT_ONCE)

        async def one(spec: SloSpec) -> None:
            async with limit:
                await self._ask(spec, t)

        await asyncio.gather(*(one(spec) for spec in self._unrecorded if self._of(spec, t).due(t)))

    async def _ask(self, spec: SloSpec, t: float) -> None:
        before, answers = self._known.get(spec), dict[str, float | None]()
        outcome, reason = "ok", ""
        for name, expr in spec.direct:
            try:
                answers[name] = await self._one(expr, t)
            except SourceError as error:
                outcome, reason = error.klass, str(error)
                if error.klass not in _OF_THE_QUERY:
                    break
            except Exception:
                outcome, reason = "internal_error", "see above"
                log.exception("reading an SLO failed", slo=str(spec), series=name, t=t)
                break
        unanswered = [name for name, _ in spec.direct if name not in answers]
        if outcome != "ok":
            self._telemetry.count("slo_evaluations_total", outcome)
            log.warning("no answer", slo=str(spec), t=t, queries=len(unanswered), reason=reason)
        # Meanwhile it may have been recorded, or nobody answered any more.
        if self._known.get(spec) is before:
            soon = outcome not in _OF_THE_QUERY
            self._set(spec, self._of(spec, t).after(answers, unanswered, t, soon=soon))

    async def _one(self, expr: str, t: float) -> float | None:
        values = (await self._source.instant(expr, t)).values
        return float(values[0]) if len(values) and values[0] == values[0] else None

    # ------------------------------------------------------------------------------------------------ known

    def _of(self, spec: SloSpec, t: float) -> _Known:
        return self._known.get(spec) or _Known(t)

    def _set(self, spec: SloSpec, known: _Known) -> None:
        self._known[spec] = known
        read = readings(known.values, known.origin, unanswered=known.unanswered)
        self._views[spec] = assess(spec.terms, read, known.t)

    def _view(self, spec: SloSpec, now: float) -> SloView:
        view = self._views.get(spec)
        if view is None:
            return assess(spec.terms, readings({}, "unread"), now)
        if now - view.t < self._late(view.readings.origin):
            return view
        return assess(spec.terms, readings({}, "blind"), view.t)

    def _late(self, origin: Origin) -> float:
        """Seconds after which a reading is too old."""
        return 2 * DIRECT_INTERVAL if origin == "direct" else max(_LATE * self._interval, _LATE_SECONDS)
