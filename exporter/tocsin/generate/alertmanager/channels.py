"""Channels of a receiver as Alertmanager's integrations: a function each, in one map.

What is secret stands in files that Alertmanager reads. What it cannot do at the target's version goes to Tocsin's
webhook, under the same receiver's name, and says why; without a webhook it is refused. The words are in the templates
of :mod:`.messages`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from tocsin import names
from tocsin.config.base import Model
from tocsin.config.models import Call, Email, Jira, PagerDuty, Slack, Teams, TocsinWebhook, Webhook
from tocsin.generate.alertmanager import severity
from tocsin.generate.alertmanager.site import Site
from tocsin.generate.templates import inert

_ALERTMANAGER = '{{ template "tocsin.alertmanager" . }}'
_LINKS = {
    "Runbook": '{{ template "tocsin.url" .CommonAnnotations.runbook_url }}',
    "Dashboard": '{{ template "tocsin.url" .CommonAnnotations.dashboard_url }}',
    "Logs": '{{ template "tocsin.url" .CommonAnnotations.logs_url }}',
    "Traces": '{{ template "tocsin.url" .CommonAnnotations.traces_url }}',
    "Acknowledge": '{{ template "tocsin.acknowledge" . }}',
    "Silence": '{{ if .Alerts.Firing }}{{ template "tocsin.silence" . }}{{ end }}',
    "Alertmanager": _ALERTMANAGER,
}
_DETAIL = '{{{{ template "tocsin.pagerduty.detail" .CommonLabels.{} }}}}'
_DETAILS = {
    "service": _DETAIL.format(names.SERVICE),
    "signal": _DETAIL.format(names.SIGNAL),
    "resource": _DETAIL.format(names.RESOURCE),
    "severity": _DETAIL.format(names.SEVERITY),
    "escalation": _DETAIL.format(names.ESCALATION),
    "facts": '{{ template "tocsin.pagerduty.facts" . }}',
    "description": '{{ template "tocsin.pagerduty.description" . }}',
    # These four replace those of the same name that Alertmanager adds, with every label and annotation.
    "firing": '{{ template "tocsin.pagerduty.list" .Alerts.Firing }}',
    "resolved": '{{ template "tocsin.pagerduty.list" .Alerts.Resolved }}',
    "num_firing": "{{ .Alerts.Firing | len }}",
    "num_resolved": "{{ .Alerts.Resolved | len }}",
}

Made = list[tuple[str, dict[str, Any]]]


class Cannot(Exception):
    """This Alertmanager has no such integration; `why` is a sentence. Tocsin can stand in."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Wrong(Exception):
    """A channel that cannot be made, and that nothing can stand in for; says what is expected."""


class Context(NamedTuple):
    """What a channel needs to know beside itself. `part` is for somebody's own file, which may say who sends mail."""

    site: Site
    resolved: bool = True
    part: bool = False


def _pagerduty(model: PagerDuty, context: Context) -> Made:
    links = {text: href for text, href in _LINKS.items() if text != "Acknowledge" or context.site.pages is not None}
    found = {
        # Without it an incident would stay open for ever.
        "send_resolved": True,
        "routing_key_file": model.routing_key_file,
        "severity": severity.template(context.site.services),
        "client_url": _ALERTMANAGER,
        "description": '{{ template "tocsin.pagerduty.summary" . }}',
        "class": "{{ .CommonLabels.alertname }}",
        "component": '{{ template "tocsin.plain.text" .CommonLabels.resource }}',
        "group": "{{ .CommonLabels.tocsin_service }}",
        "details": _DETAILS,
        "links": [{"href": href, "text": text} for text, href in links.items()],
    }
    return [("pagerduty_configs", found)]


def _slack(model: Slack, context: Context) -> Made:
    found = {
        "send_resolved": context.resolved,
        "api_url_file": model.api_url_file,
        **({} if model.channel is None else {"channel": inert(model.channel)}),
        "title": '{{ template "tocsin.slack.title" . }}',
        "title_link": _ALERTMANAGER,
        "text": '{{ template "tocsin.slack.body" . }}',
        # What a telephone shows.
        "fallback": '{{ template "tocsin.slack.fallback" . }}',
    }
    return [("slack_configs", found)]


