"""Which addresses an outgoing request may connect to, so that nobody is led from a listed host into our own network.

A host must be listed. A name is looked up once, every address that it has is checked, and the connection goes to those
very addresses: a second answer of the name server (rebinding) is never asked for. Addresses that mean this machine, its
link or its cloud's metadata are refused unless they are listed themselves.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tocsin.config.hosts import Address, HostEntry, Url, parse_host_entry, parse_url

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
Refusal = Literal["bad_url", "host_not_allowed", "address_not_allowed"]

#: Special by IANA's registries for IPv4 and IPv6 (RFC 6890 and later), or a way to write another address.
_SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network, unspecified
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, with most clouds' metadata
            "192.0.0.0/24",  # protocol assignments
            "192.88.99.0/24",  # 6to4 relays
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
            "::/96",  # unspecified, loopback, IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # NAT64, local
            "100::/64",  # discard
            "2001::/23",  # protocol assignments, with Teredo
            "2002::/16",  # 6to4
            "fe80::/10",  # link-local
            "fec0::/10",  # site-local
            "ff00::/8",  # multicast
        ),
    )
)

#: Where clouds answer with credentials; a network that contains one does not list it.
_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # most
            "169.254.170.2",  # AWS, containers
            "169.254.170.23",  # AWS, pods
            "169.254.0.23",  # Tencent
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",  # AWS, pods
            "fd20:ce::254",  # Google
        ),
    )
)
#: Addresses that end in an IPv4 address (RFC 4291, 7915, 6052, 8215).
_ENDS_IN_IPV4 = tuple(map(ip_network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")))
#: Middle of an interface id that carries an IPv4 address (ISATAP, RFC 5214).
_ISATAP = (0x00005EFE, 0x02005EFE)


class Refused(Exception):
    """The request must not be sent. The reason is fixed; the text names no URL, which may hold a secret."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason)
        self.reason: Refusal = reason


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """Addresses of the name as the system knows them; OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Allowed:
    """Hosts that may be called: `ops.example.com`, `ops.example.com:8443`, `127.0.0.1:9000`, `10.0.0.0/8`.

    ValueError for an entry that is none of these. Without a port an entry holds for all of them.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._entries: tuple[HostEntry, ...] = tuple(parse_host_entry(entry) for entry in entries)

    def url(self, text: str) -> Url:
        """The URL, if its host is listed; Refused otherwise. Of a name this says nothing about its addresses."""
        try:
            url = parse_url(text)
            parsed = URL(text)
        except ValueError:
            raise Refused("bad_url") from None
        # What is checked here has to be what the HTTP client calls.
        if (parsed.raw_host, parsed.port) != (str(url.host), url.port):
            raise Refused("bad_url")
        if not isinstance(url.host, str):
            if not self._lists(url.host, url.port):
                raise Refused("host_not_allowed")
            self._check(url.host, url.port)
        elif not any(entry.host == url.host and entry.port in (None, url.port) for entry in self._entries):
            raise Refused("host_not_allowed")
        return url

    def addresses(self, found: Iterable[str], port: int) -> tuple[Address, ...]:
        """The addresses of a listed name; Refused when one of them, be it the last, must not be called."""
        addresses = []
        for text in found:
            try:
                address = ip_address(text)
            except ValueError:
                raise Refused("address_not_allowed") from None
            self._check(address, port)
            addresses.append(address)
        return tuple(addresses)

    def _check(self, address: Address, port: int) -> None:
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise Refused("address_not_allowed")
        # A network that is listed may hold another way to write an address that is not.
        for inner in _embedded(address):
            self._check(inner, port)
        if address in _METADATA:
            listed = self._lists(address, port, single=True)
        else:
            listed = not _special(address) or self._lists(address, port)
        if not listed:
            raise Refused("address_not_allowed")

    def _lists(self, address: Address, port: int, *, single: bool = False) -> bool:
        return any(
            not isinstance(entry.host, str)
            and address in entry.host
            and entry.port in (None, port)
            and (entry.single or not single)
            for entry in self._entries
        )


def _special(address: Address) -> bool:
    return _isatap(address) or any(address in network for network in _SPECIAL)


def _isatap(address: Address) -> bool:
    return isinstance(address, IPv6Address) and (int(address) >> 32) & 0xFFFFFFFF in _ISATAP


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """IPv4 addresses that this one leads to; `::` and `::1` are addresses of their own."""
    if not isinstance(address, IPv6Address) or int(address) <= 1:
        return
    if _isatap(address) or any(address in network for network in _ENDS_IN_IPV4):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    yield from address.teredo or ()


@dataclass(frozen=True, slots=True)
class _Resolver(AbstractResolver):
    """Looks a name up, and hands on addresses that may be called. The connector asks it once for a connection."""

    allowed: Allowed
    lookup: Lookup

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002  all of them, always
    ) -> list[ResolveResult]:
        found = self.allowed.addresses(await self.lookup(host, port), port)
        if not found:
            raise OSError(f"{host} has no address")
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Connector(aiohttp.TCPConnector):
    """One new connection, to an address that may be called; `connected` is awaited before it is used.

    When `connected` raises, the connection is closed and no byte of the request was sent. A second connection is
    refused with ClientConnectionError: aiohttp repeats PUT and DELETE by itself when the first one is closed.
    """

    def __init__(
        self, allowed: Allowed, connected: Callable[[], Awaitable[None]], lookup: Lookup = system_lookup
    ) -> None:
        super().__init__(resolver=_Resolver(allowed, lookup), use_dns_cache=False, force_close=True)
        self._connected = connected
        self._used = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's signature
    ) -> aiohttp.connector.Connection:
        """Connect, and ask once more whether to go on."""
        if self._used:
            raise aiohttp.ClientConnectionError("the request is not repeated")
        self._used = True
        connection = await super().connect(req, traces, timeout)
        try:
            await self._connected()
        except BaseException:
            connection.close()
            raise
        return connection
