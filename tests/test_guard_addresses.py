"""Where an outgoing request may go: over 60 ways to this machine, with a listener on it that nobody reaches."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import pytest

from operating import task
from tocsin.config.hosts import parse_host_entry, parse_url
from tocsin.config.operations import HttpParameters
from tocsin.guard.addresses import Allowed, Refused
from tocsin.respond.operations import Outcome
from tocsin.respond.operations import http as operation

#: Hosts of a URL that mean this machine, its link or its cloud; none of them is listed.
SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0X7F.1",
    "0177.0.0.1",
    "017700000001",
    "00000177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "127.0.0.1..",
    "127.0.0.2",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost.localdomain",
    "１２７.0.0.1",  # noqa: RUF001  full-width digits
    "127。0。0。1",
    "①②⑦.0.0.1",
    "ⓛocalhost",
    "loc\u00adalhost",
    "ops.example.com\u2025",
    "%6c%6f%63%61%6c%68%6f%73%74",
    "127.0.0.1%23.ops.example.com",
    "ops.example.com@127.0.0.1",
    "ops.example.com:x@127.0.0.1",
    "ops.example.com%40127.0.0.1",
    "127.0.0.1\\@ops.example.com",
    "127.0.0.1#@ops.example.com",
    "127.0.0.1?@ops.example.com",
    " ops.example.com",
    "ops.example.com\t",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::1%25lo]",
    "[::1%lo]",
    "[ops.example.com]",
    "[127.0.0.1]",
    "[v1.127.0.0.1]",
    "::1",
    "ops.example.com.",
    "ops..example.com",
    "evil.ops.example.com",
    "ops.example.com.evil.org",
    "xn--",
    "",
    "169.254.169.254",
    "[fd00:ec2::254]",
)

#: What the name server says of a listed name.
ANSWERS = (
    ["127.0.0.1"],
    ["127.8.8.8"],
    ["0.0.0.0"],
    ["0.1.2.3"],
    ["::1"],
    ["::"],
    ["::ffff:127.0.0.1"],
    ["::ffff:10.0.0.1"],
    ["::ffff:0:127.0.0.1"],
    ["::127.0.0.1"],
    ["64:ff9b::7f00:1"],
    ["64:ff9b:1::7f00:1"],
    ["2002:7f00:1::1"],
    ["2001:0:7f00:1::1"],
    ["2001:db8::5efe:7f00:1"],
    ["2001:db8::200:5efe:7f00:1"],
    ["fe80::1"],
    ["fe80::1%lo"],
    ["2001:db8::1%1"],
    ["fec0::1"],
    ["ff02::1"],
    ["100::1"],
    ["169.254.1.1"],
    ["169.254.169.254"],
    ["169.254.170.2"],
    ["100.100.100.200"],
    ["168.63.129.16"],
    ["192.0.0.192"],
    ["fd00:ec2::254"],
    ["192.88.99.1"],
    ["224.0.0.1"],
    ["255.255.255.255"],
    ["240.0.0.1"],
    ["203.0.113.7", "127.0.0.1"],
    ["127.0.0.1", "203.0.113.7"],
    ["203.0.113.7", "::1"],
    ["localhost"],
    ["127.1"],
)


class Listener:
    """A port of this machine, on every address that it has, that counts who comes."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        with socket.create_server(("", 0)) as four:
            self.port = four.getsockname()[1]
            servers = [await asyncio.start_server(handle, sock=four)]
            with contextlib.suppress(OSError):  # a machine without IPv6
                servers.append(await asyncio.start_server(handle, "::", self.port))
            try:
                yield self
            finally:
                for server in servers:
                    server.close()


def send(url: str, allowed: Sequence[str], *answers: Sequence[str]) -> tuple[Outcome, int, int]:
    """Outcome, connections to the listener, and look-ups; `{}` in the URL is the listener's port."""
    lookups = 0

    async def lookup(_host: str, _port: int) -> Sequence[str]:
        nonlocal lookups
        lookups += 1
        return answers[min(lookups, len(answers)) - 1]

    async def go() -> tuple[Outcome, int, int]:
        async with Listener().listening() as listener:
            # Past the model, which refuses most of them when the file is read.
            given = HttpParameters.model_construct(url=url.replace("{}", str(listener.port)), timeout=5.0)
            outcome = await operation.run(task(allowed), given, lookup=lookup)
            await asyncio.sleep(0)
            return outcome, listener.connections, lookups

    return asyncio.run(go())


