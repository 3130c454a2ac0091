"""TLS and users of Tocsin's own port."""

import asyncio
import base64
import collections
import contextlib
import itertools
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import structlog
from aiohttp import ClientSession, TCPConnector, web
from click.testing import CliRunner

from tocsin.cli import main
from tocsin.config.models import TlsServer
from tocsin.web.security import WAITING, basic_auth, tls_context

HASH = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
HOOK = "/api/v2/webhook"
#: Asks a server once and gives the certificate that it showed.
Shown = Callable[..., Awaitable[bytes]]


def app() -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    basic_auth(application, {"prom": HASH}, lambda request: request.path == HOOK)
    application.router.add_get("/metrics", hello)
    application.router.add_get(HOOK, hello)
    return application


def statuses(*asked: tuple[str, str | None]) -> list[int]:
    """Status of each (path, Authorization header)."""

    async def ask() -> list[int]:
        runner = web.AppRunner(app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        found = []
        async with ClientSession() as session:
            for path, header in asked:
                headers = {"Authorization": header} if header is not None else {}
                async with session.get(base + path, headers=headers) as response:
                    found.append(response.status)
        await runner.cleanup()
        return found

    return asyncio.run(ask())


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_only_a_known_user_with_the_right_password_gets_in_and_again_from_memory() -> None:
    right = ("/metrics", basic("prom", "s3cret"))
    wrong = [None, basic("prom", "S3cret"), basic("other", "s3cret"), basic("", ""), basic("nobody", "nobody")]
    assert statuses(right, right, *(("/metrics", header) for header in wrong), right) == [200, 200, *[401] * 5, 200]


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Bearer s3cret", "Basic /w==", "basic " + "A" * 2000])
def test_a_header_that_is_no_user_and_password_is_refused(header: str) -> None:
    assert statuses(("/metrics", header)) == [401]


def test_a_password_that_bcrypt_would_cut_is_refused() -> None:
    long = base64.b64encode(b"prom:" + b"s" * 73).decode()
    assert statuses(("/metrics", f"Basic {long}")) == [401]


def test_the_webhook_asks_for_no_user() -> None:
    assert statuses((HOOK, None)) == [200]


class Slow:
    """Passwords that are being checked until somebody lets them through."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()
        self.let = threading.Event()

    def checkpw(self, _password: bytes, _hashed: bytes) -> bool:
        self.threads.add(threading.current_thread())
        assert self.let.wait(30)
        return False


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Callable[[str], Coroutine[Any, Any, tuple[int, str | None]]]]:
    """Gives `get`: the status and Retry-After for a password."""
    runner = web.AppRunner(app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"

        async def get(password: str) -> tuple[int, str | None]:
            async with session.get(url, headers={"Authorization": basic("prom", password)}) as response:
                return response.status, response.headers.get("Retry-After")

        try:
            yield get
        finally:
            await runner.cleanup()


def test_guesses_keep_nobody_else_waiting_and_more_than_may_wait_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()

    async def flood() -> None:
        async with served() as get:
            assert await get("s3cret") == (200, None)
            monkeypatch.setattr("tocsin.web.security.bcrypt.checkpw", slow.checkpw)
            guesses = [asyncio.create_task(get(f"wrong{i}")) for i in range(WAITING + 28)]
            try:
                # Those that are too many have their answer while the first one is still being checked.
                for answered in itertools.islice(asyncio.as_completed(guesses, timeout=10), 28):
                    assert await answered == (503, "1")
                assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 10) == "free"
                assert await asyncio.wait_for(get("s3cret"), 10) == (200, None)
            finally:
                slow.let.set()
            found = collections.Counter(await asyncio.gather(*guesses))
        assert found == {(401, None): WAITING, (503, "1"): 28}

    asyncio.run(flood())
    assert len(slow.threads) == 1


def made(folder: Path, *encrypt: str) -> tuple[Path, Path]:
    """A new certificate for 127.0.0.1 and localhost, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    named = ["-subj", "/CN=t", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"]
    argv = [*request, *named, *(encrypt or ("-nodes",)), "-keyout", key, "-out", cert]
    subprocess.run(argv, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    return made(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Another one."""
    return made(tmp_path_factory.mktemp("tls"))


def test_a_client_that_trusts_the_certificate_is_served(pair: tuple[Path, Path]) -> None:
    cert, key = pair
    context = tls_context(TlsServer(cert_file=str(cert), key_file=str(key), min_version="TLS13"))

    async def ask() -> int:
        runner = web.AppRunner(app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        trust = ssl.create_default_context(cafile=str(cert))
        url = f"https://127.0.0.1:{runner.addresses[0][1]}{HOOK}"
        async with ClientSession(connector=TCPConnector(ssl=trust)) as session, session.get(url) as response:
            found = response.status
        await runner.cleanup()
        return found

    assert asyncio.run(ask()) == 200
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3


class Rotated:
    """A server on loopback whose certificate files a test can exchange."""

    def __init__(self, folder: Path, pair: tuple[Path, Path], **more: str) -> None:
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.put(*pair)
        self.context = tls_context(TlsServer(cert_file=str(self.cert), key_file=str(self.key), **more))

    def put(self, cert: Path | None = None, key: Path | None = None) -> None:
        """Replace the files that are given, as a rename does."""
        for file, new in ((self.cert, cert), (self.key, key)):
            if new is not None:
                copy = file.with_suffix(".new")
                copy.write_bytes(new.read_bytes())
                copy.rename(file)

    def run(self, talk: Callable[[Shown], Awaitable[None]]) -> None:
        """`talk` gets `shown`: the certificate that a new client is shown."""

        async def serve() -> None:
            runner = web.AppRunner(app())
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.context).start()
            port = runner.addresses[0][1]

            async def shown(name: str = "127.0.0.1", client: tuple[Path, Path] | None = None) -> bytes:
                trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
                if client is not None:
                    trust.load_cert_chain(*client)
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=name)
                try:
                    # Only after the first answer has a client of TLS 1.3 been accepted.
                    writer.write(f"GET {HOOK} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    assert (await reader.read()).startswith(b"HTTP/1.1 200")
                    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                    return found
                finally:
                    writer.close()
                    with contextlib.suppress(ssl.SSLError, ConnectionError):
                        await writer.wait_closed()

            try:
                await talk(shown)
            finally:
                await runner.cleanup()

        asyncio.run(serve())


def der(cert: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(cert.read_text())


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_certificate_that_was_exchanged_is_shown_to_the_next_client(
    tmp_path: Path, pair: tuple[Path, Path], other: tuple[Path, Path], name: str
) -> None:
    server = Rotated(tmp_path, pair)

    async def talk(shown: Shown) -> None:
        assert [await shown(name), await shown(name)] == [der(pair[0])] * 2
        server.put(*other)
        assert [await shown(name), await shown(name)] == [der(other[0])] * 2
        server.put(*pair)
        assert await shown(name) == der(pair[0])

    server.run(talk)


def test_a_pair_that_does_not_fit_keeps_the_old_one_until_it_does(
    tmp_path: Path, pair: tuple[Path, Path], other: tuple[Path, Path]
) -> None:
    server = Rotated(tmp_path, pair)

    async def talk(shown: Shown) -> None:
        with structlog.testing.capture_logs() as lines:
            server.put(cert=other[0])
            assert [await shown(), await shown()] == [der(pair[0])] * 2
            server.key.unlink()
            assert await shown() == der(pair[0])
            server.put(key=other[1])
            assert await shown() == der(other[0])
        assert [line["log_level"] for line in lines] == ["warning", "warning", "info"]
        assert lines[0]["event"] == "certificate files cannot be used, the old ones stay"
        assert "No such file" in lines[1]["reason"]

    server.run(talk)


def test_certificates_that_clients_must_have_follow_their_file(
    tmp_path: Path, pair: tuple[Path, Path], other: tuple[Path, Path]
) -> None:
    trusted = tmp_path / "clients.pem"
    trusted.write_bytes(pair[0].read_bytes())
    server = Rotated(tmp_path, pair, client_ca_file=str(trusted))

    async def talk(shown: Shown) -> None:
        assert await shown(client=pair) == der(pair[0])
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            await shown(client=other)
        trusted.write_bytes(other[0].read_bytes())
        assert await shown(client=other) == der(pair[0])
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            await shown(client=pair)

    server.run(talk)


def test_a_key_with_a_password_is_a_fault_and_asks_nobody(tmp_path: Path) -> None:
    cert, key = made(tmp_path, "-passout", "pass:secret")
    with pytest.raises(OSError, match=r"PEM lib|decrypt"):
        tls_context(TlsServer(cert_file=str(cert), key_file=str(key)))


def check(path: Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["check", "web-config", str(path)])
    return result.exit_code, result.output


def test_a_good_file_is_said_to_be_valid(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    cert, key = pair
    path = tmp_path / "web.yml"
    path.write_text(f"tls_server_config: {{cert_file: {cert}, key_file: {key}}}\nbasic_auth_users: {{prom: {HASH}}}\n")
    assert check(path) == (0, f"SUCCESS: {path} is valid: HTTPS, 1 user\n")


def test_a_bad_file_names_every_fault_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: a.pem}\nbasic_auth_user: {}\nbasic_auth_users: {prom: plain}\n")
    status, output = check(path)
    assert status == 1
    assert output.splitlines() == [
        f"FAILED: {path} is not valid: 3 faults",
        f"{path}:1:1: tls_server_config.key_file: found nothing, expected a value",
        f"{path}:2:1: basic_auth_user: found the unknown key 'basic_auth_user', expected 'basic_auth_users'",
        f"{path}:3:26: basic_auth_users.prom: found 'plain', expected a bcrypt hash such as `htpasswd -nB` prints",
    ]


def test_a_certificate_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: a.pem, key_file: b.pem}\n")
    status, output = check(path)
    assert status == 1
    assert "tls_server_config: cannot use the certificate and key: [Errno 2] No such file or directory" in output
