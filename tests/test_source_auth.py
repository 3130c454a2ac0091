"""Credentials, TLS and addresses."""

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tocsin.config.models import Auth, BasicAuth, Limits, SourceModel, Tls
from tocsin.source.client import Source
from tocsin.source.columns import Vector
from tocsin.source.errors import SourceError
from tocsin.telemetry import Telemetry
from tools.faultproxy import (
    Call,
    status,
)
from tools.servers import require
from tools.source_bench import VECTOR, Bench, instant


def secret(tmp_path: Path, text: str) -> str:
    file = tmp_path / "secret"
    file.write_text(text)
    return str(file)


def test_a_bearer_token_comes_from_its_file_and_follows_it(tmp_path: Path) -> None:
    bench = Bench(auth=Auth(bearer_file=secret(tmp_path, "first-token\n")))

    async def use(source: Source) -> None:
        await instant(source)
        secret(tmp_path, "second-one")
        await instant(source)

    bench.run(use)
    sent = [asked.headers["Authorization"] for asked in bench.proxy.requests]
    assert sent == ["Bearer first-token", "Bearer second-one"]


def test_basic_authentication_sends_user_and_password(tmp_path: Path) -> None:
    bench = Bench(auth=Auth(basic=BasicAuth(username="tocsin", password_file=secret(tmp_path, "pässword:1\n"))))
    bench.run(instant)
    assert bench.proxy.requests[0].headers["Authorization"] == "Basic dG9jc2luOnDDpHNzd29yZDox"


def test_own_headers_are_sent() -> None:
    bench = Bench(kind="mimir", auth=Auth(headers={"X-Scope-OrgID": "tenant-1"}))
    bench.run(instant)
    assert bench.proxy.requests[0].headers["X-Scope-OrgID"] == "tenant-1"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "which cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "which cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "which cannot be read: not UTF-8"),
        (lambda path: path.write_text(" \n"), "which must hold one line of text"),
        (lambda path: path.write_text("a\nb"), "which must hold one line of text"),
    ],
)
def test_a_secret_file_that_cannot_be_used_is_named_and_nothing_is_asked(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    path = tmp_path / "token"
    make(path)
    bench = Bench(auth=Auth(bearer_file=str(path)), limits=Limits(retries=5))
    error = bench.fails(instant)
    assert (error.klass, error.retry) == ("unauthorized", False)
    assert error.message == f"{bench.proxy.url} needs the secret file {path}, {why}"
    assert bench.proxy.requests == []


def test_a_header_of_two_lines_is_refused_and_nothing_is_asked() -> None:
    bench = Bench(auth=Auth(headers={"X-Scope-OrgID": "a\r\nHost: b"}))
    error = bench.fails(instant)
    assert (error.klass, bench.proxy.requests) == ("unauthorized", [])


def test_secrets_that_a_source_repeats_do_not_reach_the_message(tmp_path: Path) -> None:
    async def echo(call: Call) -> Any:
        return await status(401, f"no such token: {dict(call.request.headers)}")(call)

    bearer = Auth(bearer_file=secret(tmp_path, "tok3n-secret"), headers={"X-Api-Key": "k3y-secret"})
    message = Bench(echo, auth=bearer).fails(instant).message
    assert "***" in message
    assert not any(word in message for word in ("tok3n-secret", "k3y-secret"))
    basic = Auth(basic=BasicAuth(username="u", password_file=secret(tmp_path, "p4ss-secret")))
    spoken = Bench(status(401, "wrong password p4ss-secret for u"), auth=basic).fails(instant)
    assert spoken.text == "answered 401, check source.auth: wrong password *** for u"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:9090", "is not an address such as http://127.0.0.1:9090"),
        ("ftp://host/", "is not an address such as http://127.0.0.1:9090"),
        ("http://[::1", "is not an address such as http://127.0.0.1:9090"),
        ("http://host:99999", "is not an address such as http://127.0.0.1:9090"),
        ("http://", "is not an address such as http://127.0.0.1:9090"),
        ("http://host/?tenant=1", "must end before /api/v1, without ? and #"),
        ("http://user:hunter2@host:9090/x", "must hold no user and password: use source.auth.basic"),
    ],
)
def test_an_address_that_cannot_work_is_refused_before_anything_is_asked(url: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        Source(SourceModel(url=url), Telemetry())
    assert caught.value.text == message
    assert "hunter2" not in caught.value.message


# -------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for prometheus.test that is its own authority, and its key."""
    directory = tmp_path_factory.mktemp("tls")
    argv = [require("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-days", "2", "-subj", "/CN=prometheus.test", "-addext", "subjectAltName=DNS:prometheus.test"]
    argv += ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")]
    subprocess.run(argv, check=True, capture_output=True)
    return directory


def over_tls(certificates: Path, tls: Tls, *, ask_client: bool = False) -> Vector:
    """Ask a server that has these certificates, and that wants to see the same from us if told."""

    async def serve() -> Vector:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates / "cert.pem")

        async def reply(_: web.BaseRequest) -> web.Response:
            return web.Response(body=VECTOR, content_type="application/json")

        runner = web.ServerRunner(web.Server(reply))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        try:
            async with Source(
                SourceModel(url=url, auth=Auth(tls=tls), limits=Limits(retries=0)), Telemetry()
            ) as source:
                return await instant(source)
        finally:
            await runner.cleanup()

    return asyncio.run(serve())


def test_tls_trusts_the_given_authority_for_the_given_name(certificates: Path) -> None:
    tls = Tls(ca_file=str(certificates / "cert.pem"), server_name="prometheus.test")
    assert over_tls(certificates, tls).values.tolist() == [2.5]


@pytest.mark.parametrize("tls", [Tls(), Tls(server_name="prometheus.test")])
def test_tls_refuses_an_unknown_authority_and_does_not_retry(certificates: Path, tls: Tls) -> None:
    with pytest.raises(SourceError) as caught:
        over_tls(certificates, tls)
    assert (caught.value.klass, caught.value.retry) == ("connection", False)
    assert "failed the TLS handshake, check source.auth.tls" in caught.value.message
    assert "certificate" in caught.value.message


def test_tls_refuses_another_name(certificates: Path) -> None:
    with pytest.raises(SourceError, match="failed the TLS handshake"):
        over_tls(certificates, Tls(ca_file=str(certificates / "cert.pem")))


def test_tls_takes_anything_when_told_to(certificates: Path) -> None:
    assert over_tls(certificates, Tls(insecure_skip_verify=True)).values.tolist() == [2.5]


def test_tls_shows_a_client_certificate(certificates: Path) -> None:
    cert, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    with_cert = Tls(ca_file=cert, server_name="prometheus.test", cert_file=cert, key_file=key)
    assert over_tls(certificates, with_cert, ask_client=True).values.tolist() == [2.5]
    with pytest.raises(SourceError):
        over_tls(certificates, Tls(ca_file=cert, server_name="prometheus.test"), ask_client=True)


def test_tls_files_that_cannot_be_loaded_are_named(certificates: Path) -> None:
    with pytest.raises(SourceError) as caught:
        over_tls(certificates, Tls(ca_file="/no/such/ca.pem"))
    assert caught.value.klass == "unauthorized"
    assert "needs the TLS files /no/such/ca.pem, which cannot be loaded: No such file" in caught.value.message
