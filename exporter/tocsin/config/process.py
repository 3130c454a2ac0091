"""The process file: where the data comes from, and what holds for all services."""

from typing import Annotated, Literal

from pydantic import Field

from tocsin.config.alertmanager import AlertmanagerModel, Route, Smtp
from tocsin.config.base import (
    AccessKeyId,
    Model,
    Name,
    Path,
    PositiveInt,
    PositiveRatio,
    SigningName,
    Text,
    TokenHash,
    Version,
)
from tocsin.config.hosts import PageUrl
from tocsin.config.receivers import Receiver
from tocsin.config.remediation import Guard
from tocsin.config.store_url import DEFAULT, StoreUrl
from tocsin.config.types import Date, DateRule, Days, Duration, Hours, Seconds, Size, Zone


class BasicAuth(Model):
    """HTTP basic authentication."""

    username: Name
    """User name."""
    password_file: Path
    """File with the password; a newline at its end is ignored."""


class Tls(Model):
    """TLS towards the source."""

    ca_file: Path | None = None
    """File with the certificates to trust; the system's by default."""
    cert_file: Path | None = None
    """File with the client certificate; needs `key_file`."""
    key_file: Path | None = None
    """File with the key of the client certificate; needs `cert_file`."""
    server_name: Name | None = None
    """Name that the server's certificate must carry; the host of the URL by default."""
    insecure_skip_verify: bool = False
    """Accept any certificate: anybody on the way can then read and change the answers."""


class Auth(Model):
    """How to authenticate to the source; at most one of basic and bearer_file."""

    basic: BasicAuth | None = None
    """User name and password."""
    bearer_file: Path | None = None
    """File with a bearer token; a newline at its end is ignored."""
    tls: Tls | None = None
    """Certificates, for an https URL."""
    headers: dict[Name, str] = Field(default_factory=dict)
    """Headers of every request by name, such as `X-Scope-OrgID` for a tenant; `/config` does not show their values."""


class Limits(Model):
    """What one Tocsin may ask of the source."""

    concurrency: PositiveInt = 4
    """Requests at the same time; few, because dashboards ask the same server."""
    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    """Longest wait for one answer; below the usual interval, so that cycles do not pile up."""
    response: Size = 64_000_000
    """Largest answer that is read; a larger one is an error, so that no query can take all memory."""
    points: Annotated[int, Field(ge=2, le=11_000)] = 11_000
    """Most points per series in one range query; Prometheus refuses more than 11,000."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """Further tries after an error that may pass, such as a timeout or 503."""


SourceKind = Literal["prometheus", "thanos", "mimir", "victoriametrics"]


class SourceModel(Model):
    """Where the data comes from."""

    url: Text
    """Base URL of the query API, with the path prefix if there is one, without credentials."""
    kind: SourceKind = "prometheus"
    """What answers there; sets the right query parameters and the default of `query_delay`."""
    query_delay: Duration | None = None
    """How far behind the clock queries look; by default 30s for victoriametrics, which hides newer data, else 0s."""
    auth: Auth = Auth()
    """How to authenticate; not at all by default."""
    limits: Limits = Limits()
    """What one Tocsin may ask of the source."""
    replica_labels: tuple[Name, ...] = ("replica", "prometheus_replica")
    """Labels that tell replicas of one Prometheus apart and are no part of a resource's identity."""


class Target(Model):
    """The servers that the generated files are for."""

    prometheus: Version = "2.42"
    """Oldest Prometheus that loads the generated rules, quoted; Debian's by default."""
    alertmanager: Version = "0.25"
    """Oldest Alertmanager that loads the generated routes, quoted; Debian's by default."""
    scrape_interval: Seconds = 15
    """How often Prometheus scrapes Tocsin; part of how long an alert has to wait for `grades`."""
    evaluation_interval: Seconds = 15
    """How often Prometheus evaluates the generated rules."""


class Multiplier(Model):
    """One line of a calendar: on these days, in these hours, the value is expected to be this many times normal."""

    days: Days = "daily"
    """`daily`, `mon-fri`, a list such as `mon,wed,fri`, or `holiday` for the calendar's holidays."""
    hours: Hours | None = None
    """`HH:MM-HH:MM` of local time, end exclusive, past midnight if the end comes first; all day by default."""
    times: PositiveRatio
    """Expected value as a multiple of normal: `3`, `0.4` or `40%`."""


class CalendarModel(Model):
    """Expected multipliers by local time."""

    time_zone: Zone = "UTC"
    """IANA name such as `America/New_York`, or a fixed offset such as `"-05:00"`."""
    holidays: tuple[Date, ...] = ()
    """Dates such as `2026-12-25` on which the lines with `days: holiday` hold."""
    multipliers: Annotated[tuple[Multiplier, ...], Field(min_length=1)]
    """Lines; the most specific one wins: holidays, then weekends, then the rest, with hours before without."""


