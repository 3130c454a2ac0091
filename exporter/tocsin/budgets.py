"""The error budgets of all SLOs, read from what Prometheus recorded of them.

One query brings every recorded series. Where the rules are not loaded the same expressions are asked for directly, one
SLO after the other and less often. After two readings without an answer nothing is claimed any more.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from tocsin import names
from tocsin.config.types import format_duration
from tocsin.core import slo
from tocsin.core.budget import Readings, SloView, Terms, assess
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.spec import Source
from tocsin.telemetry import Telemetry

log = structlog.get_logger(__name__)

#: Seconds between readings of an SLO whose rules are not loaded.
DIRECT_INTERVAL = 300
#: Readings without an answer after which nothing is claimed any more.
BLIND_AFTER = 2

_ERRORS = {names.RECORD_ERROR_OVER + format_duration(window): window for window in slo.ALL}
_EVENTS = {names.RECORD_EVENTS_OVER + format_duration(window): window for window in slo.ALL}
_WANTED = (*_ERRORS, *_EVENTS, names.RECORD_HISTORY, names.RECORD_REMAINING)
#: All of them; names have no sign that a regular expression would read.
QUERY = f'{{__name__=~"{"|".join(_WANTED)}"}}'

#: Values by the name of the recorded series.
Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SloSpec:
    """An SLO as it is read; `direct` are the expressions behind each recorded series."""

    terms: Terms
    direct: tuple[tuple[str, str], ...]


class Budgets:
    """Reads the SLOs of a configuration; `views` are those of the last reading."""

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
        #: What was asked for directly: when, and what came.
        self._direct: dict[SloSpec, tuple[float, Readings]] = {}
        self._task: asyncio.Task[None] | None = None
        self.views: tuple[SloView, ...] = ()

    def start(self) -> None:
        """Start reading, where there is anything to read."""
        if self._specs and self._task is None:
            self._task = asyncio.create_task(self._run(), name="budgets")

    async def stop(self) -> None:
        """End the task and wait for it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            started = self._clock()
            await self.read(started - self._delay)
            await self._sleep(max(1.0, started + self._interval - self._clock()))

    async def read(self, t: float) -> None:
        """Read all SLOs as of unix time t, and count how that went."""
        outcome = "ok"
        try:
            found = _by_slo(await self._source.instant(QUERY, t))
            self.views = tuple([await self._view(spec, found, t) for spec in self._specs])
            self._misses = 0
            self._telemetry.set("slo_last_success_timestamp_seconds", t + self._delay)
        except SourceError as error:
            outcome = error.klass
            self._missed()
            log.warning("no answer", what="SLOs", t=t, misses=self._misses, reason=str(error))
        except Exception:
            outcome = "internal_error"
            self._missed()
            log.exception("reading the SLOs failed", t=t)
        self._telemetry.count("slo_evaluations_total", outcome)

    def _missed(self) -> None:
        self._misses += 1
        if self._misses >= BLIND_AFTER:
            self.views = ()

    async def _view(self, spec: SloSpec, found: Mapping[tuple[str, str], Values], t: float) -> SloView:
        values = found.get((spec.terms.service, spec.terms.slo))
        if values is not None:
            self._direct.pop(spec, None)
            return assess(spec.terms, _readings(values, recorded=True), t)
        asked, readings = self._direct.get(spec, (-DIRECT_INTERVAL, Readings()))
        if not 0 <= t - asked < DIRECT_INTERVAL:
            asked, readings = t, await self._ask(spec, t)
            self._direct[spec] = asked, readings
        return assess(spec.terms, readings, asked)

    async def _ask(self, spec: SloSpec, t: float) -> Readings:
        """Ask for what is not recorded; an SLI that the source cannot answer for does not keep the others."""
        values = {}
        try:
            for name, expr in spec.direct:
                if (value := await self._one(expr, t)) is not None:
                    values[name] = value
        except SourceError as error:
            self._telemetry.count("slo_evaluations_total", error.klass)
            log.warning("no answer", service=spec.terms.service, slo=spec.terms.slo, t=t, reason=str(error))
        return _readings(values, recorded=False)

    async def _one(self, expr: str, t: float) -> float | None:
        values = (await self._source.instant(expr, t)).values
        return float(values[0]) if len(values) and values[0] == values[0] else None


def _by_slo(vector: Vector) -> dict[tuple[str, str], dict[str, float]]:
    """Values by service and SLO, and by name; those that are no number are left out."""
    out: dict[tuple[str, str], dict[str, float]] = {}
    for raw, value in zip(vector.metrics, vector.values.tolist(), strict=True):
        labels = msgspec.json.decode(raw, type=dict[str, str])
        key = labels.get(names.SERVICE, ""), labels.get(names.SLO, "")
        if value == value:
            out.setdefault(key, {})[labels["__name__"]] = value
    return out


def _readings(values: Values, *, recorded: bool) -> Readings:
    return Readings(
        errors={window: values[name] for name, window in _ERRORS.items() if name in values},
        events={window: values[name] for name, window in _EVENTS.items() if name in values},
        history=values.get(names.RECORD_HISTORY),
        remaining=values.get(names.RECORD_REMAINING),
        recorded=recorded,
    )
