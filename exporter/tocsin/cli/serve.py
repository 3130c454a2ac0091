"""`tocsin serve` and `tocsin exporter`: from the command line to a listening socket and back to an exit status."""

import asyncio
import contextlib
import errno
import signal
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import structlog
from aiohttp import web

from tocsin import __version__
from tocsin.cli.failure import Failed
from tocsin.cli.logs import configure, log_options
from tocsin.cli.progress import Progress
from tocsin.cli.running import Running
from tocsin.config.faults import ConfigError
from tocsin.config.load import Config, load, load_web
from tocsin.config.secrets import SecretError
from tocsin.source.errors import SourceError
from tocsin.store.store import Probe, nothing
from tocsin.web.app import create_app
from tocsin.web.security import tls_context

log = structlog.get_logger(__name__)

DEFAULT_ADDRESS = "0.0.0.0:9889"
#: Seconds that answers in progress get at shutdown.
_GRACE = 0.5


@dataclass(frozen=True, slots=True)
class Listen:
    """Where and how to listen."""

    host: str
    port: int
    prefix: str = ""
    webhook: bool = True
    users: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``:PORT``, IPv6 in brackets."""
    host, colon, port = text.rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise click.BadParameter(f"found {text!r}, expected HOST:PORT such as 127.0.0.1:9889 or :9889")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104  what ":PORT" means everywhere


def parse_prefix(route_prefix: str | None, external_url: str | None) -> str:
    """Path that every route begins with: as given, else that of the URL under which a proxy shows Tocsin."""
    path = urlsplit(external_url or "").path if route_prefix is None else route_prefix
    return "/" + path.strip("/") if path.strip("/") else ""


async def run(
    path: Path,
    config: Config,
    listen: Listen,
    *,
    clock: Callable[[], float] = time.time,
    probe: Probe = nothing,
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status. Raises Failed when it cannot start."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    try:
        running = Running(path, config, Progress(), acts=listen.webhook, clock=clock, probe=probe)
    except (SecretError, SourceError) as error:
        raise Failed(str(error)) from None
    reloads: set[asyncio.Task[Any]] = set()

    def hang_up() -> None:
        task = asyncio.create_task(running.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    app = create_app(running.program(), listen.prefix, webhook=listen.webhook, users=listen.users)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, listen.host, listen.port, ssl_context=listen.tls).start()
        await running.start()
    except OSError as error:
        raise Failed(_why_no_port(listen, error)) from None
    except SourceError as error:
        raise Failed(str(error)) from None
    else:
        # The port that was taken, also where any free one was asked for.
        log.info("listening", address=f"{listen.host}:{runner.addresses[0][1]}{listen.prefix}", version=__version__)
        await ended.wait()
        log.info("stopping")
        await running.stop()
    finally:
        await runner.cleanup()
    return 0


def _why_no_port(listen: Listen, error: OSError) -> str:
    where = f"{listen.host}:{listen.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; choose another with --web.listen-address"
    return f"cannot listen on {where}: {error.strerror or error}"


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--web.config.file", "web_file", help="File with TLS and users of this port."),
        click.option("--web.route-prefix", "prefix", help="Path of every route; by default that of the external URL."),
        click.option("--web.external-url", "external_url", help="URL under which a proxy shows Tocsin."),
        click.option("--web.listen-address", "address", default=DEFAULT_ADDRESS, show_default=True),
        click.option("--config.file", "path", type=click.Path(path_type=Path), default="tocsin.yml", show_default=True),
        click.version_option(__version__, prog_name="tocsin"),
    ):
        command = option(command)
    return log_options(command)


def _main(path: Path, address: str, *, webhook: bool, **options: Any) -> None:  # noqa: ANN401  click's options by name
    configure(options["log_level"], options["log_format"])
    host, port = parse_address(address)
    prefix = parse_prefix(options["prefix"], options["external_url"])
    file = options["web_file"]
    try:
        config = load(path)
        secured = load_web(file) if file else None
    except ConfigError as error:
        wrong = file if error.faults[0].file == file else path
        raise Failed(f"{wrong} is not a valid configuration:\n{error}") from None
    try:
        tls = tls_context(secured.tls_server_config) if secured and secured.tls_server_config else None
    except OSError as error:
        raise Failed(f"{file}: cannot use the certificate and key: {error}") from None
    listen = Listen(host, port, prefix, webhook, secured.basic_auth_users if secured else {}, tls)
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(asyncio.run(run(path, config, listen)))


@click.command()
@_options
def serve(path: Path, address: str, **options: Any) -> None:  # noqa: ANN401  see _main
    """Run everything in one process: the exporter and the webhook."""
    _main(path, address, webhook=True, **options)


@click.command()
@_options
def exporter(path: Path, address: str, **options: Any) -> None:  # noqa: ANN401  see _main
    """Run the exporter alone, without the webhook."""
    _main(path, address, webhook=False, **options)
