"""A series that a selector finds: what the tests of a rule feed its expression with."""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import promql_parser

#: What stands for one character class, and for a repetition of anything, in an example of a regular expression.
_CLASSES = (
    (r"\[\^[^]]*\]", "x"),
    (r"\[\(?([^]\\])[^]]*\]", r"\1"),
    (r"\\d", "0"),
    (r"\\w", "x"),
    (r"\\(.)", r"\1"),
    (r"\.[*]", ""),
    (r"\.\+?", "0"),
    (r"[*+?]", ""),
)
#: Values to try beside those that the matchers suggest; the empty one is a label that is not there.
_OTHERS = ("", "other", "0", "1")
#: What a matcher that refuses values would let pass without the negation.
_POSITIVE = {"!=": "=", "!~": "=~"}
#: Combinations of alternatives in a regular expression that are tried.
_MOST = 50


_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


@dataclass(frozen=True)
class Selector:
    """A selector as it is parsed; each matcher is label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, text: str) -> "Selector":
        """Read a plain selector; ValueError for anything else."""
        tree = promql_parser.parse(text)
        if not isinstance(tree, promql_parser.VectorSelector):
            raise ValueError(f"found {text!r}, expected a selector")  # noqa: TRY004  the text is wrong, not its type
        return cls.of_tree(tree)

    @classmethod
    def of_tree(cls, tree: promql_parser.VectorSelector) -> "Selector":
        """Take the metric and the matchers of a parsed selector."""
        matchers = [(m.name, _OPS[str(m.op).rpartition(".")[2]], m.value) for m in tree.matchers.matchers]
        named = [value for name, op, value in matchers if name == "__name__" and op == "="]
        rest = tuple(m for m in matchers if m[0] != "__name__")
        return cls(tree.name or next(iter(named), ""), rest)

    def accepts(self, label: str, value: str) -> bool:
        """Whether all matchers of the label let the value pass."""
        return all(_passes(op, pattern, value) for name, op, pattern in self.matchers if name == label)

    def finds(self, series: "Series") -> bool:
        """Whether the selector finds the series."""
        labels = dict(series.labels)
        return self.name == series.name and all(
            self.accepts(label, labels.get(label, "")) for label in {name for name, _, _ in self.matchers}
        )

    def values(self, label: str) -> Iterator[str]:
        """Values of a label with which the selector finds a series, likely ones first."""
        tried = itertools.chain(*(_examples(op, text) for name, op, text in self.matchers if name == label), _OTHERS)
        yield from (value for value in dict.fromkeys(tried) if self.accepts(label, value))


@dataclass(frozen=True)
class Series:
    """A metric and its labels."""

    name: str
    labels: tuple[tuple[str, str], ...]


def example(selector: Selector, avoid: Selector | None = None) -> Series | None:
    """A series that one selector finds and the other does not; None where none was thought of."""
    if not selector.name:
        return None
    labels: dict[str, str] = {}
    for label in dict.fromkeys(name for name, _, _ in selector.matchers):
        value = next(selector.values(label), None)
        if value is None:
            return None
        labels[label] = value
    if avoid is not None and avoid.finds(_series(selector.name, labels)):
        return _other(selector, labels, avoid)
    return _series(selector.name, labels)


def _other(selector: Selector, labels: dict[str, str], avoid: Selector) -> Series | None:
    """The same with one label changed so that the second selector does not find it."""
    for label in dict.fromkeys(name for name, _, _ in avoid.matchers):
        refused = (_examples(_POSITIVE.get(op, op), text) for name, op, text in avoid.matchers if name == label)
        for value in itertools.chain(selector.values(label), *refused):
            if selector.accepts(label, value) and not avoid.accepts(label, value):
                return _series(selector.name, labels | {label: value})
    return None


def _series(name: str, labels: dict[str, str]) -> Series:
    return Series(name, tuple((label, value) for label, value in labels.items() if value))


def _passes(op: str, pattern: str, value: str) -> bool:
    if op in ("=", "!="):
        return (pattern == value) == (op == "=")
    try:
        # Python reads a class such as [:alpha:] as its letters.
        found = "[:" not in pattern and re.fullmatch(pattern, value, re.DOTALL) is not None
    except re.error:
        return False
    return found == (op == "=~")


def _examples(op: str, pattern: str) -> Iterable[str]:
    """Values that a matcher suggests."""
    if op == "=":
        return (pattern,)
    return itertools.islice((_plain(one) for one in _alternatives(pattern)), _MOST) if op == "=~" else ()


def _alternatives(pattern: str) -> Iterator[str]:
    """The pattern with each innermost group replaced by each of its alternatives."""
    if match := re.search(r"\((?:\?:)?([^()]*)\)\??", pattern):
        for one in match[1].split("|"):
            yield from _alternatives(pattern[: match.start()] + one + pattern[match.end() :])
    else:
        yield from pattern.split("|")


def _plain(pattern: str) -> str:
    text = pattern.removeprefix("^").removesuffix("$")
    for of, example_ in _CLASSES:
        text = re.sub(of, example_, text)
    return re.sub(r"(.)\{([0-9]+)(?:,[0-9]*)?\}", lambda m: m[1] * int(m[2]), text)
