"""`tocsin check`: what is wrong with a file, before it is used."""

from importlib import import_module
from typing import Any, Literal, NoReturn

import click
import orjson

from tocsin.config.faults import ConfigError, Fault
from tocsin.config.load import Config, load, load_web
from tocsin.config.models import Service, Signal, Slo
from tocsin.config.references import alerts_of
from tocsin.config.remediation_checks import pages
from tocsin.config.schema import Kind, json_schema
from tocsin.config.types import format_duration
from tocsin.web.security import tls_context

Output = Literal["text", "json"]

_FAULTS, _WARNINGS = 1, 3


#: Verbs that are imported when they are used, because they need everything that generates.
_LATE = {"rules": "check_rules", "routes": "check_routes"}


class _Check(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_LATE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _LATE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"tocsin.cli.{_LATE[cmd_name]}"), _LATE[cmd_name])
        return command


@click.group(cls=_Check)
def check() -> None:
    """Check files before they are used."""


@check.command("config")
@click.argument("file", type=click.Path(), required=False)
@click.option(
    "--schema",
    type=click.Choice(["process", "service"]),
    is_flag=False,
    flag_value="process",
    help="Print the JSON Schema of the process file (or of a service file) for editors, and check nothing.",
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
@click.option("--strict", is_flag=True, help="Exit with 3 when there are warnings.")
def config(file: str | None, schema: Kind | None, output: Output, strict: bool) -> None:
    """Check the process file FILE and the service files that it names.

    Exit status: 0 when it is valid, 1 with faults, 2 for a wrong command line, 3 with warnings under --strict.
    """
    if schema is not None:
        click.echo(_json(json_schema(schema)))
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    try:
        found = load(file)
    except ConfigError as error:
        _failed(file, error, output)
    click.echo(_json(_report(file, found)) if output == "json" else "\n".join(_lines(file, found)))
    if strict and found.warnings:
        raise SystemExit(_WARNINGS)


@check.command("web-config")
@click.argument("file", type=click.Path())
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def web_config(file: str, output: Output) -> None:
    """Check FILE, which is meant for --web.config.file: TLS and users of Tocsin's own port."""
    try:
        found = load_web(file)
        if found.tls_server_config is not None:
            tls_context(found.tls_server_config)
    except ConfigError as error:
        _failed(file, error, output)
    except OSError as error:
        message = f"cannot use the certificate and key: {error}"
        _failed(file, ConfigError([Fault(file, 1, 1, "tls_server_config", message)]), output)
    users = sorted(found.basic_auth_users)
    if output == "json":
        report = {"file": file, "valid": True, "tls": found.tls_server_config is not None, "users": users}
        click.echo(_json(report))
    else:
        how = "HTTPS" if found.tls_server_config else "plain HTTP"
        click.echo(f"SUCCESS: {file} is valid: {how}, {_count(len(users), 'user')}")


def _failed(file: str, error: ConfigError, output: Output) -> NoReturn:
    if output == "json":
        report = {"file": file, "valid": False, "faults": [_fault(fault) for fault in error.faults]}
        click.echo(_json(report))
    else:
        click.echo(f"FAILED: {file} is not valid: {_count(len(error.faults), 'fault')}", err=True)
        click.echo(str(error), err=True)
    raise SystemExit(_FAULTS)


def _lines(file: str, found: Config) -> list[str]:
    signals = sum(len(service.signals) for service in found.services)
    slos = sum(len(service.slos) for service in found.services)
    alerts = sum(1 for service in found.services for _ in (*alerts_of(service), *pages(service)))
    what = [_count(len(found.services), "service"), _count(signals, "signal"), _count(alerts, "alert")]
    what[1] += f", {_count(slos, 'SLO')}" if slos else ""
    extra = [_count(len(found.process.calendars), "calendar"), _count(len(found.process.maintenance), "window")]
    out = [f"SUCCESS: {file} is valid: {what[0]}, {what[1]} ({', '.join([what[2], *extra])})"]
    for path, service in zip(found.origins, found.services, strict=True):
        out.append(f"  {service.service} ({path}): {_parts(service)}")
        out += [f"    {name}: {_signal(signal)}" for name, signal in service.signals.items()]
        out += [f"    {name}: {_slo(slo)}" for name, slo in service.slos.items()]
    return out + [f"WARNING: {warning}" for warning in found.warnings]


def _parts(service: Service) -> str:
    """What a service has, by its keys; signals are what most have."""
    lists = (service.absent, service.rate_of_change, service.forecast_breach, service.alerts)
    counts = {
        "signal": len(service.signals),
        "SLO": len(service.slos),
        "threshold": len(service.thresholds),
        "other alert": sum(map(len, lists)),
    }
    shown = [_count(n, noun) for noun, n in counts.items() if n]
    if service.escalation:
        shown.append(f"escalation {', '.join(service.escalation)}")
    return ", ".join(shown)


def _slo(slo: Slo) -> str:
    return f"{100 * slo.objective:.6g}% over {slo.period}"


def _signal(signal: Signal) -> str:
    parts = [f"every {format_duration(signal.interval)}"]
    if signal.grid != signal.interval:
        parts.append(f"learns every {format_duration(signal.grid)}")
    parts.append(", ".join(_detectors(signal)))
    parts.append(f"forecast {format_duration(signal.horizon)}" if signal.horizon else "no forecast")
    paging = sum(alert.page for alert in signal.alert.values())
    parts.append(_count(len(signal.alert), "alert") + (f" ({paging} paging)" if paging else ""))
    return "; ".join(parts)


def _detectors(signal: Signal) -> list[str]:
    season = signal.season_seconds
    names = ["zscore"] if signal.detect.zscore else []
    return names + ([f"seasonal ({format_duration(season)})"] if season else [])


def _report(file: str, found: Config) -> dict[str, Any]:
    return {
        "file": file,
        "valid": True,
        "hash": found.hash,
        "files": [str(path) for path in found.files],
        "services": [_service(service) for service in found.services],
        "calendars": sorted(found.process.calendars),
        "maintenance": [window.name for window in found.process.maintenance],
        "warnings": [_fault(warning) for warning in found.warnings],
    }


def _service(service: Service) -> dict[str, Any]:
    signals = {
        name: {
            "interval_seconds": signal.interval,
            "step_seconds": signal.grid,
            "detectors": [key for key, _ in signal.detect if getattr(signal.detect, key) is not None],
            "horizon_seconds": signal.horizon,
            "alerts": list(signal.alert),
        }
        for name, signal in service.signals.items()
    }
    slos = {name: {"objective": slo.objective, "period": slo.period} for name, slo in service.slos.items()}
    alerts = [name for name, _ in alerts_of(service)]
    return {"service": service.service, "signals": signals, "slos": slos, "alerts": alerts}


def _fault(fault: Fault) -> dict[str, Any]:
    keys = ("file", "line", "column", "path", "message")
    return {key: getattr(fault, key) for key in keys}


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _json(value: Any) -> str:  # noqa: ANN401  whatever JSON can hold
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
