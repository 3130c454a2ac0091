"""What the demonstration needs of the machine before it begins: programs on PATH and free ports."""

import contextlib
import itertools
import socket
from collections.abc import Sequence
from dataclasses import asdict

from tocsin.demo import servers
from tocsin.demo.servers import ServerError
from tocsin.demo.setup import Ports

DEFAULTS = Ports(prometheus=9090, alertmanager=9093, tocsin=9889, workload=9464)


def check_programs() -> None:
    """ServerError that names every program that is missing, and how to get it."""
    missing = []
    for program in (servers.PROMETHEUS, servers.PROMTOOL, servers.ALERTMANAGER):
        try:
            servers.find(program)
        except ServerError:
            missing.append(" or ".join(program))
    if missing:
        raise ServerError(
            f"not on PATH: {', '.join(missing)}; the demonstration runs a real Prometheus and Alertmanager.\n"
            "On Debian or Ubuntu: apt-get install prometheus prometheus-alertmanager\n"
            "Elsewhere: unpack them from https://prometheus.io/download/ into a directory on PATH"
        )


def choose(wanted: Ports) -> Ports:
    """Replace each 0 by a free port, all different; ServerError that names every port in use and its flag."""
    given = asdict(wanted)
    for (one, port), (other, same) in itertools.combinations(given.items(), 2):
        if port and port == same:
            raise ServerError(f"port {port} is given for both {one} and {other}: they need one each")
    if faults := [_in_use(name, port) for name, port in given.items() if port and not _free(name, port)]:
        raise ServerError("\n".join(faults))
    chosen = dict(zip([n for n, p in given.items() if p == 0], _free_ports(list(given.values())), strict=True))
    return Ports(**(given | chosen))


def _free(name: str, port: int) -> bool:
    try:
        servers.check_port(name, port)
    except ServerError:
        return False
    return True


def _in_use(name: str, port: int) -> str:
    return (
        f"port {port} for {name} is in use: stop what listens there, "
        f"or choose another with --{name}-port PORT (0 takes any free one)"
    )


def _free_ports(given: Sequence[int]) -> list[int]:
    """One free port for each 0; they are held open together, so that none comes twice, nor one that is given."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < given.count(0):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port not in given:
                found.append(port)
    return found
