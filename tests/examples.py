"""What the tests of the examples share: the configuration, and what is generated from it."""

from functools import cache
from pathlib import Path
from typing import Any

from tocsin import names
from tocsin.config.load import Config, load
from tocsin.config.models import Service
from tocsin.generate import rules

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "tocsin.yml"


@cache
def config() -> Config:
    """The configuration of the examples."""
    return load(EXAMPLE)


def service(name: str) -> Service:
    """One of its services."""
    return next(service for service in config().services if service.service == name)


@cache
def files() -> dict[str, dict[str, Any]]:
    """What is generated from it, by file."""
    return rules.files(config().process, config().services)


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name."""
    found = [data for name, data in files().items() if Path(name).parent == Path(names.RULES)]
    every = [rule for data in found for group in data["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in every if "alert" in rule}
