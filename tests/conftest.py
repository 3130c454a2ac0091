"""What every test shares: how hypothesis searches, and that no test leaves this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from stores import postgresql, somewhere, store  # noqa: F401  fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

# A deadline on a shared machine finds slow neighbours, not slow code; CI must also find the same things twice.
# Half as many examples as usual: there are a hundred such tests, and those that need more say so.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile(
    "ci", settings.get_profile("default"), derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# On another Python the same code is looked at again: fewer examples find what depends on that.
settings.register_profile("again", settings.get_profile("ci"), max_examples=20)
_AGAIN = os.environ.get("WITHOUT_SERVERS") == "true"
settings.load_profile("again" if _AGAIN else "ci" if os.environ.get("CI") == "true" else "default")


def _is_local(host: object) -> bool:
    """Whether `host`, a name or an address, is this machine's loopback; a name other than localhost is not."""
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session", autouse=True)
def _escapes() -> Iterator[list[str]]:
    """Refuse connections and look-ups that would leave the loopback, session fixtures included; lists their targets."""
    escapes: list[str] = []
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(host: object) -> None:
        escapes.append(str(host))
        raise PermissionError(f"tests stay on the loopback, not {host!r}")

    def check(sock: socket.socket, address: Any) -> None:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            refuse(address[0])

    def local_connect(sock: socket.socket, address: Any) -> None:
        check(sock, address)
        connect(sock, address)

    def local_connect_ex(sock: socket.socket, address: Any) -> int:
        check(sock, address)
        return connect_ex(sock, address)

    def local_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        # No host means any address of this machine: what a server binds to.
        if host not in (None, "", b"", "0.0.0.0", "::") and not _is_local(host):
            # Reserved (RFC 6761): it never resolves, and no resolver needs to be asked.
            if str(host).endswith(".invalid"):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            refuse(host)
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local_connect)
        patch.setattr(socket.socket, "connect_ex", local_connect_ex)
        patch.setattr(socket, "getaddrinfo", local_getaddrinfo)
        yield escapes


@pytest.fixture(autouse=True)
def _stays_on_the_loopback(_escapes: list[str]) -> Iterator[None]:
    """Fail a test that tried to leave, even where the code under test took the refusal for a failed connection."""
    yield
    targets = ", ".join(_escapes)
    _escapes.clear()
    assert not targets, f"the test tried to reach {targets}"
