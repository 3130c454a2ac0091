"""Answers of the Prometheus HTTP API as columns: the labels as they came, the values as one numpy array.

Measured on one core of a shared machine, best of several runs (CPU time):

==========================================================  ===========  ====================
variant                                                     vector,      matrix, 10,000 series
                                                            100,000      x 500 samples
==========================================================  ===========  ====================
typed structs, pair as tuple of float and str               64 ms        2.4 s
typed structs, pair as struct, number parsed by msgspec     45 ms        1.5 s
``bytes.split`` on the keys, ``float`` per value            94 ms        1.4 s
one regular expression over the body                        83 ms        not tried
brackets and quotes removed, ``np.fromstring``              94 ms        1.9 s
brackets removed, the rest decoded as one list of floats    not tried    1.0 s
==========================================================  ===========  ====================

The second is used for vectors and the last for matrices. In both the label object stays raw JSON: it is compared far
more often than it is read.
"""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from tocsin.source.errors import SourceError, quote

Floats = npt.NDArray[np.float64]

#: Prometheus keeps time in milliseconds; what is off the grid by no more is rounding.
GRID_TOLERANCE = 0.0015
#: A byte that JSON has nowhere.
_BETWEEN = b"\0"


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """One instant: ``values[i]`` (NaN and infinities as they came) belongs to the series ``metrics[i]``.

    ``t`` is the evaluation time that was asked for, ``labels`` the raw JSON of each label object in the order of the
    answer. ``histograms`` counts series that had a native histogram instead of a value; they are left out.
    """

    t: float
    labels: InitVar[Sequence[bytes | msgspec.Raw]]
    values: Floats
    warnings: tuple[str, ...] = ()
    histograms: int = 0
    #: All label objects in one: equal keys mean the same series in the same order.
    key: bytes = field(init=False, repr=False)

    def __post_init__(self, labels: Sequence[bytes | msgspec.Raw]) -> None:
        # Nothing of the answer is kept but this: raw labels would keep all of its bytes.
        object.__setattr__(self, "key", _BETWEEN.join(labels))

    @property
    def metrics(self) -> list[bytes]:
        """Each label object; made when asked for, because while nothing comes or goes only the key is needed."""
        return self.key.split(_BETWEEN) if self.key else []


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """A stretch of the grid: ``values[k, i]`` is series ``metrics[i]`` at ``times[k]``, NaN where there is no sample.

    ``histograms`` counts series that had native histogram samples; those samples are left out.
    """

    times: Floats
    metrics: list[bytes]
    values: Floats
    warnings: tuple[str, ...] = ()
    histograms: int = 0


class _Point(msgspec.Struct, array_like=True, gc=False):
    t: float
    v: float


class _VectorSeries(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    value: _Point | None = None


class _MatrixSeries(msgspec.Struct, gc=False):
    metric: msgspec.Raw
    values: msgspec.Raw = msgspec.Raw()
    histograms: msgspec.Raw = msgspec.Raw()


class _VectorData(msgspec.Struct, gc=False):
    resultType: str  # noqa: N815  the API's own spelling
    result: list[_VectorSeries]


class _MatrixData(msgspec.Struct, gc=False):
    resultType: str  # noqa: N815  the API's own spelling
    result: list[_MatrixSeries]


class _AnyData(msgspec.Struct, gc=False, frozen=True):
    resultType: str = "none"  # noqa: N815  the API's own spelling
    result: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct, gc=False, kw_only=True):
    status: str
    error: str = ""
    warnings: list[str] | None = None
    isPartial: bool = False  # noqa: N815  VictoriaMetrics' spelling


class _VectorAnswer(_Envelope, gc=False):
    data: _VectorData


class _MatrixAnswer(_Envelope, gc=False):
    data: _MatrixData


class _AnyAnswer(_Envelope, gc=False):
    data: _AnyData = _AnyData()


# strict=False lets msgspec read the numbers inside their quotes; it knows "NaN" and "Inf", not "+Inf".
_VECTOR = msgspec.json.Decoder(_VectorAnswer, strict=False)
_MATRIX = msgspec.json.Decoder(_MatrixAnswer, strict=False)
_ANY = msgspec.json.Decoder(_AnyAnswer, strict=False)
_POINT = msgspec.json.Decoder(_Point, strict=False)
_FLOATS = msgspec.json.Decoder(list[float], strict=False)

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError)


def decode_vector(body: bytes, t: float) -> Vector:
    """Columns of an answer to an instant query; a scalar is one series without labels.

    Raises :class:`SourceError`: ``bad_response`` for what is not such an answer (to be retried when it was cut off),
    ``bad_query`` for a string or a range vector.
    """
    body = _plain_infinity(body)
    try:
        answer = _VECTOR.decode(body)
    except _NOT_JSON as error:
        return _decode_scalar(body, t, error)
    _expect(answer, answer.data.resultType, "vector")
    series = answer.data.result
    points = [s for s in series if s.value is not None]
    values = np.fromiter((s.value.v for s in points if s.value is not None), np.float64, len(points))
    return Vector(t, [s.metric for s in points], values, _warnings(answer), len(series) - len(points))


