"""Receivers: whom an alert can be sent to, and how. Secrets stand in files."""

from pydantic import Field

from tocsin.config.base import Model, Name, Path, Text
from tocsin.config.types import DateRule, Hours, Zone


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
    """A channel of Microsoft Teams; Alertmanager writes to it from 0.28 on."""

    webhook_url_file: Path
    """File with the URL of the workflow that takes messages."""


class Email(Model):
    """Mail to one or more addresses; the process file's `smtp` sends it."""

    to: tuple[Text, ...] = Field(min_length=1)
    """Addresses."""


class Jira(Model):
    """An issue in Jira for each group of alerts; Alertmanager opens it from 0.28 on."""

    api_url: Text
    """Base URL of the REST API, such as `https://example.atlassian.net/rest/api/3/`."""
    project: Name
    """Key of the project."""
    issue_type: Name = "Task"
    """Type of the issue, as the project calls it."""
    token_file: Path
    """File with the token: an API token with `username`, else a personal access token."""
    username: Name | None = None
    """Account of the API token, as Jira's cloud wants it."""
    labels: tuple[Name, ...] = ()
    """Labels of the issue."""
    priority: Name | None = None
    """Priority, as the project calls it; left to the project by default."""
    resolve_transition: Name | None = None
    """Transition that is made when the alerts have resolved; none by default."""
    reopen_transition: Name | None = None
    """Transition that is made when they fire again; a new issue by default."""


class Webhook(Model):
    """Any program that takes Alertmanager's webhook; exactly one of url and url_file."""

    url: Text | None = None
    """The URL, where nothing in it is secret: the file that is generated shows it."""
    url_file: Path | None = None
    """File with the URL; Alertmanager reads one from 0.26 on, and up to 0.27 it may crash when the program fails."""
    bearer_file: Path | None = None
    """File with a bearer token for it."""


class Call(Model):
    """A call or a text message: exactly one of pagerduty and webhook."""

    pagerduty: PagerDuty | None = None
    """A service of PagerDuty whose rules notify in this way."""
    webhook: Webhook | None = None
    """A gateway that takes Alertmanager's webhook."""


class QuietHours(Model):
    """Hours in which a receiver is told nothing that does not page; what still fires is told when they end."""

    on: DateRule = "daily"
    """`daily`, days such as `sat,sun`, or a rule such as `first sunday of month`."""
    hours: Hours | None = None
    """`HH:MM-HH:MM` of local time, past midnight if the end comes first; all day by default."""
    time_zone: Zone = "UTC"
    """IANA name, or a fixed offset of whole hours."""


class Receiver(Model):
    """Everything that happens when somebody is to be told. Who is woken by it: only alerts with `page: true`."""

    pagerduty: PagerDuty | None = None
    """Page through PagerDuty; alerts that page only."""
    phone: Call | None = None
    """Call somebody; alerts that page only."""
    sms: Call | None = None
    """Send a text message; alerts that page only."""
    slack: Slack | None = None
    """Write to a channel of Slack."""
    teams: Teams | None = None
    """Write to a channel of Microsoft Teams."""
    email: Email | None = None
    """Send mail."""
    jira: Jira | None = None
    """Open an issue."""
    webhook: Webhook | None = None
    """Call a program."""
    quiet_hours: tuple[QuietHours, ...] = ()
    """When only alerts that page are told; never by default."""
