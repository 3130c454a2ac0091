"""The JSON Schemas accept what the loader accepts, and describe every key."""

import re
from pathlib import Path
from typing import Any

import pytest

from tocsin.config.schema import Kind, json_schema
from tocsin.config.yaml import parse

TESTDATA = Path(__file__).parent / "testdata" / "config"
GOOD = sorted((TESTDATA / "good").rglob("*.yml"))

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
#: Keywords that say nothing about what is accepted.
SILENT = {"description", "title", "default", "examples", "$defs", "$schema", "items", "additionalProperties"}


def allows(schema: dict[str, Any], value: Any, root: dict[str, Any]) -> bool:
    """Whether a value fits a schema, for the keywords that ours use (any other one is a KeyError)."""
    return all(CHECKS[key](schema, value, root) for key in schema.keys() - SILENT) and all(
        allows(inner, part, root) for part, inner in parts(schema, value)
    )


def parts(schema: dict[str, Any], value: Any) -> list[tuple[Any, dict[str, Any]]]:
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
        return [(part, known.get(key, {"enum": []} if other is False else other)) for key, part in value.items()]
    if isinstance(value, list):
        return [(part, schema.get("items", {})) for part in value[len(schema.get("prefixItems", ())) :]]
    return []


def pairs(schema: dict[str, Any], value: list[Any]) -> list[tuple[dict[str, Any], Any]]:
    return list(zip(schema["prefixItems"], value, strict=False))


def is_a(kind: str, value: Any) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def is_number(value: Any) -> bool:
    return is_a("number", value)


CHECKS: dict[str, Any] = {
    "type": lambda s, v, _: is_a(s["type"], v),
    "$ref": lambda s, v, root: allows(root["$defs"][s["$ref"].rpartition("/")[2]], v, root),
    "anyOf": lambda s, v, root: any(allows(option, v, root) for option in s["anyOf"]),
    "enum": lambda s, v, _: v in s["enum"],
    "const": lambda s, v, _: v == s["const"],
    "pattern": lambda s, v, _: not isinstance(v, str) or re.search(s["pattern"], v) is not None,
    "minLength": lambda s, v, _: not isinstance(v, str) or len(v) >= s["minLength"],
    "maxLength": lambda s, v, _: not isinstance(v, str) or len(v) <= s["maxLength"],
    "minimum": lambda s, v, _: not is_number(v) or v >= s["minimum"],
    "maximum": lambda s, v, _: not is_number(v) or v <= s["maximum"],
    "exclusiveMinimum": lambda s, v, _: not is_number(v) or v > s["exclusiveMinimum"],
    "exclusiveMaximum": lambda s, v, _: not is_number(v) or v < s["exclusiveMaximum"],
    "minItems": lambda s, v, _: not isinstance(v, list) or len(v) >= s["minItems"],
    "maxItems": lambda s, v, _: not isinstance(v, list) or len(v) <= s["maxItems"],
    "minProperties": lambda s, v, _: not isinstance(v, dict) or len(v) >= s["minProperties"],
    "propertyNames": lambda s, v, root: (
        not isinstance(v, dict) or all(allows(s["propertyNames"], key, root) for key in v)
    ),
    "required": lambda s, v, _: not isinstance(v, dict) or set(s["required"]) <= set(v),
    "properties": lambda _s, _v, _root: True,
    "prefixItems": lambda s, v, root: not isinstance(v, list) or all(allows(i, part, root) for i, part in pairs(s, v)),
}


def kind_of(path: Path) -> Kind:
    return "service" if path.parent.name == "services" or path.stem.startswith("bad-service-") else "process"


def accepted(path: Path) -> bool:
    schema = json_schema(kind_of(path))
    return allows(schema, parse(path.read_bytes(), str(path)).data, schema)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_the_schema_accepts_what_the_loader_accepts(path: Path) -> None:
    assert accepted(path)


SEEN = """
    no-source unknown-key wrong-choice below-bound not-a-list not-text version duration size principal-hash
    principal-scope no-services quoted-number not-a-boolean calendar-times-text service-no-expr
    service-name service-detect-unknown service-alert-tier service-alert-for service-unit service-forecast-true
    service-season-float service-tiers-length service-tiers-long service-interval-number
"""


@pytest.mark.parametrize("name", SEEN.split())
def test_the_schema_refuses_what_it_can_see(name: str) -> None:
    assert not accepted(TESTDATA / f"bad-{name}.yml")


@pytest.mark.parametrize("kind", ["process", "service"])
def test_every_key_has_a_description(kind: Kind) -> None:
    schema = json_schema(kind)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for name, model in {"": schema, **schema["$defs"]}.items():
        assert model["additionalProperties"] is False, name
        assert model["description"], name
        for key, value in model["properties"].items():
            # A key that means what its model means has the model's description.
            model_name = value.get("$ref", "").rpartition("/")[2]
            text = value.get("description") or schema["$defs"][model_name]["description"]
            assert text.endswith("."), f"{name}.{key}"
