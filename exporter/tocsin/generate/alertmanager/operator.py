"""The same routes as an AlertmanagerConfig object for the Prometheus operator, as far as one can say them.

https://prometheus-operator.dev/docs/api-reference/api/#monitoring.coreos.com/v1alpha1.AlertmanagerConfig

v1alpha1 is what the operator's own bundle serves; v1beta1 needs a webhook that converts. The operator reads what is
secret from a Secret and writes it into Alertmanager's configuration, where every name begins with NAMESPACE/NAME/.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tocsin import names
from tocsin.config.models import OperatorModel
from tocsin.generate.alertmanager import intervals, messages
from tocsin.generate.alertmanager.build import Parts
from tocsin.generate.alertmanager.matchers import Matcher
from tocsin.generate.alertmanager.node import Node
from tocsin.generate.alertmanager.site import Refused, Site

FILE = f"{names.ALERTMANAGER_KUBERNETES}/alertmanagerconfig.yml"

#: Below it the operator always adds the matcher for a namespace.
_OLDEST = (0, 61)
#: From it on the object has a receiver for Teams' workflows, and the Alertmanager object this strategy.
_TEAMS, _EXCEPT = (0, 82), (0, 85)
_NONE, _EXCEPT_OWN = "None", "OnNamespaceExceptForAlertmanagerNamespace"

#: Integrations and their keys: as Alertmanager calls them, and as the object does. A file becomes a key of the Secret.
_ALL_HAVE = {"send_resolved": "sendResolved", "http_config": "httpConfig"}
_INTEGRATIONS: dict[str, tuple[str, dict[str, str]]] = {
    "pagerduty_configs": (
        "pagerdutyConfigs",
        {
            "routing_key_file": "routingKey",
            "severity": "severity",
            "client": "client",
            "client_url": "clientURL",
            "description": "description",
            "class": "class",
            "component": "component",
            "group": "group",
            "details": "details",
            "links": "pagerDutyLinkConfigs",
        },
    ),
    "slack_configs": (
        "slackConfigs",
        {
            "api_url_file": "apiURL",
            "channel": "channel",
            "username": "username",
            "color": "color",
            "title": "title",
            "title_link": "titleLink",
            "pretext": "pretext",
            "text": "text",
            "fallback": "fallback",
            "footer": "footer",
        },
    ),
    "msteamsv2_configs": ("msteamsv2Configs", {"webhook_url_file": "webhookURL", "title": "title", "text": "text"}),
    "email_configs": (
        "emailConfigs",
        {
            "to": "to",
            "from": "from",
            "smarthost": "smarthost",
            "require_tls": "requireTLS",
            "auth_username": "authUsername",
            "auth_password_file": "authPassword",
            "headers": "headers",
            "text": "text",
            "html": "html",
        },
    ),
    "webhook_configs": ("webhookConfigs", {"url": "url", "url_file": "urlSecret"}),
}
#: What has no counterpart there, and is refused.
_JIRA = "jira_configs"
_OPTIONS = {
    "group_by": "groupBy",
    "group_wait": "groupWait",
    "group_interval": "groupInterval",
    "repeat_interval": "repeatInterval",
}
_TIMES = {"times": "times", "weekdays": "weekdays", "months": "months", "years": "years"}
_MATCHER = re.compile(r'([^=!~]+)(=~|!~|!=|=)"(.*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)")
#: What Kubernetes takes for a key of a Secret.
_KEY = re.compile(r"(?!\.\.)[-._A-Za-z0-9]{1,253}")
_OURS = re.compile(r'template "tocsin\.')


def made(site: Site, found: Parts) -> tuple[dict[str, Any], list[str]] | None:
    """The object, and what whoever loads it has to know; None when the configuration asks for none.

    Refused with every reason why the operator would not do what the configuration says.
    """
    operator = site.process.alertmanager.operator
    if operator is None:
        return None
    secret = _Secret(operator.secret)
    receivers = [_receiver(receiver, secret) for receiver in found.receivers]
    reasons = [*_strategy(operator), *_version(operator, found), *_zones(site, found), *_jira(site, found)]
    if reasons := [*reasons, *secret.reasons()]:
        raise Refused(reasons)
    spec = {
        "route": _route(found.node),
        "receivers": receivers,
        **({"muteTimeIntervals": [_interval(one) for one in found.time_intervals]} if found.time_intervals else {}),
        **({"inhibitRules": [_inhibition(rule) for rule in found.inhibit_rules]} if found.inhibit_rules else {}),
    }
    return _object(operator, spec), list(_notes(operator, secret, found))


def _object(operator: OperatorModel, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {
            "name": operator.name,
            "namespace": operator.namespace,
            "labels": {
                "app.kubernetes.io/name": "tocsin",
                "app.kubernetes.io/instance": operator.name,
                "app.kubernetes.io/component": "routes",
                "app.kubernetes.io/managed-by": "tocsin",
                **operator.labels,
            },
        },
        "spec": spec,
    }


def _notes(operator: OperatorModel, secret: "_Secret", found: Parts) -> Iterator[str]:
    own = operator.alertmanager_namespace or operator.namespace
    needs = f"alertmanagerConfigMatcherStrategy: {{type: {operator.matcher_strategy}}}"
    yield (
        f"the Alertmanager object in the namespace {own} that selects this needs {needs}: with OnNamespace, the "
        f'default, the operator asks for the label namespace="{operator.namespace}" in every route and inhibition, '
        "and Tocsin's alerts would reach nobody"
    )
    yield (
        "the operator sets `continue: true` on the first route of each object: Tocsin's alerts also reach the "
        "receivers of other routes that match them"
    )
    if secret.files:
        keys = ", ".join(sorted(secret.files))
        yield f"the Secret {operator.secret} in {operator.namespace} needs the keys {keys}: texts without a line break"
    if _OURS.search(str(found.receivers)):
        file = f"{names.ALERTMANAGER}/{messages.FILE}"
        yield f"an object cannot bring templates: Alertmanager's own configuration has to load {file}"


def _strategy(operator: OperatorModel) -> Iterator[str]:
    at = "alertmanager.operator.matcher_strategy: found"
    own = operator.alertmanager_namespace or operator.namespace
    if operator.matcher_strategy == _NONE:
        return
    if operator.matcher_strategy != _EXCEPT_OWN:
        why = f"with it the operator adds namespace={operator.namespace!r} to every route, and Tocsin's alerts have no"
        yield f"{at} {operator.matcher_strategy}, expected None: {why} such label, or that of what they are about"
    elif own != operator.namespace:
        why = f"only objects in {own}, the namespace of the Alertmanager object, are spared the matcher for a namespace"
        yield f"{at} {_EXCEPT_OWN} and the namespace {operator.namespace}, expected None, or `namespace: {own}`: {why}"


def _version(operator: OperatorModel, found: Parts) -> Iterator[str]:
    version = tuple(int(part) for part in operator.version.split("."))
    at = f"alertmanager.operator.version: found {operator.version}, expected"
    if version < _OLDEST:
        yield f'{at} "0.61" or newer: older ones have no strategy but OnNamespace'
    if version < _TEAMS and any("msteamsv2_configs" in receiver for receiver in found.receivers):
        yield f'{at} "0.82" or newer: older ones have no receiver that writes to a workflow of Teams'
    if version < _EXCEPT and operator.matcher_strategy == _EXCEPT_OWN:
        yield f'{at} "0.85" or newer, or another strategy: older ones do not know {_EXCEPT_OWN}'


def _zones(site: Site, found: Parts) -> Iterator[str]:
    """Time zones that somebody's intervals are in, by the key of the configuration."""
    there = {interval["name"] for interval in found.time_intervals}
    places = [
        (f"maintenance[{i}]", window.time_zone, intervals.maintenance(window))
        for i, window in enumerate(site.process.maintenance)
        if intervals.maintenance_name(i, window) in there
    ]
    places += [
        (f"receivers.{name}.quiet_hours[{i}]", hours.time_zone, intervals.recurring(hours))
        for name, receiver in site.process.receivers.items()
        if intervals.quiet_name(name) in there
        for i, hours in enumerate(receiver.quiet_hours)
    ]
    for at, zone, parts in places:
        if any("location" in part for part in parts):
            yield f"{at}.time_zone: found {zone}, expected UTC: an AlertmanagerConfig has no time zones"


