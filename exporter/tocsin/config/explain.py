"""What a model refuses, in plain sentences: "found ..., expected ...".

Pydantic says what is wrong with a value by a type and a location; neither its wording nor the branches of its unions
reach the user.
"""

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tocsin.config.faults import Path
from tocsin.config.types import describe


@dataclass(frozen=True)
class Wrong:
    """One thing that is wrong with the data at a path; `at_key` when it is the key and not its value."""

    path: Path
    message: str
    at_key: bool = False


#: Keys whose values are secrets, or are easily mistaken for the place of one: never shown.
_SECRET = frozenset({"headers", "token_hash"})

#: What a text has to look like, by its key.
_TEXTS = {
    "service": "a name of letters, digits, '.', '_' and '-'",
    "name": "a name of letters, digits and '_'",
    "page": "a name of letters, digits and '_'",
    "ticket": "a name of letters, digits and '_'",
    "prometheus": "a version such as '2.42'",
    "alertmanager": "a version such as '0.25'",
    "token_hash": "sha256: and 64 digits of 0-9 and a-f",
    "access_key_id": "1 to 128 letters, digits, '_' and '-'",
    "sigv4_service": "1 to 64 letters, digits, '.', '_' and '-'",
    "basic_auth_users": "a bcrypt hash such as `htpasswd -nB` prints",
}

#: What else than a mapping may stand there.
_MAPPINGS = {"forecast": "a mapping with horizon and model, or false"}

_KINDS: dict[str, str] = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}

_BOUNDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: f"more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']:g}",
    "less_than": lambda ctx: f"less than {ctx['lt']:g}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']:g}",
}


def wrongs(error: ValidationError, model: type[BaseModel], data: object) -> list[Wrong]:
    """Every fault of the data that the model refused, one per path."""
    out: dict[Path, Wrong] = {}
    for details in error.errors(include_url=False):
        # The other branch of `mapping or false` says nothing that the mapping's own faults do not.
        if "literal[False]" in details["loc"]:
            continue
        path, value = _walk(details["loc"], data)
        if (wrong := _wrong(details, path, value, model)) is not None:
            out.setdefault(wrong.path, wrong)
    return list(out.values()) or [
        Wrong((), "found something that is not understood, expected what CONFIGURATION.md says")
    ]


def _walk(loc: Path, data: object) -> tuple[Path, object]:
    """Path and value in the data; names of union branches, which the data does not have, are left out."""
    path: Path = ()
    for key in loc:
        if (isinstance(data, dict) and key in data) or (isinstance(data, list) and key in range(len(data))):
            data = data[key]  # type: ignore[index]  # looked up on the line before
            path = (*path, key)
    return path, data


def _wrong(details: ErrorDetails, path: Path, value: object, model: type[BaseModel]) -> Wrong | None:
    kind, ctx, last = details["type"], details.get("ctx", {}), details["loc"][-1:]
    if kind == "missing" and isinstance(last[0], int):
        return Wrong(path, f"found {_count(value)}, expected {_length(model, path)}")
    if kind == "missing":
        return Wrong((*path, *last), "found nothing, expected a value")
    if kind == "extra_forbidden":
        return Wrong(path, _unknown_key(str(path[-1]), keys_at(model, path[:-1])), at_key=True)
    if kind == "too_short":
        # An entry that was refused makes the list look shorter than it is.
        return Wrong(path, f"found {_count(value)}, expected at least one") if _size(value) == 0 else None
    if kind == "too_long":
        return Wrong(path, f"found {_count(value)}, expected {ctx['max_length']}")
    if kind == "value_error":
        return Wrong(path, str(ctx["error"]))
    if last == ("[key]",):
        return Wrong(path, f"found a name of {len(str(path[-1]))} characters, expected 1 to 200", at_key=True)
    return Wrong(path, f"found {_found(path, value)}, expected {_expected(kind, ctx, path, value)}")


def _found(path: Path, value: object) -> str:
    if not _SECRET.isdisjoint(path):
        return "a value that is not shown here"
    return f"{len(value)} characters" if isinstance(value, str) and len(value) > 200 else describe(value)


def _expected(kind: str, ctx: Mapping[str, Any], path: Path, value: object) -> str:
    if kind == "string_type":
        return "text" if isinstance(value, dict | list) else "text (put it in quotes)"
    if kind == "string_too_short":
        return "some text"
    if kind == "string_too_long":
        return f"at most {ctx['max_length']} characters"
    if kind == "string_pattern_mismatch":
        named = (_TEXTS[str(key)] for key in reversed(path) if str(key) in _TEXTS)
        return next(named, f"text like {ctx['pattern']}")
    if kind == "literal_error":
        return _choice(value, re.findall(r"'([^']*)'", ctx["expected"]))
    if kind in _BOUNDS:
        return _BOUNDS[kind](ctx)
    if kind == "model_type" and path:
        return _MAPPINGS.get(str(path[-1]), "a mapping")
    return _KINDS.get(kind, "another value")


def _choice(value: object, known: list[str]) -> str:
    if isinstance(value, str) and (near := difflib.get_close_matches(value, known, 1)):
        return f"{near[0]!r}" if len(known) == 1 else f"{near[0]!r} (or another of {', '.join(known)})"
    return known[0] if len(known) == 1 else f"one of {', '.join(known)}"


def _unknown_key(key: str, known: list[str]) -> str:
    if near := difflib.get_close_matches(key, known, 1):
        return f"found the unknown key {key!r}, expected {near[0]!r}"
    return f"found the unknown key {key!r}, expected one of {', '.join(known)}"


def _size(value: object) -> int:
    return len(value) if isinstance(value, list | dict) else 0


def _count(value: object) -> str:
    size = _size(value)
    noun = ("entry", "entries") if isinstance(value, dict) else ("value", "values")
    return f"{size or 'no'} {noun[0] if size == 1 else noun[1]}"


def _options(annotation: Any) -> Iterator[Any]:  # noqa: ANN401  an annotation can be any object
    """Branches of a union without their metadata."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _options(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            yield from _options(option)
    else:
        yield annotation


def _inside(annotation: Any, key: str | int) -> Any:  # noqa: ANN401  an annotation can be any object
    """Annotation of what is found under the key of a value that is annotated like this."""
    for option in _options(annotation):
        origin, args = typing.get_origin(option), typing.get_args(option)
        if isinstance(option, type) and issubclass(option, BaseModel):
            return next((f.annotation for n, f in option.model_fields.items() if (f.alias or n) == key), None)
        if origin is dict:
            return args[1]
        if origin is tuple:
            return args[0]
    return None


def _annotation(model: type[BaseModel], path: Path) -> Any:  # noqa: ANN401  an annotation can be any object
    annotation: Any = model
    for key in path:
        annotation = _inside(annotation, key)
    return annotation


def keys_at(model: type[BaseModel], path: Path) -> list[str]:
    """Keys that a mapping at this path may have; none where it is not a model."""
    for option in _options(_annotation(model, path)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return [field.alias or name for name, field in option.model_fields.items()]
    return []


def _length(model: type[BaseModel], path: Path) -> int:
    """How many values a list of fixed length has."""
    options = (o for o in _options(_annotation(model, path)) if typing.get_origin(o) is tuple)
    return max((len(typing.get_args(option)) for option in options), default=0)