def _teams(model: Teams, context: Context) -> Made:
    if context.site.version < (0, 28):
        # 0.26 has a receiver for Teams and no file for its URL; 0.27 has the file and refuses to start with it.
        raise Cannot("below 0.28 it cannot read the URL of a channel from a file, and none below 0.26 knows Teams")
    found = {"send_resolved": context.resolved, "webhook_url_file": model.webhook_url_file}
    found |= {"title": '{{ template "tocsin.teams.title" . }}', "text": '{{ template "tocsin.teams.body" . }}'}
    return [("msteamsv2_configs", found)]


def _email(model: Email, context: Context) -> Made:
    smtp = context.site.process.smtp
    sender: dict[str, Any] = {}
    if smtp is not None:
        sender = {"from": inert(smtp.from_), "smarthost": smtp.smarthost, "require_tls": smtp.require_tls}
        if smtp.username is not None and smtp.password_file is not None:
            sender |= {"auth_username": smtp.username, "auth_password_file": smtp.password_file}
    elif not context.part:
        raise Wrong("found mail and no `smtp`, expected `smtp: {smarthost: HOST:PORT, from: ADDRESS}` beside it")
    to = ", ".join(inert(address) for address in model.to)
    words = {
        "headers": {"Subject": '{{ template "tocsin.plain.title" . }}'},
        "text": '{{ template "tocsin.plain.body" . }}',
        "html": '{{ template "tocsin.html" . }}',
    }
    return [("email_configs", {"send_resolved": context.resolved, "to": to, **sender, **words})]


def _jira(model: Jira, context: Context) -> Made:
    if context.site.version < (0, 28):
        raise Cannot("below 0.28 it has no receiver for Jira")
    if model.username is None:
        auth: dict[str, Any] = {"authorization": {"credentials_file": model.token_file}}
    else:
        auth = {"basic_auth": {"username": model.username, "password_file": model.token_file}}
    document, markup = "tocsin.document", "tocsin.jira.body"
    optional = {
        "priority": None if model.priority is None else inert(model.priority),
        "labels": [inert(label) for label in model.labels] or None,
        "resolve_transition": model.resolve_transition,
        "reopen_transition": model.reopen_transition,
    }
    found = {
        # Alertmanager looks for a transition without a name too, fails, and tries again for ever.
        "send_resolved": model.resolve_transition is not None,
        "api_url": model.api_url,
        "project": inert(model.project),
        "issue_type": inert(model.issue_type),
        "summary": '{{ template "tocsin.plain.title" . }}',
        # Version 3 of the API takes a document in JSON, and version 2 markup.
        "description": f'{{{{ template "{document if model.api_url.rstrip("/").endswith("/3") else markup}" . }}}}',
        **{key: value for key, value in optional.items() if value is not None},
        "http_config": auth,
    }
    return [("jira_configs", found)]


def _webhook(model: Webhook, context: Context) -> Made:
    if model.url_file is not None and context.site.version < (0, 26):
        message = f"found url_file, which Alertmanager {context.site.process.target.alertmanager} cannot read, expected"
        raise Wrong(f'{message} `url` with what is secret in bearer_file, or `target.alertmanager: "0.28"` or newer')
    where = {"url": model.url} if model.url is not None else {"url_file": model.url_file}
    return [("webhook_configs", {"send_resolved": True, **where, **_bearer(model.bearer_file)})]


def _bearer(file: str | None) -> dict[str, Any]:
    return {} if file is None else {"http_config": {"authorization": {"credentials_file": file}}}


def _call(model: Call, context: Context) -> Made:
    if model.pagerduty is not None:
        return _pagerduty(model.pagerduty, context)
    assert model.webhook is not None
    return _webhook(model.webhook, context)


KINDS: dict[str, Callable[[Any, Context], Made]] = {
    "pagerduty": _pagerduty,
    "phone": _call,
    "sms": _call,
    "slack": _slack,
    "teams": _teams,
    "email": _email,
    "jira": _jira,
    "webhook": _webhook,
}


def made(kind: str, model: Model, context: Context) -> Made:
    """The integrations of a channel, each with the key that lists it; Cannot or Wrong where there is none."""
    return KINDS[kind](model, context)


def to_tocsin(webhook: TocsinWebhook) -> tuple[str, dict[str, Any]]:
    """Tocsin's own webhook."""
    return "webhook_configs", {"send_resolved": True, "url": webhook.url, **_bearer(webhook.token_file)}
