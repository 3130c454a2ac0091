"""CONFIGURATION.md says what the models say: each key under its model's heading, with type, default and meaning."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from tocsin.config import models
from tocsin.config.faults import ConfigError
from tocsin.config.load import load
from tocsin.config.models import Model, ProcessModel, Service, WebFile
from tocsin.config.operations import PARAMETERS
from tocsin.config.types import Duration, Ratio, Season, Size

DOCUMENT = Path(__file__).parent.parent / "CONFIGURATION.md"
HEADER = "| key | type | default | meaning |"

#: Documented names of the types that are more than what JSON calls them.
NAMED = {
    "duration": TypeAdapter(Duration).json_schema(),
    "size": TypeAdapter(Size).json_schema(),
    "ratio": TypeAdapter(Ratio).json_schema(),
    "number of steps or duration": TypeAdapter(Season).json_schema(),
}
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}
PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


def reachable(model: type[BaseModel]) -> Iterator[str]:
    """Names of the model and of all models inside it, in the order of the schema of its fields."""
    yield model.__name__
    yield from model.model_json_schema(by_alias=True).get("$defs", {})


OPERATIONS = {name: model.__name__ for name, model in PARAMETERS.items()}
MODELS = sorted({*reachable(ProcessModel), *reachable(Service), *reachable(WebFile), *OPERATIONS.values()})


def type_of(schema: dict[str, Any]) -> str:
    for name, known in NAMED.items():
        if all(schema.get(key) == value for key, value in known.items()):
            return bounded(name, schema)
    if schema.get("$ref") == "#/$defs/JsonValue":
        return "JSON"
    if schema.get("additionalProperties") is True:
        return "by `run`: " + ", ".join(f"`{run}`: [{name}](#{name.lower()})" for run, name in OPERATIONS.items())
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{str(schema['const']).lower()}`"
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(type_of(option) for option in schema["anyOf"] if option.get("type") != "null")
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {type_of(schema['prefixItems'][0])}"
    if schema["type"] == "array":
        return f"list of {type_of(schema['items'])}" + (", not empty" if schema.get("minItems") else "")
    if schema["type"] == "object":
        return f"mapping of name to {type_of(schema['additionalProperties'])}" + (
            ", not empty" if schema.get("minProperties") else ""
        )
    return bounded(PLAIN[schema["type"]], schema)


def bounded(name: str, schema: dict[str, Any]) -> str:
    return ", ".join([name, *(text.format(f"{schema[key]:g}") for key, text in BOUNDS.items() if key in schema)])


def default_of(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "-"
    adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
    plain = adapter.dump_python(value, mode="json", by_alias=True, exclude_defaults=True)
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, sort_keys=False)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def rows(name: str) -> list[str]:
    """Table rows of a model, as they should stand in the document."""
    model: type[Model] = getattr(models, name)
    properties = model.model_json_schema(by_alias=True)
    if "$ref" in properties:
        properties = properties["$defs"][name]
    out = []
    for field_name, field in model.model_fields.items():
        key = field.alias or field_name
        kind, default = type_of(properties["properties"][key]), default_of(model, field_name)
        out.append(f"| `{key}` | {kind} | {default} | {field.description} |")
    return out


def documented() -> dict[str, list[str]]:
    """Rows of the tables in the document, by heading."""
    sections = re.split(r"^#{2,3} (.+)$", DOCUMENT.read_text(), flags=re.MULTILINE)
    pairs = zip(sections[1::2], sections[2::2], strict=True)
    return {
        name: [line for line in text.splitlines() if line.startswith("| ") and line != HEADER]
        for name, text in pairs
        if HEADER in text
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_document_has_each_key_with_type_default_and_meaning(name: str) -> None:
    assert documented()[name] == rows(name)


def test_the_document_has_no_model_that_does_not_exist() -> None:
    assert sorted(documented()) == MODELS


def test_each_key_has_a_meaning_of_its_own_that_ends_in_a_period() -> None:
    for name in MODELS:
        model: type[Model] = getattr(models, name)
        meanings = [field.description or "" for field in model.model_fields.values()]
        assert all(meaning.endswith(".") for meaning in meanings), name
        assert len(set(meanings)) == len(meanings), name


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The example of the document as files; returns the process file."""
    process, service = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[:2]
    (tmp_path / "services").mkdir()
    (tmp_path / "tocsin.yml").write_text(process)
    (tmp_path / "services" / "melody-meter.yml").write_text(service)
    return tmp_path / "tocsin.yml"


def test_the_example_in_the_document_is_valid(example: Path) -> None:
    config = load(example)
    assert [signal for service in config.services for signal in service.signals] == ["utilization"]
    assert config.warnings == ()


def test_the_faults_in_the_document_are_those_of_its_example_with_three_slips(
    example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = example.parent / "services" / "melody-meter.yml"
    service.write_text(service.read_text().replace("direction:", "directon:").replace(": office", ": ofice"))
    example.write_text(example.read_text().replace("http://127", "127"))
    monkeypatch.chdir(example.parent)
    with pytest.raises(ConfigError) as caught:
        load("tocsin.yml")
    assert f"```\nFAILED: tocsin.yml is not valid: 3 faults\n{caught.value}\n```\n" in DOCUMENT.read_text()
