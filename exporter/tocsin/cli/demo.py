"""`tocsin demo`: see it all work, with real servers, in about a minute."""

from collections.abc import Callable

import click

from tocsin.cli.failure import Failed
from tocsin.demo.ports import DEFAULTS
from tocsin.demo.run import TIME_LIMIT, Options, run
from tocsin.demo.servers import ServerError
from tocsin.demo.setup import Ports


def _port(name: str, default: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    text = f"Port of {name}; 0 takes any free one.  [default: {default}]"
    flag = f"--{name.lower()}-port"
    return click.option(flag, default=default, type=click.IntRange(0, 65535), metavar="PORT", help=text)


@click.command()
@click.option("--once", is_flag=True, help="End when everything was seen: exit 0, or 1 with what was missing.")
@click.option("--time-limit", "limit", default=TIME_LIMIT, show_default=True, help="Seconds that --once waits.")
@_port("Prometheus", DEFAULTS.prometheus)
@_port("Alertmanager", DEFAULTS.alertmanager)
@_port("Tocsin", DEFAULTS.tocsin)
@_port("workload", DEFAULTS.workload)
@click.option("--keep", is_flag=True, help="Keep the directory with configurations, rules, data and logs.")
def demo(
    once: bool,
    limit: float,
    prometheus_port: int,
    alertmanager_port: int,
    tocsin_port: int,
    workload_port: int,
    keep: bool,
) -> None:
    """Run a real Prometheus with 14 days of history, an Alertmanager and Tocsin, and watch a surge.

    The utilization of a music school's pianos rises from normal over watch and action to critical; the generated alert
    fires, and Alertmanager delivers it to Tocsin. The other services of the examples run beside it, and errors at the
    API of one of them burn its error budget. Everything runs on loopback and ends with Ctrl-C.
    """
    ports = Ports(prometheus_port, alertmanager_port, tocsin_port, workload_port)
    try:
        status = run(Options(ports, once=once, keep=keep, limit=limit))
    except (ServerError, OSError) as error:
        raise Failed(str(error)) from None
    raise SystemExit(status)
