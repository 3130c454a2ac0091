"""One file -> one model, with every fault of its shape.

A model comes out even of a file with faults: what is wrong is taken out (a default or a stand-in takes its place) and
named as `doubtful`, so that the checks between values can go on with the rest and say nothing about those.
"""

import copy
import json
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from tocsin.config.explain import Wrong, wrongs
from tocsin.config.faults import ConfigError, Fault, Path, show_path
from tocsin.config.models import Model
from tocsin.config.yaml import Document, parse

M = TypeVar("M", bound=Model)

_NULL = "found nothing, expected a value (or leave the key out)"

#: Stands for a required value that is missing or wrong, by its key.
_STAND_INS: dict[str, object] = {
    "source": {"url": "http://localhost"},
    "url": "http://localhost",
    "services": ["*"],
    "service": "unknown",
    "signals": {"unknown": {"expr": "up"}},
    "expr": "up",
    "tier": 4,
    "season": 2,
    "times": 1,
    "multipliers": [{"times": 1}],
    "name": "unknown",
    "scopes": ["webhook"],
    "username": "unknown",
    "password_file": "unknown",
}


@dataclass
class Shaped(Generic[M]):
    """A file as it was read: None for what could not be made of it."""

    file: str
    content: bytes
    document: Document | None = None
    model: M | None = None
    doubtful: list[Path] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def fault(self, path: Path, message: str, *, at_key: bool = False) -> Fault:
        """Place a message in this file."""
        line, column = self.document.where(path, key=at_key) if self.document else (1, 1)
        return Fault(self.file, line, column, show_path(path), message)

    def trusts(self, path: Path) -> bool:
        """Whether the value at the path is the file's own, wholly."""
        return not any(path[: len(bad)] == bad or bad[: len(path)] == path for bad in self.doubtful)


def shape(content: bytes, file: str, model: type[M], base: str | None = None) -> Shaped[M]:
    """Read the bytes of a file as a model; paths of further files are taken from the folder `base`."""
    shaped: Shaped[M] = Shaped(file, content)
    try:
        shaped.document = parse(content, file)
    except ConfigError as error:
        shaped.faults += error.faults
        return shaped
    return fill(shaped, shaped.document, model, base)


def fill(shaped: Shaped[M], document: Document, model: type[M], base: str | None = None) -> Shaped[M]:
    """Set the model that the data of a document says, and note what is wrong with it."""
    shaped.faults += document.faults
    data = copy.deepcopy(document.data)
    found = {wrong.path: wrong for wrong in _nulls(data, ())}
    for wrong in _validate(shaped, data, model, base):
        if wrong.at_key or wrong.path not in found:
            found[wrong.path] = wrong
    shaped.faults += [shaped.fault(wrong.path, wrong.message, at_key=wrong.at_key) for wrong in found.values()]
    # What follows from taking one thing out (a missing key, a mapping that is now empty) is no fault of the file.
    for _ in range(20):
        if shaped.model is not None or () in found:
            break
        for path in found:
            shaped.doubtful += _take(data, path)
        found = {wrong.path: wrong for wrong in _validate(shaped, data, model, base)}
    return shaped


def _validate(shaped: Shaped[M], data: object, model: type[M], base: str | None) -> list[Wrong]:
    """Set the model of the data, or say what is wrong. In JSON because its strict mode takes lists for tuples."""
    try:
        shaped.model = model.model_validate_json(
            json.dumps(data), strict=True, context={"base": base}, by_alias=True, by_name=False
        )
    except ValidationError as error:
        return wrongs(error, model, data)
    return []


def _nulls(data: object, path: Path) -> list[Wrong]:
    """Keys without a value; in lists null is a value."""
    out = []
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        if value is None and isinstance(data, dict):
            out.append(Wrong((*path, key), _NULL))
        out += _nulls(value, (*path, key))
    return out


def _take(data: Any, path: Path) -> list[Path]:  # noqa: ANN401  plain data of any shape
    """Take the value at the path out of the data (or put a stand-in there); the paths that are now doubtful."""
    doubtful = [path]
    # Taking one entry out of a list would move the others away from their lines.
    while isinstance(path[-1], int):
        path = path[:-1]
    for key in path[:-1]:
        # An earlier path of the same round may have taken out what is around this one.
        if isinstance(data, dict) and key not in data:
            return doubtful
        data = data[key]
    key = str(path[-1])
    if key in data:
        del data[key]
    elif key in _STAND_INS:
        data[key] = copy.deepcopy(_STAND_INS[key])
    return [*doubtful, path]
