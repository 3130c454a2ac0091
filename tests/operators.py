"""What the Prometheus operator makes of an AlertmanagerConfig object, and what its schema allows.

`operated` follows pkg/alertmanager of the operator 0.85.0, whose own code has been compared with it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

SCHEMA = yaml.safe_load(
    (Path(__file__).parent / "testdata" / "operator" / "alertmanagerconfig.yml").read_text(encoding="utf-8")
)


def breaches(schema: Mapping[str, Any], data: Any, at: str = "spec") -> Iterator[str]:
    """Where data is not what a structural schema of Kubernetes allows; an unknown key is a breach, as by `kubectl`."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        # The operator reads child routes as strictly as the first one.
        yield from breaches(SCHEMA["properties"]["route"], data, at)
        return
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
    if not isinstance(data, types[schema["type"]]):
        yield f"{at}: no {schema['type']}"
    elif isinstance(data, dict):
        yield from (f"{at}: needs {key}" for key in schema.get("required", []) if key not in data)
        for key, value in data.items():
            if key in schema["properties"]:
                yield from breaches(schema["properties"][key], value, f"{at}.{key}")
            else:
                yield f"{at}: unknown {key}"
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from breaches(schema["items"], value, f"{at}[{i}]")
    elif isinstance(data, str):
        pattern = schema.get("pattern", "").replace("(?i)", "")
        if not re.search(pattern, data, re.IGNORECASE) or len(data) < schema.get("minLength", 0):
            yield f"{at}: {data!r} is not like {pattern}"
        if data not in schema.get("enum", [data]):
            yield f"{at}: {data!r} is none of {schema['enum']}"
    elif not schema.get("minimum", data) <= data <= schema.get("maximum", data):
        yield f"{at}: {data} is out of range"


def operated(data: Mapping[str, Any], strategy: str = "None", own: str = "monitoring") -> dict[str, Any]:
    """Routes and inhibitions that the operator makes of the object, below a root that is somebody's; secrets aside."""
    meta, spec = data["metadata"], data["spec"]
    prefix = f"{meta['namespace']}/{meta['name']}/"
    spared = strategy == "None" or (strategy != "OnNamespace" and meta["namespace"] == own)
    more = [] if spared else [f'namespace="{meta["namespace"]}"']

    def matchers(found: list[dict[str, str]]) -> list[str]:
        escaped = [(m, m["value"].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for m in found]
        return [f'{m["name"]}{m["matchType"]}"{value}"' for m, value in escaped]

    def route(found: dict[str, Any]) -> dict[str, Any]:
        out: dict[str, Any] = {"receiver": prefix + found["receiver"], "matchers": matchers(found.get("matchers", []))}
        out["continue"] = found.get("continue", False)
        out["mute_time_intervals"] = [prefix + name for name in found.get("muteTimeIntervals", [])]
        return {**out, "routes": [route(below) for below in found.get("routes", [])]}

    first = route(spec["route"])
    first |= {"continue": True, "matchers": [*first["matchers"], *more]}
    rules = [
        {
            "source_matchers": [*matchers(rule["sourceMatch"]), *more],
            "target_matchers": [*matchers(rule["targetMatch"]), *more],
            "equal": rule["equal"],
        }
        for rule in spec.get("inhibitRules", [])
    ]
    return {
        "route": {"receiver": "theirs", "routes": [first]},
        "receivers": [{"name": "theirs"}, *({"name": prefix + one["name"]} for one in spec["receivers"])],
        "time_intervals": [
            {"name": prefix + one["name"], "time_intervals": [_days(part) for part in one["timeIntervals"]]}
            for one in spec.get("muteTimeIntervals", [])
        ],
        "inhibit_rules": rules,
    }


def _days(part: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {key: part[key] for key in ("weekdays", "months", "years") if key in part}
    if "daysOfMonth" in part:
        out["days_of_month"] = [f"{days['start']}:{days['end']}" for days in part["daysOfMonth"]]
    if "times" in part:
        out["times"] = [{"start_time": time["startTime"], "end_time": time["endTime"]} for time in part["times"]]
    return out