def _jira(site: Site, found: Parts) -> Iterator[str]:
    if any(_JIRA in receiver for receiver in found.receivers):
        for name, receiver in site.process.receivers.items():
            if receiver.jira is not None:
                why = "an AlertmanagerConfig has no receiver for Jira, which a configuration in a Secret has"
                yield f"receivers.{name}.jira: found it, expected `webhook`, or no `alertmanager.operator`: {why}"


class _Secret:
    """The Secret: a key for each file, called as the file without its folder."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.files: dict[str, dict[str, None]] = {}

    def key(self, file: str) -> dict[str, str]:
        """Where the operator finds what is in a file."""
        key = file.rpartition("/")[2]
        self.files.setdefault(key, {})[file] = None
        return {"name": self._name, "key": key}

    def reasons(self) -> Iterator[str]:
        """Why these files cannot be the keys of one Secret."""
        for key, files in self.files.items():
            if len(files) > 1:
                found = f"found {' and '.join(files)}, which would be one key of the Secret {self._name}"
                yield f"alertmanager.operator.secret: {found}, expected files of different names"
            if _KEY.fullmatch(key) is None:
                found = f"found the file {next(iter(files))}, whose name is no key of a Secret"
                yield f"alertmanager.operator.secret: {found}, expected letters, digits, '-', '_' and '.'"


def _receiver(receiver: Mapping[str, Any], secret: _Secret) -> dict[str, Any]:
    out: dict[str, Any] = {"name": receiver["name"]}
    for kind, configs in receiver.items():
        if kind not in ("name", _JIRA):
            called, keys = _INTEGRATIONS[kind]
            out[called] = [_integration(config, {**_ALL_HAVE, **keys}, secret) for config in configs]
    return out


def _integration(config: Mapping[str, Any], keys: Mapping[str, str], secret: _Secret) -> dict[str, Any]:
    return {keys[key]: _value(key, value, secret) for key, value in config.items()}


def _value(key: str, value: Any, secret: _Secret) -> Any:  # noqa: ANN401  whatever a configuration has
    if key.endswith("_file"):
        return secret.key(value)
    if key == "http_config":
        return {"authorization": {"credentials": secret.key(value["authorization"]["credentials_file"])}}
    if key == "links":
        return [{"href": link["href"], "alt": link["text"]} for link in value]
    if isinstance(value, Mapping):
        return [{"key": name, "value": text} for name, text in value.items()]
    return value


def _route(node: Node) -> dict[str, Any]:
    return {
        **({"matchers": [_matcher(matcher) for matcher in node.matchers]} if node.matchers else {}),
        "receiver": node.receiver,
        **({"continue": True} if node.go_on else {}),
        **{_OPTIONS[key]: value for key, value in node.options.items()},
        **({"muteTimeIntervals": list(node.mute)} if node.mute else {}),
        **({"routes": [_route(below) for below in node.routes]} if node.routes else {}),
    }


def _matcher(matcher: Matcher) -> dict[str, str]:
    return {"name": matcher.name, "value": matcher.value, "matchType": matcher.op}


def _inhibition(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sourceMatch": _read(rule["source_matchers"]),
        "targetMatch": _read(rule["target_matchers"]),
        "equal": rule["equal"],
    }


def _read(matchers: Sequence[str]) -> list[dict[str, str]]:
    found = []
    for text in matchers:
        match = _MATCHER.fullmatch(text)
        assert match is not None  # matchers.Matcher wrote it
        value = _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], match[3])
        found.append({"name": match[1], "value": value, "matchType": match[2]})
    return found


def _interval(interval: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": interval["name"], "timeIntervals": [_time(part) for part in interval["time_intervals"]]}


def _time(part: Mapping[str, Any]) -> dict[str, Any]:
    out = {called: part[key] for key, called in _TIMES.items() if key in part}
    if "times" in out:
        out["times"] = [{"startTime": time["start_time"], "endTime": time["end_time"]} for time in out["times"]]
    if "days_of_month" in part:
        ranges = [days.partition(":") for days in part["days_of_month"]]
        out["daysOfMonth"] = [{"start": int(first), "end": int(last or first)} for first, _, last in ranges]
    return out
