"""The same rules as objects for the Prometheus operator.

PrometheusRule: https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1.PrometheusRule
Its groups are those of a rule file, with the same names of fields.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tocsin import names

#: The operator puts an object's rules into a ConfigMap, and takes no more of one object than half of what that holds.
MAX_BYTES = 512 * 1024
#: Longest value of a label, and with it of a name that is also one.
_LONGEST = 63
_OTHER = re.compile(r"[^a-z0-9]+")


def files(made: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """These files, each file of rules followed by its object."""
    for name, data in made:
        yield name, data
        folder, _, file = name.rpartition("/")
        if folder == names.RULES:
            yield f"{names.RULES_KUBERNETES}/{file}", rule(file.removesuffix(".yml"), data)


def rule(service: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the rules of a service."""
    name = object_name(service)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "tocsin",
                "app.kubernetes.io/instance": name,
                "app.kubernetes.io/component": "rules",
                "app.kubernetes.io/managed-by": "tocsin",
            },
        },
        "spec": {"groups": data["groups"]},
    }


def object_name(service: str) -> str:
    """A DNS label for the service, and no other one's: what had to be changed is followed by a hash of what it was."""
    name = f"{names.PREFIX[:-1]}-{_OTHER.sub('-', service.lower()).strip('-')}"
    if name == f"{names.PREFIX[:-1]}-{service}" and len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(service.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9].rstrip('-')}-{digest}"
