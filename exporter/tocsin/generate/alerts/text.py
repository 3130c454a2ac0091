"""Sentences of these alerts, with the numbers in them, as templates of Prometheus."""

from tocsin import names
from tocsin.config.types import format_duration
from tocsin.generate import templates

#: The labels of an alert whose names nobody knows beforehand.
_LABELS = "{{ range $name, $text := $labels }} {{ $name }}={{ $text }}{{ end }}"


def value(unit: str) -> str:
    """What was found."""
    return templates.number("$value", unit)


def constant(bound: float, unit: str) -> str:
    """A number of the configuration, written as the value is."""
    return templates.number(repr(bound), unit)


def where(service: str, *, resource: bool) -> str:
    """The resource, where there is one, and the service."""
    of = f" of {{{{ $labels.{names.RESOURCE} }}}}" if resource else ""
    return f"{of} ({templates.inert(service)})"


def lasting(wait: float) -> str:
    """For how long it has been so."""
    return f" for at least {format_duration(wait)}" if wait else ""


def paragraphs(*lines: str, about: str = "", labels: bool = False) -> str:
    """Lines of a description, what the value is first; `labels` adds those of the alert."""
    first = [templates.inert(" ".join(about.split()))] if about.strip() else []
    return "\n".join([*first, *(line for line in lines if line), *([f"Labels:{_LABELS}"] if labels else [])])