def decode_matrix(body: bytes, start: float, end: float, step: float) -> Matrix:
    """Columns of an answer to a range query over the grid ``start, start + step, ... <= end`` (seconds).

    Raises :class:`SourceError` ``bad_response`` for what is not such an answer, and for a sample off the grid.
    """
    times: Floats = start + step * np.arange(int((end - start) / step + 1e-9) + 1, dtype=np.float64)
    body = _plain_infinity(body)
    try:
        answer = _MATRIX.decode(body)
    except _NOT_JSON as error:
        other = _any(body, error)
        _expect(other, other.data.resultType, "matrix")
        raise _not_an_answer(body, error) from error
    _expect(answer, answer.data.resultType, "matrix")
    series = [s for s in answer.data.result if s.values]
    values = np.full((len(series), len(times)), np.nan)
    asked: Floats = np.empty(0)
    slots: npt.NDArray[np.intp] = np.empty(0, np.intp)
    for row, one in zip(values, series, strict=True):
        pairs = _pairs(one.values)
        # Most series have all their samples, so most have the times of the one before.
        if not np.array_equal(pairs[:, 0], asked):
            asked = pairs[:, 0]
            slots = _slots(asked, times, step)
        row[slots] = pairs[:, 1]
    histograms = sum(1 for s in answer.data.result if s.histograms)
    metrics = [bytes(s.metric) for s in series]
    return Matrix(times, metrics, np.ascontiguousarray(values.T), _warnings(answer), histograms)


def _plain_infinity(body: bytes) -> bytes:
    # A quote inside a JSON string is always escaped, so these bytes can only be the end of a pair [time, value].
    # Looking for the plus sign first is thirty times as fast: quotes are everywhere, plus signs nearly nowhere.
    return body.replace(b'"+Inf"]', b'"Inf"]') if b"+" in body and b'"+Inf"]' in body else body


def _pairs(raw: msgspec.Raw) -> Floats:
    """Pairs of time and value as (n, 2), from ``[[t, "v"], ...]``."""
    try:
        flat = _FLOATS.decode(b"[" + bytes(raw).translate(None, b"[]") + b"]")
        return np.array(flat, np.float64).reshape(-1, 2)
    except (msgspec.DecodeError, ValueError) as error:
        raise SourceError(f"sent samples that are not pairs of time and value: {error}", "bad_response") from error


def _slots(asked: Floats, times: Floats, step: float) -> npt.NDArray[np.intp]:
    """Grid index of each sample time; the samples must be in order, on the grid and inside it."""
    offsets = (asked - times[0]) / step
    if np.all((offsets > -0.5) & (offsets < times.size - 0.5)):
        slots: npt.NDArray[np.intp] = np.rint(offsets).astype(np.intp)
        if np.all(np.diff(slots) > 0) and np.all(np.abs(asked - times[slots]) <= GRID_TOLERANCE):
            return slots
    raise SourceError(
        "sent samples at other times than those asked for; for VictoriaMetrics set source.kind: victoriametrics",
        "bad_response",
    )


def _any(body: bytes, error: Exception) -> _AnyAnswer:
    """Decode what did not decode as expected, to tell another kind of answer from none."""
    try:
        return _ANY.decode(body)
    except _NOT_JSON:
        raise _not_an_answer(body, error) from error


def _decode_scalar(body: bytes, t: float, error: Exception) -> Vector:
    answer = _any(body, error)
    if answer.data.resultType == "vector":
        raise _not_an_answer(body, error) from error
    _expect(answer, answer.data.resultType, "scalar")
    try:
        value = _POINT.decode(answer.data.result).v
    except _NOT_JSON as broken:
        raise _not_an_answer(body, broken) from broken
    return Vector(t, [b"{}"], np.array([value]), _warnings(answer))


def _expect(answer: _Envelope, kind: str, wanted: str) -> None:
    if answer.status != "success":
        said = quote(answer.error) or "no reason given"
        raise SourceError(f"answered 200 and status {quote(answer.status)!r}: {said}", "bad_response")
    if kind == wanted:
        return
    if kind == "string" or (kind == "matrix" and wanted != "matrix"):
        raise SourceError(f"finds that the expression gives a {kind}, expected an instant vector", "bad_query")
    raise SourceError(f"sent a result of type {quote(kind)!r}, expected {wanted}", "bad_response")


def _warnings(answer: _Envelope) -> tuple[str, ...]:
    partial = ("the source says that its answer is partial",) if answer.isPartial else ()
    return tuple(quote(w) for w in answer.warnings or ()) + partial


def _not_an_answer(body: bytes, error: Exception) -> SourceError:
    # msgspec has no class of its own for a body that was cut off.
    cut_off = "truncated" in str(error) or not body
    what = "ends too early" if cut_off else f"is not an answer of the Prometheus HTTP API: {quote(str(error))}"
    return SourceError(f"sent a body of {len(body)} bytes that {what}", "bad_response", retry=cut_off)
