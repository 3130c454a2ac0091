"""Receivers: whom an alert can be sent to, and how. Secrets stand in files."""

from pydantic import Field

from tocsin.config.base import Model, Name, Path, Text


class PagerDuty(Model):
    """PagerDuty, Events API v2."""

    routing_key_file: Path
    """File with the integration key."""


class Slack(Model):
    """A channel of Slack."""

    api_url_file: Path
    """File with the URL of the incoming webhook."""
    channel: Name | None = None
    """Channel, such as `#scheduling`; the webhook's own by default."""


class Teams(Model):
    """A channel of Microsoft Teams."""

    webhook_url_file: Path
    """File with the URL of the incoming webhook."""


class Email(Model):
    """Mail to one or more addresses."""

    to: tuple[Text, ...] = Field(min_length=1)
    """Addresses."""


class Webhook(Model):
    """Any program that takes Alertmanager's webhook."""

    url_file: Path
    """File with the URL."""
    bearer_file: Path | None = None
    """File with a bearer token for it."""


class Receiver(Model):
    """Everything that happens when somebody is to be told."""

    pagerduty: PagerDuty | None = None
    """Page through PagerDuty."""
    slack: Slack | None = None
    """Write to a channel of Slack."""
    teams: Teams | None = None
    """Write to a channel of Microsoft Teams."""
    email: Email | None = None
    """Send mail."""
    webhook: Webhook | None = None
    """Call a program."""