class Maintenance(Model):
    """A recurring window (`on`) or a single one (`start` and `end`) whose samples are graded and not learnt."""

    name: Name
    """What `explain` and the status page call it."""
    on: DateRule | None = None
    """`daily`, days such as `sat,sun`, or a rule such as `first sunday of quarter` (or `last`, and `of month`)."""
    hours: Hours | None = None
    """`HH:MM-HH:MM` of local time for `on`; all day by default."""
    time_zone: Zone = "UTC"
    """IANA name or fixed offset; also of a `start` and `end` that name none."""
    start: Name | None = None
    """Begin of a single window, ISO 8601 such as `2026-03-01T02:00`."""
    end: Name | None = None
    """End of a single window, exclusive."""
    services: tuple[Name, ...] = ()
    """Services that it concerns; all by default."""
    mute: bool = True
    """Whether Alertmanager tells nobody of their alerts meanwhile; what still fires then is told when it ends."""


#: What a principal can be allowed to do; the runbooks call the last one EMERGENCY_OVERRIDE.
Scope = Literal["webhook", "read", "admin", "emergency"]
#: What is open to everybody unless it is closed.
OpenRoute = Literal[
    "/",
    "/metrics",
    "/config",
    "/alerts",
    "/alerts.js",
    "/operations",
    "/api/v1/explain",
    "/api/alerts/active",
    "/api/alerts/history",
    "/learning/kill-switch/status",
    "/-/healthy",
    "/-/ready",
    "/-/reload",
]


class Principal(Model):
    """An authenticated caller: exactly one of token_hash, token_file and secret_file.

    A token comes as a bearer token, in the header `x-admin-key`, or as the password of the user `name`.
    """

    name: Name
    """What logs and answers call it, and its user name."""
    token_hash: TokenHash | None = None
    """`sha256:` and the hash of the token in hexadecimal digits; `/config` does not show it."""
    token_file: Path | None = None
    """File with the token itself; a newline at its end is ignored, and it is read again when it changes."""
    secret_file: Path | None = None
    """File with the secret, at least 20 characters, of one that signs its requests (AWS SigV4); read again likewise."""
    access_key_id: AccessKeyId | None = None
    """Name of the secret in signatures, as in `curl --user ACCESS_KEY_ID:SECRET`; needs `secret_file`."""
    sigv4_service: SigningName = "execute-api"
    """Service for which it signs, in any region: `curl --aws-sigv4 aws:amz:us-east-1:execute-api`."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    """What it may do: `webhook` delivers alerts, `read` sees, `admin` changes, `emergency` flips the kill switch."""


class ProcessModel(Model):
    """The process file."""

    source: SourceModel
    """Where the data comes from."""
    services: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Service files, relative to this file; `*` and `**` are wildcards, and each pattern must match a file."""
    publish: Literal["essential", "full"] = "essential"
    """Which gauges to expose: those that alerts and dashboards need, or all, to study a model."""
    max_series: PositiveInt = 100_000
    """Most resources over all signals; what is beyond is dropped and counted."""
    target: Target = Target()
    """The servers that the generated files are for."""
    calendars: dict[Name, CalendarModel] = Field(default_factory=dict)
    """Expected multipliers by local time, by name."""
    maintenance: tuple[Maintenance, ...] = ()
    """Windows whose samples are graded and not learnt."""
    receivers: dict[Name, Receiver] = Field(default_factory=dict)
    """Whom alerts can be sent to, by name."""
    default_receiver: Name | None = None
    """Receiver of alerts about Tocsin itself, and of services that name none."""
    routes: tuple[Route, ...] = ()
    """Further people for some alerts, by their labels."""
    smtp: Smtp | None = None
    """The server that sends mail."""
    alertmanager: AlertmanagerModel = AlertmanagerModel()
    """What Alertmanager does beside the receivers."""
    store: StoreUrl = DEFAULT
    """What outlives a restart: an SQLite file by its absolute path, or `postgresql://USER@HOST/DATABASE`."""
    store_password_file: Path | None = None
    """File with the password of the PostgreSQL user; a newline at its end is ignored."""
    principals: tuple[Principal, ...] = ()
    """Callers that may use what is not open to everybody."""
    guard: Guard = Guard()
    """Limits of all operations."""
    external_url: PageUrl | None = None
    """Where people reach Tocsin, as in `--web.external-url`; with `alertmanager.webhook` messages link to `/alerts`."""
    closed_routes: tuple[OpenRoute, ...] = ()
    """Paths that ask for a principal with the scope `read`, `/-/reload` with `admin`, instead of being open to all."""
