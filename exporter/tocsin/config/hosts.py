"""Hosts of outgoing requests: how they may be spelled in a URL, and the list of those that may be called.

One spelling for each host: what libraries make of `0x7f.1`, `127.1`, full-width digits, trailing dots or a user before
an `@` differs, and what is checked must be what is called.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from tocsin.config.types import checked, describe

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_URL = re.compile(r"(https?)://(\[[^\]/?#@]*\]|[^:/?#@\[\]]*)(?::([0-9]{1,5}))?((?:[/?][!-\"$-~]*)?)")
_ENTRY = re.compile(r"(\[[^\]]*\]|[^:/\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
#: A last label like this makes browsers and libc read the whole name as an IPv4 address (WHATWG's "ends in a number").
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
#: A list that lets everything through is none.
_WIDEST = {4: 8, 6: 16}

_PAGE = re.compile(r"https?://[A-Za-z0-9._~:/-]+")
_EXAMPLE = "https://ops.example.com/tocsin"

_EXPECTED_URL = "expected an address such as https://ops.example.com/path, without user, password and #"
_EXPECTED_HOST = (
    "expected a name in lower case, an address or a network: ops.example.com:8443, [fd00::1]:80, 10.0.0.0/8"
)


@dataclass(frozen=True, slots=True)
class Url:
    """A URL whose `host` is a name or an address, each in its one spelling."""

    scheme: Literal["http", "https"]
    host: str | Address
    port: int
    text: str


@dataclass(frozen=True, slots=True)
class HostEntry:
    """What may be called: a name, an address or a network, on one port or on all."""

    host: str | Network
    port: int | None = None

    @property
    def single(self) -> bool:
        """Whether it is one address."""
        return not isinstance(self.host, str) and self.host.num_addresses == 1


def parse_url(text: str) -> Url:
    """Split a URL of http or https; ValueError when it is none, or when its host is spelled in another way."""
    match = _URL.fullmatch(text)
    host = None if match is None else _host(match[2])
    port = _port(match[3]) if match is not None and match[3] else None
    if match is None or host is None or "\\" in text or port == 0:
        # The text may hold a password.
        raise ValueError(f"found no address that can be called, {_EXPECTED_URL}")
    secure = match[1] == "https"
    return Url("https" if secure else "http", host, port or (443 if secure else 80), text)


def parse_host_entry(text: str) -> HostEntry:
    """Read one line of the list of hosts; ValueError says what is expected."""
    if "/" in text:
        return HostEntry(_network(text))
    address = _address(text)
    if address is not None:
        return HostEntry(ip_network(address))
    match = _ENTRY.fullmatch(text)
    host = None if match is None else _host(match[1])
    port = _port(match[2]) if match is not None and match[2] else None
    if host is None or port == 0 or text != text.lower():
        raise ValueError(f"found {describe(text)}, {_EXPECTED_HOST}")
    return HostEntry(host if isinstance(host, str) else ip_network(host), port)


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"found {describe(text)}, {_EXPECTED_HOST} (no bits set behind its prefix)") from None
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError(f"found the network {text}, expected none wider than /{_WIDEST[network.version]}")
    return network


def _host(text: str) -> str | Address | None:
    """The name in lower case, or the address; None for every other spelling."""
    if text.startswith("["):
        address = _address(text[1:-1])
        return address if isinstance(address, IPv6Address) else None
    name = text.lower()
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _address(text)
    # Asked of the text before it was lowered: the Kelvin sign becomes a k.
    if not text.isascii() or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return name


def _address(text: str) -> Address | None:
    # A zone id names an interface of this machine.
    if "%" in text:
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def _port(text: str) -> int:
    """The port, 0 for one that is none."""
    port = int(text)
    return port if port <= 65535 else 0


def _page(text: str) -> None:
    """A URL to which paths are added, and which is put into messages: no sign in it means anything there."""
    parse_url(text)
    if _PAGE.fullmatch(text) is None:
        raise ValueError(
            f"found {describe(text)}, expected a name and a path of letters, digits and -._~/ such as {_EXAMPLE}"
        )


HttpUrl = Annotated[str, checked(parse_url)]
PageUrl = Annotated[str, checked(_page)]
AllowedHost = Annotated[str, checked(parse_host_entry)]
