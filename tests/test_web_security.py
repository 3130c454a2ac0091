"""TLS and users of Tocsin's own port."""

import asyncio
import base64
import ssl
import subprocess
from pathlib import Path

import bcrypt
import pytest
from aiohttp import ClientSession, TCPConnector, web
from click.testing import CliRunner

from tocsin.cli import main
from tocsin.config.models import TlsServer
from tocsin.web.security import basic_auth, tls_context

HASH = bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()
HOOK = "/api/v2/webhook"


def app() -> web.Application:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application(middlewares=[basic_auth({"prom": HASH}, but_for=HOOK)])
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


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=t", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *named], check=True, capture_output=True)
    return cert, key


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