def test_there_are_at_least_60_of_them() -> None:
    assert len(set(SPELLINGS)) + len({tuple(answer) for answer in ANSWERS}) >= 60 + 30


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_spelling_of_this_machine_reaches_nobody(host: str) -> None:
    outcome, connections, lookups = send(f"http://{host}:{{}}/", ["ops.example.com"], ["127.0.0.1"])
    assert outcome in (Outcome("refused", "bad_url"), Outcome("refused", "host_not_allowed"))
    assert (connections, lookups) == (0, 0)


@pytest.mark.parametrize("host", SPELLINGS)
def test_a_spelling_other_than_the_listed_one_reaches_nobody(host: str) -> None:
    allowed = ["ops.example.com", "127.0.0.3", "10.0.0.0/8", "[fd00::1]:80"]
    outcome, connections, _ = send(f"http://{host}:{{}}/", allowed, ["127.0.0.1"])
    assert (outcome.result, connections) == ("refused", 0)


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_listed_name_that_points_at_this_machine_reaches_nobody(answer: list[str]) -> None:
    outcome, connections, lookups = send("http://ops.example.com:{}/", ["ops.example.com"], answer)
    assert (outcome, connections, lookups) == (Outcome("refused", "address_not_allowed"), 0, 1)


def test_what_is_listed_itself_is_reached() -> None:
    for url, allowed, answer in (
        ("http://127.0.0.1:{}/", ["127.0.0.1"], []),
        ("http://127.0.0.1:{}/", ["127.0.0.0/8"], []),
        ("http://ops.example.com:{}/", ["ops.example.com", "127.0.0.1"], ["127.0.0.1"]),
        ("http://OPS.Example.com:{}/", ["ops.example.com", "127.0.0.0/8"], ["127.0.0.5"]),
    ):
        outcome, connections, lookups = send(url, allowed, answer)
        assert (outcome, connections, lookups) == (Outcome("ok", "done", {"status": 200}), 1, len(answer))


def test_a_name_server_that_changes_its_mind_is_asked_once() -> None:
    # Good first, this machine afterwards: the connection goes to what was checked, which here is nobody's port.
    allowed = ["ops.example.com", "127.0.0.9:1"]
    outcome, connections, lookups = send("http://ops.example.com:1/", allowed, ["127.0.0.9"], ["127.0.0.1"])
    assert (outcome, connections, lookups) == (Outcome("failed", "connection_failed"), 0, 1)
    # This machine first, good afterwards: refused at once.
    outcome, connections, lookups = send("http://ops.example.com:{}/", ["ops.example.com"], ["127.0.0.1"], ["9.9.9.9"])
    assert (outcome, connections, lookups) == (Outcome("refused", "address_not_allowed"), 0, 1)


def test_a_redirect_to_this_machine_is_not_followed() -> None:
    hits: list[bytes] = []

    async def go() -> Outcome:
        async with Listener().listening() as listener:

            async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                hits.append(await reader.readuntil(b"\r\n\r\n"))
                where = f"http://127.0.0.1:{listener.port}/".encode()
                writer.write(b"HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: " + where + b"\r\n\r\n")
                writer.close()

            async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
                port = server.sockets[0].getsockname()[1]
                given = HttpParameters.model_validate({"url": f"http://127.0.0.1:{port}/"})
                outcome = await operation.run(task(["127.0.0.1"]), given)
            assert listener.connections == 0
            return outcome

    assert asyncio.run(go()) == Outcome("failed", "redirected", {"status": 307})
    assert len(hits) == 1


def test_nothing_is_allowed_where_nothing_is_listed() -> None:
    for url in ("https://ops.example.com/", "http://9.9.9.9/", "http://[2606:4700::1]/"):
        with pytest.raises(Refused, match="host_not_allowed"):
            Allowed().url(url)


