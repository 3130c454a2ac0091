"""Matchers as Alertmanager reads them: a name, an operator, and a value that is always in double quotes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: What a pattern of Go's RE2 must escape; that of Python escapes more, which RE2 refuses.
_META = re.compile(r"([\\.+*?()|\[\]{}^$])")
_NOT: dict[str, Literal["=", "!=", "=~", "!~"]] = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label, and what its value must be: itself, or a pattern for all of it. A label that is absent is empty."""

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        return f"{self.name}{self.op}{quote(self.value)}"

    def __invert__(self) -> "Matcher":
        return Matcher(self.name, _NOT[self.op], self.value)

    def holds(self, labels: dict[str, str]) -> bool:
        """Whether a label set has what is asked for."""
        found = labels.get(self.name, "")
        if self.op in ("=", "!="):
            return (found == self.value) == (self.op == "=")
        return (re.fullmatch(self.value, found) is not None) == (self.op == "=~")


def quote(text: str) -> str:
    """A value in double quotes: the escapes that both the old and the UTF-8 parser of matchers know."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def equal(name: str, value: str) -> Matcher:
    """The label is this."""
    return Matcher(name, "=", value)


def unequal(name: str, value: str) -> Matcher:
    """The label is not this, or not there."""
    return Matcher(name, "!=", value)


def given(name: str) -> Matcher:
    """The label is there. No pattern: that of `.+` does not match a line break."""
    return unequal(name, "")


def among(name: str, values: Iterable[str]) -> Matcher:
    """The label is one of these; each once, in their order."""
    found = list(dict.fromkeys(values))
    if len(found) == 1:
        return equal(name, found[0])
    return Matcher(name, "=~", "|".join(_META.sub(r"\\\1", value) for value in found))


def texts(matchers: Iterable[Matcher]) -> list[str]:
    """The matchers as a configuration lists them."""
    return [str(matcher) for matcher in matchers]
