"""Documents of other tools: whatever stands anywhere is read or a fault, and never a traceback."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from openslo import document, inline, metric, ratio, slo
from tocsin.config import openslo, sloth
from tocsin.config.faults import ConfigError, Fault
from tocsin.config.foreign import Foreign
from tocsin.config.models import Service
from tocsin.config.shape import shape
from tocsin.config.yaml import parse, parse_all
from tocsin.generate import render

SPECS = Path(__file__).parent / "testdata" / "sloth"
STRANGE: tuple[Any, ...] = (None, True, -1, math.nan, math.inf, "", "{{", '"', [], [[]], {}, {"x": {}}, "x" * 300)
OPENSLO = [
    slo("events"),
    slo(
        "value",
        indicator=inline({"thresholdMetric": metric("q")}),
        objectives=[{"op": "lt", "value": 1, "target": 0.9}],
    ),
    slo("far", indicator=None, indicatorRef="sli"),
    document("SLI", "sli", ratio(), labels={"a": ["b"]}),
    document("Service", "shop", labels={"team": "x"}),
    document("AlertPolicy", "p"),
]


def paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from paths(data[key], (*path, key))


def changed(documents: list[Any]) -> Iterator[bytes]:
    """The documents with something strange in each place, one at a time."""
    for path in list(paths(documents))[1:]:
        for strange in STRANGE:
            other = copy.deepcopy(documents)
            inner = other
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = strange
            yield yaml.dump_all(other, Dumper=yaml.CSafeDumper).encode()


@pytest.mark.parametrize("name", ["shop", "sensors", "kubernetes"])
def test_anything_anywhere_in_a_spec_of_sloth_is_read_or_a_fault(name: str) -> None:
    documents = list(yaml.safe_load_all((SPECS / f"{name}.yml").read_text()))
    faults: list[tuple[Fault, ...]] = []
    for content in changed(documents):
        try:
            services = sloth.read(content, "f.yml").services
        except ConfigError as error:
            faults.append(error.faults)
            continue
        for service in services.values():
            assert shape(render.to_yaml(service).encode(), "out.yml", Service).faults == []
    assert len(faults) > 100
    assert all(": found " in str(fault) for one in faults for fault in one)


def test_anything_anywhere_in_openslo_documents_is_read_or_a_fault() -> None:
    refused = 0
    for content in changed(OPENSLO):
        services, faults, _ = openslo.services([("f.yml", parse_all(content, "f.yml"))])
        faults += [fault for service in services for fault in service.faults]
        assert all(": found " in str(fault) for fault in faults)
        assert faults or services
        refused += bool(faults)
    assert refused > 100


def test_what_nobody_has_read_is_named_as_far_up_as_that_is_true() -> None:
    text = b"a: {b: 1, c: [x, {d: 2, e: 3}], f: {}, g: null}\nh: {i: 4}\nj: {k: {l: 5}}\n"
    found = Foreign("f.yml", parse(text, "f.yml"))
    assert found.take("a", "b") == 1
    assert found.take("a", "c", 1, "d") == 2
    assert found.take("j") == {"k": {"l": 5}}
    assert found.take("a", "nothing") is None
    assert list(found.rest()) == [("a", "c", 0), ("a", "c", 1, "e"), ("h",)]