@pytest.mark.parametrize(
    ("entry", "url", "listed"),
    [
        ("ops.example.com", "https://ops.example.com/x", True),
        ("ops.example.com", "https://ops.example.com:8443/x", True),
        ("ops.example.com:8443", "https://ops.example.com:8443/x", True),
        ("ops.example.com:8443", "https://ops.example.com/x", False),
        ("ops.example.com:443", "https://ops.example.com/x", True),
        ("ops.example.com:443", "http://ops.example.com/x", False),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/", True),
        ("127.0.0.1:9000", "http://127.0.0.1:9001/", False),
        ("10.0.0.0/8", "http://10.255.0.1:1/", True),
        ("10.0.0.0/8", "http://11.0.0.1/", False),
        ("fd00::/16", "http://[fd00::5]:80/", True),
        ("fd00::5", "http://[FD00:0::5]/", True),
        ("[fd00::5]:80", "http://[fd00::5]/", True),
        ("[fd00::5]:80", "https://[fd00::5]/", False),
        ("10.0.0.0/8", "http://[::ffff:10.0.0.1]/", False),
        ("169.254.0.0/16", "http://169.254.1.1/", True),
        ("169.254.0.0/16", "http://169.254.169.254/", False),
        ("169.254.169.254", "http://169.254.169.254/", True),
        ("100.64.0.0/10", "http://100.100.100.200/", False),
        ("fd00::/16", "http://[fd00:ec2::254]/", False),
    ],
)
def test_an_entry_holds_for_its_host_and_port(entry: str, url: str, listed: bool) -> None:
    allowed = Allowed([entry])
    if listed:
        assert allowed.url(url) == parse_url(url)
    else:
        with pytest.raises(Refused):
            allowed.url(url)


def test_a_private_address_of_a_listed_name_is_allowed_and_the_port_of_a_listed_address_holds() -> None:
    allowed = Allowed(["ops.example.com", "127.0.0.1:9000"])
    private = ["10.1.2.3", "192.168.0.1", "fd12::1"]
    assert allowed.addresses(private, 443) == tuple(map(ip_address, private))
    assert allowed.addresses(["127.0.0.1"], 9000) == (ip_address("127.0.0.1"),)
    with pytest.raises(Refused, match="address_not_allowed"):
        allowed.addresses(["127.0.0.1"], 9001)


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "*",
        "*.example.com",
        "Ops.example.com",
        "ops.example.com.",
        "https://ops.example.com",
        "ops.example.com/x",
        "ops.example.com:0",
        "ops.example.com:65536",
        "ops.example.com:",
        "user@ops.example.com",
        "opś.example.com",
        "ops example.com",
        "127.1",
        "0x7f.1",
        "010.0.0.1",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "0.0.0.0/0",
        "128.0.0.0/1",
        "::/0",
        "2000::/3",
        "[::1",
        "fe80::1%lo",
        "[127.0.0.1]",
        "[ops.example.com]",
        ":80",
    ],
)
def test_an_entry_that_is_no_host_is_said_to_be_none(entry: str) -> None:
    with pytest.raises(ValueError, match=r"^found .*, expected "):
        parse_host_entry(entry)


def test_a_list_is_refused_as_a_whole_when_one_entry_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"found '\*', expected a name in lower case"):
        Allowed(["ops.example.com", "*"])


@pytest.mark.parametrize(
    "url",
    [
        "ftp://ops.example.com/",
        "//ops.example.com/",
        "ops.example.com",
        "https:///x",
        "HTTPS://ops.example.com/",
        "https://ops.example.com:0/",
        "https://ops.example.com:65536/",
        "https://ops.example.com:/",
        "https://ops.example.com/a b",
        "https://ops.example.com/\r\nX: y",
        "https://ops.example.com/é",
        "https://ops.example.com/#x",
        "https://ops.example.com/a\\b",
        "https://user:canary@ops.example.com/",
        "\nhttps://ops.example.com/",
        "https://ops.example.com/\n",
        "",
    ],
)
def test_what_is_no_plain_url_is_not_one_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^found no address that can be called, expected") as caught:
        parse_url(url)
    assert "canary" not in str(caught.value)
