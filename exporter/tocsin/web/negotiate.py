"""Which format of the metrics page an Accept header asks for."""

import re

_OPENMETRICS, _TEXT = "application/openmetrics-text", "text/plain"
#: Versions of OpenMetrics that can be read as what is served; none named is any.
_VERSIONS = frozenset({"", "1.0.0", "0.0.1"})
#: A weight as RFC 9110, section 12.4.2, writes it.
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is accepted, and the text format weighs no more. A weight of 0 refuses."""
    weights: dict[str, float] = {}
    for item in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in item.split(";"))
        given = {name.strip(): value.strip(' "') for name, _, value in (part.partition("=") for part in parameters)}
        weight = given.get("q", "1")
        if kind == _OPENMETRICS and given.get("version", "") not in _VERSIONS:
            continue
        # What is no weight is no preference: 1, as if it were not there.
        number = float(weight) if _WEIGHT.fullmatch(weight) else 1.0
        weights[kind] = max(weights.get(kind, 0.0), number)
    # The most specific range that is given says how much the text format weighs.
    text = next((weights[kind] for kind in (_TEXT, "text/*", "*/*") if kind in weights), 0.0)
    openmetrics = weights.get(_OPENMETRICS, 0.0)
    return openmetrics > 0 and openmetrics >= text
