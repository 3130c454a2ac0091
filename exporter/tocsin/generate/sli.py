"""What an SLI measures, as PromQL over a window: a share of bad events, and their number where they are counted.

Each way to measure gives a :class:`Measure`. An SLI that counts events (requests, probes) has `total` and one of `bad`
and `good`, functions of the window; one that does not has `ratio`, or `now`: the share at a moment, which is recorded
first and averaged over the window.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from tocsin.config import expr as promql
from tocsin.config.models import Latency, Service, SignalBound, Sli, Slo
from tocsin.config.window import has_window, over

#: A function of a window such as `5m`.
Over = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Measure:
    """How an SLI is asked for."""

    total: Over | None = None
    bad: Over | None = None
    good: Over | None = None
    ratio: Over | None = None
    now: str | None = None
    #: Whether a counter may still be missing because it appears with its first event.
    lazy: bool = False
    #: Whether the recorded number of events may stand for `total` where the share is asked for.
    shared: bool = True

    @property
    def counted(self) -> bool:
        """Whether there are events that can be few."""
        return self.total is not None

    def share(self, window: str, total: str | None = None) -> str:
        """Share of bad events over a window; `total` is an expression of their number where one is recorded.

        Nothing where nothing happened.
        """
        if self.ratio is not None:
            return self.ratio(window)
        number = total or self.total_over(window)
        none_yet = f" or 0 * {number}" if self.lazy else ""
        if self.bad is not None:
            return f"({self.bad(window)}{none_yet})\n/ ({number} > 0)"
        return f"1 - ({self.good_over(window)}{none_yet})\n/ ({number} > 0)"

    def total_over(self, window: str) -> str:
        """Number of events over a window; ValueError for an SLI that does not count them."""
        if self.total is None:
            raise ValueError("the SLI does not count events")
        return self.total(window)

    def good_over(self, window: str) -> str:
        """Number of good events over a window; ValueError for an SLI that counts the bad ones or none."""
        if self.good is None:
            raise ValueError("the SLI does not count good events")
        return self.good(window)


def measure(slo: Slo, service: Service) -> Measure:
    """How the SLI of a valid configuration is asked for."""
    sli = slo.sli
    if sli.total is not None:
        return _events(sli)
    if sli.latency is not None:
        return _native(sli.latency) if sli.latency.native else _classic(sli.latency)
    if sli.probe is not None:
        return _probe(sli.probe)
    if sli.threshold is not None:
        return Measure(now=_beyond(sli.threshold, service))
    ratio = sli.ratio or ""
    if has_window(ratio):
        return Measure(ratio=lambda window: f"avg({_number(over(ratio, window))})")
    return Measure(now=f"avg({_number(ratio)})")


def _number(expr: str) -> str:
    """The expression without NaN, which nothing divided by nothing is: one of them would be the average of a month."""
    return f"(({promql.uncommented(expr)}) >= -Inf)"


def _events(sli: Sli) -> Measure:
    def count(text: str | None) -> Over | None:
        if text is None:
            return None
        plain = promql.uncommented(text)
        if has_window(plain):
            return lambda window: f"sum({over(plain, window)})"
        return lambda window: f"sum(increase({plain}[{window}]))"

    # The tests of an expression feed what is recorded of it, which then must not make up a share of its own.
    shared = not any(text and has_window(text) for text in (sli.total, sli.bad, sli.good))
    return Measure(total=count(sli.total), bad=count(sli.bad), good=count(sli.good), lazy=True, shared=shared)


def _split(selector: str) -> tuple[str, str]:
    """Name and matchers of a selector, without the braces."""
    name, _, matchers = promql.uncommented(selector).partition("{")
    return name.strip(), matchers.rpartition("}")[0].strip().rstrip(",")


def _classic(latency: Latency) -> Measure:
    name, matchers = _split(latency.histogram)
    bucket = ", ".join(part for part in (matchers, _bound(latency.le)) if part)
    count = f"{{{matchers}}}" if matchers else ""
    return Measure(
        total=lambda window: f"sum(increase({name}_count{count}[{window}]))",
        good=lambda window: f"sum(increase({name}_bucket{{{bucket}}}[{window}]))",
    )


def spellings(le: float) -> list[str]:
    """How the bound of a bucket may be written; the first one is that of a person.

    Prometheus 3 writes the bucket of a whole number as 1.0, older ones as the program has it; programs in Go and Python
    write powers of ten from a million on (1e+06), those in Java from ten million on (1.0E7).
    """
    exact = Decimal(repr(le)).normalize()
    mantissa, _, power = f"{exact:E}".partition("E")
    found = [digits := f"{exact:f}"]
    if "." not in digits:
        found.append(f"{digits}.0")
    if not 1e-4 <= le < 1e6:
        found.append(f"{mantissa}e{int(power):+03d}")
    if not 1e-3 <= le < 1e7:
        found.append(f"{mantissa if '.' in mantissa else f'{mantissa}.0'}E{int(power)}")
    return found


def _bound(le: float) -> str:
    """The matcher of a bucket."""
    found = spellings(le)
    if len(found) == 1:
        return f'le="{found[0]}"'
    escaped = (one.replace(".", "\\\\.").replace("+", "\\\\+") for one in found)
    return f'le=~"{"|".join(escaped)}"'


def _native(latency: Latency) -> Measure:
    histogram = promql.uncommented(latency.histogram)

    def over(window: str) -> str:
        return f"sum(increase({histogram}[{window}]))"

    return Measure(
        total=lambda window: f"histogram_count({over(window)})",
        good=lambda window: (
            f"histogram_fraction(-Inf, {latency.le:.15g}, {over(window)}) * histogram_count({over(window)})"
        ),
    )


def _probe(text: str) -> Measure:
    selector = promql.uncommented(text)
    return Measure(
        total=lambda window: f"sum(count_over_time({selector}[{window}]))",
        good=lambda window: f"sum(sum_over_time({selector}[{window}]))",
    )


def _beyond(bound: SignalBound, service: Service) -> str:
    """Share of series that are on the wrong side of a bound now; NaN is no value."""
    expr = service.signals[bound.signal].expr if bound.signal is not None else bound.expr or ""
    side = f"> bool {bound.above:.15g}" if bound.above is not None else f"< bool {bound.below:.15g}"
    return f"avg({_number(expr)} {side})"
