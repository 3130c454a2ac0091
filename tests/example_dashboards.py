"""The dashboards of the examples, made once."""

from functools import cache
from typing import Any

from examples import config
from tocsin.generate.dashboards import files
from tocsin.generate.dashboards.frame import Places

PLACES = Places("http://tocsin.example.com", "http://prometheus.example.com")
SERVICES = ("amas", "learning", "maestro", "melody-meter", "pynomaly")
OTHERS = ("tocsin-overview", "tocsin-slos", "tocsin-capacity", "opx-learning-operations", "tocsin")
UIDS = (*SERVICES, *OTHERS)


@cache
def models() -> dict[str, dict[str, Any]]:
    """The dashboards of the examples by uid."""
    made = files.dashboards(config().process, config().services, PLACES)
    return {one.uid: one.model("0", "0") for one in made}


def panel(uid: str, title: str) -> dict[str, Any]:
    return next(panel for panel in models()[uid]["panels"] if panel["title"] == title)
