"""Expressions that are asked over several windows: `increase(x[$window])`."""

import re

from tocsin.config import expr

#: What stands for the window, wherever it is: as a range, in the name of a recorded metric, in a label's value.
WINDOW = "$window"

_WINDOW = re.compile(r"\$window(?![a-zA-Z])")
_PLACEHOLDER = re.compile(r"\$\w*")


def has_window(text: str) -> bool:
    """Whether an expression has the window anywhere but in a comment."""
    return _WINDOW.search(expr.uncommented(text)) is not None


def over(text: str, window: str) -> str:
    """The expression over a window such as `5m`, without comments."""
    return _WINDOW.sub(window, expr.uncommented(text))


def fault(text: str) -> str | None:
    """What is wrong with an expression that should give a vector over any window, or None."""
    asked = over(text, "5m")
    if match := _PLACEHOLDER.search(expr.masked(asked)):
        return f"found {match[0]}, expected no other placeholder than {WINDOW}"
    return expr.fault(asked)
