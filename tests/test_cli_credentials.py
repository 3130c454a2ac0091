"""`try`, `init` and `explain` towards servers that want to know who asks: real ones, on loopback."""

import asyncio
import base64
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

import bcrypt
import orjson
import pytest
import structlog
import yaml
from aiohttp import web
from click.testing import CliRunner

from site_client import Site, snapshot
from tocsin.cli import main
from tocsin.config.load import load
from tocsin.config.models import TlsServer
from tocsin.web.app import create_app
from tocsin.web.security import tls_context

BASIC = "Basic " + base64.b64encode(b"prom:s3cret").decode()
BEARER = "Bearer t0ken"


class Serving:
    """An application in a thread of its own."""

    def __init__(self, app: Callable[[], web.Application], tls: ssl.SSLContext | None = None) -> None:
        self._app, self._tls, self._ready, self._ended = app, tls, threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self.url = ""

    def _run(self) -> None:
        async def serve() -> None:
            runner = web.AppRunner(self._app())
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls).start()
            self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
            self._ready.set()
            await self._ended.wait()
            await runner.cleanup()

        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(serve())

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)


def prometheus(header: str, value: str) -> Callable[[], web.Application]:
    """A Prometheus with one series that answers those alone who send this header."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get(header) != value:
            return web.Response(status=401, text="who are you?")
        if request.path.endswith("/values"):
            data: Any = ["node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"]
        else:
            asked = parse_qs(await request.text())
            metric, stamps = {"resource": "piano"}, asked["query"][0].startswith("timestamp(")
            if request.path.endswith("/query_range"):
                start, end, step = (float(asked[key][0]) for key in ("start", "end", "step"))
                times = [start + i * step for i in range(int((end - start) / step) + 1)]
                series = {"metric": metric, "values": [[t, str(t if stamps else 5 + t // 60 % 7)] for t in times]}
                data = {"resultType": "matrix", "result": [series]}
            else:
                t = float(asked["time"][0])
                sample = [t, str(t if stamps else 7)]
                data = {"resultType": "vector", "result": [{"metric": metric, "value": sample}]}
        return web.Response(body=orjson.dumps({"status": "success", "data": data}), content_type="application/json")

    def app() -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/api/v1/{path:.*}", answer)
        return application

    return app


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=t", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *named], check=True, capture_output=True)
    return cert, key


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the secrets as files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "token").write_text("t0ken\n")
    yield tmp_path
    structlog.reset_defaults()


def tocsin(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, arguments, prog_name="tocsin")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


USER = ("--username", "prom", "--password-file", "password")
TOKEN = ("--bearer-token-file", "token")
WAYS = [
    ("Authorization", BASIC, USER),
    ("Authorization", BEARER, TOKEN),
    ("X-Scope-OrgID", "tenant-1", ("--header", "X-Scope-OrgID: tenant-1")),
    ("X-Scope-OrgID", "a:b", ("--header", "X-Other:", "--header", "x-scope-orgid:a:b ")),
]


@pytest.mark.parametrize(("header", "value", "flags"), WAYS)
@pytest.mark.usefixtures("here")
def test_try_shows_what_it_was_given(header: str, value: str, flags: tuple[str, ...]) -> None:
    with Serving(prometheus(header, value)) as server:
        status, output, errors = tocsin("try", server.url, "load_ratio", "--window", "3", *flags)
        assert (status, errors) == (0, "")
        assert output.startswith("Graded 1 resource against up to ")
        assert "over 3 samples" in output
        status, output, errors = tocsin("try", server.url, "load_ratio")
    assert (status, output) == (1, "")
    assert errors == (
        f"FAILED: {server.url} answered 401, check --username and --password-file, or --bearer-token-file: "
        "who are you?\n"
    )


@pytest.mark.parametrize(
    ("header", "value", "flags", "kept"),
    [
        (*WAYS[0], {"basic": {"username": "prom", "password_file": "password"}}),
        (*WAYS[1], {"bearer_file": "token"}),
        (*WAYS[2], {"headers": {"X-Scope-OrgID": "tenant-1"}}),
    ],
)
def test_init_writes_what_serve_needs_to_ask_the_same(
    here: Path, header: str, value: str, flags: tuple[str, ...], kept: dict[str, Any]
) -> None:
    with Serving(prometheus(header, value)) as server:
        status, _, errors = tocsin("init", "--prometheus", server.url, "--out", "deep/down", *flags)
    assert (status, errors) == (0, "")
    written = here / "deep" / "down" / "tocsin.yml"
    text = written.read_text()
    assert yaml.safe_load(text.replace(f"{here}/", ""))["source"]["auth"] == kept
    assert "s3cret" not in text
    assert "t0ken" not in text
    auth = load(written).process.source.auth
    files = [auth.bearer_file, auth.basic and auth.basic.password_file]
    assert all(Path(file).is_file() for file in files if file is not None)


def test_init_without_credentials_is_told_which_flags_there_are(here: Path) -> None:
    with Serving(prometheus("Authorization", BASIC)) as server:
        status, _, errors = tocsin("init", "--prometheus", server.url)
    assert (status, list(here.glob("*.yml"))) == (1, [])
    assert "check --username and --password-file, or --bearer-token-file: who are you?" in errors


@pytest.mark.usefixtures("here")
def test_certificates_are_trusted_when_told(pair: tuple[Path, Path]) -> None:
    cert, key = pair
    tls = tls_context(TlsServer(cert_file=str(cert), key_file=str(key), client_ca_file=str(cert)))
    client = ("--cert-file", str(cert), "--key-file", str(key))
    with Serving(prometheus("Authorization", BEARER), tls) as server:
        for trust in (("--ca-file", str(cert)), ("--insecure-skip-verify",)):
            status, output, errors = tocsin("try", server.url, "load_ratio", *TOKEN, *client, *trust)
            assert (status, errors, output[:18]) == (0, "", "Graded 1 resource ")
        status, _, errors = tocsin("try", server.url, "load_ratio", *TOKEN, *client)
    assert status == 1
    assert errors.startswith(f"FAILED: {server.url} failed the TLS handshake, check --ca-file: ")


# ------------------------------------------------------------------------------------------------ explain


def running() -> web.Application:
    """A Tocsin whose port has a user, as --web.config.file makes it."""
    users = {"prom": bcrypt.hashpw(b"s3cret", bcrypt.gensalt(4)).decode()}
    return create_app(PROGRAM, users=users)


PROGRAM = Site(snapshot("piano", at=time.time())).program


@pytest.mark.usefixtures("here")
def test_explain_says_that_nobody_may_ask_a_closed_tocsin_without_principals() -> None:
    site = Site(snapshot("piano", at=time.time()))
    site.closed = ["/api/v1/explain"]
    with Serving(lambda: create_app(site.program)) as server:
        status, output, errors = tocsin("explain", "piano", "--url", server.url, *TOKEN)
    assert (status, output, errors) == (1, "", "FAILED: no principal with scope 'read' is configured\n")


@pytest.mark.usefixtures("here")
def test_explain_asks_a_running_tocsin_that_wants_a_user() -> None:
    with Serving(running) as server:
        status, output, errors = tocsin("explain", "piano", "--url", server.url, *USER)
        assert (status, errors) == (0, "")
        assert output.startswith("piano (svc/sig): tier ")
        status, output, errors = tocsin("explain", "piano", "--url", server.url)
        assert (status, output) == (1, "")
        assert errors == (
            f"FAILED: {server.url} answered 401, credentials are needed: "
            "see --username, --password-file and --bearer-token-file\n"
        )
        status, _, errors = tocsin("explain", "piano", "--url", server.url, *TOKEN)
        assert (status, "answered 401, the credentials are not accepted" in errors) == (1, True)


@pytest.mark.usefixtures("here")
def test_explain_over_tls_wants_a_certificate_that_it_trusts(pair: tuple[Path, Path]) -> None:
    cert, key = pair
    with Serving(running, tls_context(TlsServer(cert_file=str(cert), key_file=str(key)))) as server:
        for trust in (("--ca-file", str(cert)), ("--insecure-skip-verify",)):
            assert tocsin("explain", "piano", "--url", server.url, *USER, *trust)[0] == 0
        status, output, errors = tocsin("explain", "piano", "--url", server.url, *USER)
    assert (status, output) == (1, "")
    assert errors.startswith(f"FAILED: {server.url} failed the TLS handshake, check --ca-file: ")


def test_explain_names_a_secret_that_cannot_be_read(here: Path) -> None:
    (here / "token").write_text("two\nlines")
    with Serving(running) as server:
        status, _, errors = tocsin("explain", "piano", "--url", server.url, *TOKEN)
    message = f"FAILED: {server.url} needs the secret file {here}/token, which must hold one line of text\n"
    assert (status, errors) == (1, message)


# ------------------------------------------------------------------------------------------------ what was typed


@pytest.mark.parametrize(
    "command", [("try", "http://127.0.0.1:1", "up"), ("init", "--prometheus", "http://127.0.0.1:1"), ("explain", "x")]
)
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--username", "u"), "found --username alone, expected --password-file beside it"),
        (("--password-file", "password"), "found --password-file alone, expected --username beside it"),
        (("--cert-file", "token"), "found --cert-file alone, expected --key-file beside it"),
        (("--key-file", "token"), "found --key-file alone, expected --cert-file beside it"),
        ((*USER, *TOKEN), "found --username and --bearer-token-file, expected at most one of them"),
        (("--bearer-token-file", "nowhere"), "'--bearer-token-file': File 'nowhere' does not exist."),
        (("--header", "no colon"), "'--header': expected 'NAME: VALUE', one line of text"),
        (("--header", "a b: c"), "'--header': expected 'NAME: VALUE', one line of text"),
        (("--header", "A: b\r\nHost: c"), "'--header': expected 'NAME: VALUE', one line of text"),
        (("--header", "authorization: Bearer hunter2"), "'--header': found authorization, expected secrets in files"),
        (("--header", "Cookie: hunter2"), "'--header': found Cookie, expected secrets in files"),
    ],
)
@pytest.mark.usefixtures("here")
def test_credentials_that_do_not_fit_together_are_a_wrong_command_line(
    command: tuple[str, ...], flags: tuple[str, ...], message: str
) -> None:
    status, output, errors = tocsin(*command, *flags)
    assert (status, output) == (2, "")
    assert message in errors
    assert "hunter2" not in errors


@pytest.mark.usefixtures("here")
def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    status, output, errors = tocsin("explain", "x", "--url", "http://u:hunter2@127.0.0.1:1")
    assert (status, output) == (2, "")
    assert "Invalid value for '--url': found credentials in the URL, expected --username and --password-file" in errors
    assert "hunter2" not in errors
