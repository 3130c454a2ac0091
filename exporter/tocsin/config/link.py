"""Templates of links: which placeholders they may have."""

import string
from collections.abc import Iterator

PLACEHOLDERS = ("alert", "service", "signal", "resource")


def faults(template: str) -> Iterator[str]:
    """What is wrong with a link."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        yield "found an open { or }, expected pairs ({{ and }} for the signs themselves)"
        return
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    for name in fields:
        if name not in PLACEHOLDERS:
            yield f"found {{{name}}}, expected only {known}"
