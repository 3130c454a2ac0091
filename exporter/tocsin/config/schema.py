"""JSON Schema of the two kinds of files, for editors."""

from typing import Any, Literal

from tocsin.config.models import Model, ProcessModel, Service

Kind = Literal["process", "service"]

_MODELS: dict[Kind, type[Model]] = {"process": ProcessModel, "service": Service}


def json_schema(kind: Kind = "process") -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a process or service file.

    It accepts all that the loader accepts, and some more: what holds between two values a schema cannot say.
    """
    schema = _MODELS[kind].model_json_schema(by_alias=True, mode="validation")
    title = f"Tocsin: {kind} file"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": title}
