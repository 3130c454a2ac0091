"""What a source would answer, made here: series with a daily season, as numbers and as bytes of the API.

Values have all their digits, as ratios computed by a source do, and every one of them changes with every time. A few
resources grow until they reach the limit, so that breach times come and go as they do in life.
"""

from collections.abc import AsyncIterator, Sequence

import numpy as np
import orjson
from numpy.typing import NDArray

from tocsin.core.calendar import Windows
from tocsin.core.settings import Forecast, Seasonal, Settings
from tocsin.evaluation import Spec
from tocsin.source.columns import Matrix, Vector, decode_matrix, decode_vector

Floats = NDArray[np.float64]

#: Seconds between samples; each of them is an evaluation too, so that every cycle grades and learns.
STEP = 1800
SLOTS = 48
HORIZON = 48
#: Grid index of the first sample ever; a Monday in 2025.
FIRST = 1_735_516_800 // STEP
EXPR = "booking_utilization_ratio"
STAMPS = f"timestamp({EXPR})"
#: Cells of a chunk that is handed out as numbers: about what the bound on an answer's size lets through.
_CHUNK = 2_000_000
_HEAD = b'{"status":"success","data":{"resultType":"%b","result":['
_LABELS = b'{"__name__":"booking_utilization_ratio","job":"booking","resource":"resource-%07d"}'
_BLOCK = 4096


def spec(window: int = 500, *, warmup: int | None = None, stamps: bool = False) -> Spec:
    """A signal with every detector and every forecast model, evaluated on the grid."""
    settings = Settings(
        interval=STEP,
        step=STEP,
        window=window,
        seasonal=Seasonal(slots=SLOTS, delta_scale=1.0),
        limit=1.0,
        forecast=Forecast(horizon=HORIZON),
    )
    return Spec(
        service="bench",
        signal="utilization",
        expr=EXPR,
        timestamps=STAMPS if stamps else None,
        capacity=None,
        unit="ratio",
        by=None,
        ignored=frozenset({"job"}),
        settings=settings,
        windows=Windows(),
        stale_after=2 * STEP,
        forget_after=3 * STEP,
        warmup_steps=settings.warmup_steps if warmup is None else warmup,
        max_series=10_000_000,
    )


class Workload:
    """Values of `count` resources at any grid index, the same whenever they are asked for."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(count)
        self.count = count
        self._level = rng.uniform(0.3, 0.6, count)
        self._swing = rng.uniform(0.05, 0.15, count)
        self._phase = rng.uniform(0, 2 * np.pi, count)
        self._slope = np.where(rng.random(count) < 0.05, rng.uniform(0, 6e-4, count), 0.0)

    @property
    def metrics(self) -> list[bytes]:
        """Every series' label object."""
        return [_LABELS % i for i in range(self.count)]

    def at(self, k: int) -> Floats:
        """Values (count,) at grid index k."""
        noise = np.random.default_rng((self.count, k)).standard_normal(self.count)
        season = self._swing * np.sin(2 * np.pi * (k % SLOTS) / SLOTS + self._phase)
        return np.asarray(self._level + season + self._slope * (k - FIRST) + 0.02 * noise)

    def rows(self, first: int, count: int) -> Floats:
        """Values (count, resources) from grid index `first` on."""
        out = np.empty((count, self.count))
        for i, row in enumerate(out):
            row[:] = self.at(first + i)
        return out

    def vector(self, t: float, values: Floats) -> bytes:
        """Answer to an instant query."""
        one = b'{"metric":%b,"value":[%.3f,"%%b"]}' % (_LABELS, t)
        # What is measured is not the memory that making answers takes: little more than they have themselves.
        blocks = range(0, self.count, _BLOCK)
        each = (b",".join(one % pair for pair in enumerate(texts(values[i : i + _BLOCK]), i)) for i in blocks)
        return b"%b%b]}}" % (_HEAD % b"vector", b",".join(each))

    def matrix(self, first: int, values: Floats) -> bytes:
        """Answer to a range query, of values (T, resources) from grid index `first` on."""
        times = (b'[%d,"' % ((first + i) * STEP) for i in range(len(values)))
        row = b",".join(time + b'%b"]' for time in times)
        each = (
            b'{"metric":%b,"values":[%b]}' % (metric, row % tuple(texts(column)))
            for metric, column in zip(self.metrics, np.ascontiguousarray(values.T), strict=True)
        )
        return _HEAD % b"matrix" + b",".join(each) + b"]}}"


def texts(values: Floats) -> Sequence[bytes]:
    """Shortest decimal text of each value."""
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


class Canned:
    """An evaluation's source whose answers to instant queries are bytes, prepared before anything is measured.

    History comes as numbers in chunks: decoding it is measured by the benchmark of filling.
    """

    def __init__(self, load: Workload) -> None:
        self.load = load
        self._bodies: dict[str, bytes] = {}

    def prepare(self, t: float, *, stamps: bool = False) -> None:
        """Make the answers for unix time t, in place of those before."""
        self._bodies.clear()
        self._bodies[EXPR] = self.load.vector(t, self.load.at(round(t / STEP)))
        if stamps:
            self._bodies[STAMPS] = self.load.vector(t, np.full(self.load.count, t))

    async def instant(self, expr: str, t: float, step: float | None = None) -> Vector:  # noqa: ARG002  as a source takes it
        """Decode the prepared answer, once as a client would; a fill asks before anything is prepared."""
        if expr not in self._bodies:
            self.prepare(t, stamps=expr == STAMPS)
        return decode_vector(self._bodies.pop(expr), t)

    async def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
        """History as the source would have it."""
        first, last = round(start / step), round(end / step)
        metrics = self.load.metrics
        rows = max(1, _CHUNK // self.load.count)
        for k in range(first, last + 1, rows):
            times = step * np.arange(k, min(k + rows, last + 1), dtype=np.float64)
            values = self.load.rows(k, times.size)
            yield Matrix(times, metrics, values if expr == EXPR else np.full(values.shape, times[:, None]))


class CannedHistory(Canned):
    """The same with history as bytes, in chunks of `rows` grid times that are made before anything is measured."""

    def __init__(self, load: Workload, first: int, steps: int, rows: int = 100) -> None:
        super().__init__(load)
        starts = range(first, first + steps, rows)
        sizes = [min(rows, first + steps - k) for k in starts]
        self.chunks = [(k, n, load.matrix(k, load.rows(k, n))) for k, n in zip(starts, sizes, strict=True)]

    async def range(self, expr: str, start: float, end: float, step: float) -> AsyncIterator[Matrix]:
        """Decode the chunks; ValueError when other history is asked for."""
        (first, *_), (last, rows, _) = self.chunks[0], self.chunks[-1]
        if (expr, start, end) != (EXPR, first * step, (last + rows - 1) * step):
            raise ValueError(f"no bytes were made for {expr} from {start} to {end}")
        for k, n, body in self.chunks:
            yield decode_matrix(body, k * step, (k + n - 1) * step, step)
