"""Arithmetic with intervals: between which bounds a value must lie, whatever the data is.

Bounds belong to the interval; one that a comparison excludes is replaced by the next number. NaN is left out: no
comparison holds for it.
"""

import math
from typing import NamedTuple


class Interval(NamedTuple):
    """Numbers from low to high, both included."""

    low: float = -math.inf
    high: float = math.inf

    def __neg__(self) -> "Interval":
        return Interval(-self.high, -self.low)

    @property
    def point(self) -> bool:
        """Whether there is one number only."""
        return self.low == self.high

    @property
    def empty(self) -> bool:
        """Whether there is no number at all."""
        return self.low > self.high


ANY = Interval()
POSITIVE = Interval(0.0, math.inf)
COUNT = Interval(1.0, math.inf)
ONE = Interval(1.0, 1.0)

#: What a comparison reads like from the other side.
MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}


def hull(a: Interval, b: Interval) -> Interval:
    """The least interval that holds both."""
    return Interval(min(a.low, b.low), max(a.high, b.high))


def meet(a: Interval, b: Interval) -> Interval:
    """What is in both; may be empty."""
    return Interval(max(a.low, b.low), min(a.high, b.high))


def possible(op: str, a: Interval, b: Interval) -> bool:
    """Whether the comparison holds for some numbers of the two."""
    if op in ("<", "<="):
        a, b, op = b, a, MIRRORED[op]
    if op == ">":
        return a.high > b.low
    if op == ">=":
        return a.high >= b.low
    if op == "==":
        return not meet(a, b).empty
    return not (a.point and a == b)


def certain(op: str, a: Interval, b: Interval) -> bool:
    """Whether the comparison holds for all numbers of the two."""
    if op in ("<", "<="):
        a, b, op = b, a, MIRRORED[op]
    if op == ">":
        return a.low > b.high
    if op == ">=":
        return a.low >= b.high
    if op == "==":
        return a.point and a == b
    return meet(a, b).empty


def kept(op: str, a: Interval, b: Interval) -> Interval:
    """The numbers of `a` for which the comparison with some number of `b` may hold."""
    if op == ">":
        return meet(a, Interval(math.nextafter(b.low, math.inf), math.inf))
    if op == ">=":
        return meet(a, Interval(b.low, math.inf))
    if op == "<":
        return meet(a, Interval(-math.inf, math.nextafter(b.high, -math.inf)))
    if op == "<=":
        return meet(a, Interval(-math.inf, b.high))
    return meet(a, b) if op == "==" else a


def arithmetic(op: str, a: Interval, b: Interval) -> Interval:
    """Bounds of the operation's result."""
    if op == "+":
        return Interval(_sum(a.low, b.low, -math.inf), _sum(a.high, b.high, math.inf))
    if op == "-":
        return arithmetic("+", a, -b)
    if op == "*":
        return _of([_product(x, y) for x in a for y in b])
    if op == "/":
        return _quotient(a, b)
    if op == "%":
        return _remainder(a, b)
    if op == "^":
        return _power(a, b)
    return ANY


def _sum(x: float, y: float, otherwise: float) -> float:
    total = x + y
    return otherwise if math.isnan(total) else total


def _product(x: float, y: float) -> float:
    # A bound of infinity stands for numbers without end, and each of them times 0 is 0.
    return 0.0 if x == 0 or y == 0 else x * y


def _of(values: list[float]) -> Interval:
    return Interval(min(values), max(values))


def _quotient(a: Interval, b: Interval) -> Interval:
    if b.low <= 0 <= b.high:
        # Dividing by zero gives an infinity with the sign of the divided, or NaN.
        return POSITIVE if b.low >= 0 and a.low >= 0 else ANY
    return _of([_ratio(x, y) for x in a for y in b])


def _ratio(x: float, y: float) -> float:
    return 0.0 if math.isinf(y) else x / y


def _remainder(a: Interval, b: Interval) -> Interval:
    most = max(abs(b.low), abs(b.high))
    return Interval(0.0 if a.low >= 0 else -most, 0.0 if a.high <= 0 else most)


def _power(a: Interval, b: Interval) -> Interval:
    if not (a.point and b.point):
        return POSITIVE if a.low >= 0 else ANY
    try:
        result = a.low**b.low
    except (OverflowError, ZeroDivisionError):
        return ANY
    return ANY if isinstance(result, complex) else Interval(result, result)
