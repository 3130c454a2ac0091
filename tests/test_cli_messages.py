"""Every command with input that is wrong: one plain line, the right status, never a traceback."""

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import structlog
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from tocsin.cli import main
from tocsin.cli.explain import ask, tier_word, words
from tocsin.cli.failure import Failed
from tocsin.cli.first import _signal, _trial
from tocsin.cli.logs import configure
from tocsin.cli.progress import Progress
from tocsin.cli.serve import parse_address
from tocsin.config.models import Auth
from tocsin.core.readable import printable


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def tocsin(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, arguments, prog_name="tocsin")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def write(folder: Path, **source: object) -> Path:
    (folder / "shop.yml").write_text("service: shop\nsignals: {load: {expr: load_ratio}}\n")
    whole = {"source": {"url": "http://127.0.0.1:1", "limits": {"retries": 0}, **source}, "services": ["shop.yml"]}
    path = folder / "tocsin.yml"
    path.write_text(yaml.safe_dump(whole))
    return path


NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["up{"], 2, "Error: Invalid value for 'EXPR': found no PromQL"),
        (["up[5m]"], 2, "Error: Invalid value for 'EXPR': "),
        (["up", "--step", "1x"], 2, "Error: Invalid value for '--step': found '1x', expected a duration such as 30s"),
        (
            ["up", "--window", "5000"],
            2,
            "Error: Invalid value for '--window': found the number 5000, expected at most 500",
        ),
        (
            ["up", "--season", "90s"],
            2,
            "Error: Invalid value for '--season': found '90s', expected a multiple of step (1m)",
        ),
        (
            ["up", "--horizon", "90s"],
            2,
            "Error: Invalid value for '--horizon': found 1m30s, expected a multiple of step (1m)",
        ),
        (["up", "--unit", "furlong"], 2, "Error: Invalid value for '--unit': found 'furlong', expected "),
        (
            ["up", "--limit", "nan"],
            2,
            "Error: Invalid value for '--limit': found the number nan, expected a finite number",
        ),
        (["up", "--limit", "much"], 2, "Error: Invalid value for '--limit': 'much' is not a valid float."),
        (["up", "--direction", "left"], 2, "Error: Invalid value for '--direction'"),
        (
            ["up", "--by", "a,a"],
            2,
            "Error: Invalid value for '--by': found 'a' more than once, expected each label once",
        ),
        ([], 2, "Error: Missing argument 'EXPR'."),
        (["up"], 1, f"FAILED: {NOWHERE} cannot be reached: "),
    ],
)
def test_try_says_what_is_wrong_in_the_words_of_the_command_line(
    arguments: list[str], status: int, message: str
) -> None:
    found, output, errors = tocsin("try", NOWHERE, *arguments)
    assert (found, output) == (status, "")
    assert message in errors


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("foo", "found 'foo', expected a URL such as http://127.0.0.1:9090\n"),
        ("http://u:p@localhost", "found credentials in the URL"),
        ("", "found ''"),
    ],
)
def test_try_wants_an_address(url: str, message: str) -> None:
    status, _, errors = tocsin("try", url, "up")
    assert status == 2
    assert f"\nError: Invalid value for 'URL': {message}" in errors
    assert "p@" not in errors


@pytest.mark.parametrize("window", [3, 4, 9, 10, 60])
def test_a_window_of_few_samples_is_graded_from_as_many(window: int) -> None:
    signal = _signal("up", None, None, None, step="1m", window=window, unit="none", direction="both", limit=None)
    assert _trial(NOWHERE, "prometheus", Auth(), signal).services[0].signals["trial"].min_samples == min(window, 10)


@pytest.mark.parametrize("window", [-1, 0, 2])
def test_a_window_of_too_few_samples_is_one_wrong_value(window: int) -> None:
    status, _, errors = tocsin("try", NOWHERE, "up", "--window", str(window))
    assert (status, errors.splitlines()[-1]) == (
        2,
        f"Error: Invalid value for '--window': found the number {window}, expected at least 3",
    )


@pytest.mark.parametrize("url", ["", "foo", "ftp://x", "http://u:p@localhost", "http://localhost/?q=1"])
def test_init_wants_an_address(url: str, tmp_path: Path) -> None:
    status, output, errors = tocsin("init", "--prometheus", url, "--out", str(tmp_path / "new"))
    assert (status, output) == (2, "")
    assert "\nError: Invalid value for '--prometheus': " in errors
    assert "p@" not in errors
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["frobnicate"], 2, "Error: No such command 'frobnicate'."),
        (["init"], 2, "Error: Missing option '--prometheus'."),
        (["explain"], 2, "Error: found nothing, expected RESOURCE or slo NAME"),
        (["explain", "x", "-o", "xml"], 2, "'xml' is not one of 'text', 'json'"),
        (["serve", "--log.level", "loud"], 2, "'loud' is not one of 'debug', 'info', 'warn', 'error'"),
        (
            ["serve", "--web.listen-address", "foo"],
            2,
            "found 'foo', expected HOST:PORT such as 127.0.0.1:9889 or :9889",
        ),
        (
            ["serve", "--config.file", "/nowhere/tocsin.yml"],
            1,
            "found no file that can be read (No such file or directory)",
        ),
        (["exporter", "--config.file", "/"], 1, "found a directory, expected a file"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_a_wrong_file_status_1(
    arguments: list[str], status: int, message: str
) -> None:
    found, output, errors = tocsin(*arguments)
    assert (found, output) == (status, "")
    assert message in errors


@pytest.mark.parametrize("verb", ["serve", "exporter"])
def test_serve_says_which_secret_file_is_missing(tmp_path: Path, verb: str) -> None:
    path = write(tmp_path)
    with path.open("a") as file:
        file.write(f"principals: [{{name: am, token_file: {tmp_path}/no-token, scopes: [webhook]}}]\n")
    status, _, errors = tocsin(verb, "--config.file", str(path), "--web.listen-address", "127.0.0.1:0")
    assert status == 1
    assert errors == (
        f"FAILED: principal 'am': cannot read the secret in {tmp_path}/no-token: No such file or directory\n"
    )


def test_serve_says_which_certificate_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path, url="https://127.0.0.1:1", auth={"tls": {"ca_file": str(tmp_path / "no.pem")}})
    status, _, errors = tocsin("serve", "--config.file", str(path), "--web.listen-address", "127.0.0.1:0")
    assert status == 1
    assert errors.splitlines()[-1] == (
        f"FAILED: https://127.0.0.1:1 needs the TLS files {tmp_path}/no.pem, "
        "which cannot be loaded: No such file or directory"
    )


@pytest.mark.parametrize("address", ["no-such-host.invalid:80", "192.0.2.1:80"])
def test_serve_says_why_it_cannot_listen(tmp_path: Path, address: str) -> None:
    status, _, errors = tocsin("serve", "--config.file", str(write(tmp_path)), "--web.listen-address", address)
    assert status == 1
    assert errors.splitlines()[-1].startswith(f"FAILED: cannot listen on {address}: ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:9889", ("127.0.0.1", 9889)),
        (":9889", ("0.0.0.0", 9889)),
        ("[::1]:80", ("::1", 80)),
        ("host:0", ("host", 0)),
        ("h:65535", ("h", 65535)),
    ],
)
def test_addresses_are_read_as_prometheus_reads_them(text: str, found: tuple[str, int]) -> None:
    assert parse_address(text) == found


@pytest.mark.parametrize("text", ["", "9889", "host", "host:", "host:http", "host:65536", "host:-1", "host:٣"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected HOST:PORT"):
        parse_address(text)


# ------------------------------------------------------------------------------------------------ explain


def test_explain_with_nobody_to_ask_and_no_file_says_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, output, errors = tocsin("explain", "piano", "--url", NOWHERE)
    assert (status, output) == (1, "")
    assert errors == (
        f"FAILED: nothing answers at {NOWHERE} (Connection refused), and there is no tocsin.yml to evaluate from\n"
    )


def test_explain_wants_an_address() -> None:
    status, output, errors = tocsin("explain", "piano", "--url", "foo")
    assert (status, output) == (2, "")
    assert errors.endswith("Error: Invalid value for '--url': foo is not an address such as http://127.0.0.1:9889\n")


def test_explain_from_a_file_whose_source_is_down_blames_the_source(tmp_path: Path) -> None:
    path = write(tmp_path)
    status, output, errors = tocsin("explain", "piano", "--url", NOWHERE, "--config.file", str(path))
    assert (status, output) == (1, "")
    assert errors.splitlines()[-1] == f"FAILED: {NOWHERE} did not answer"


def test_explain_of_a_signal_that_the_file_does_not_have_says_so(tmp_path: Path) -> None:
    path = write(tmp_path)
    status, _, errors = tocsin("explain", "x", "--signal", "no", "--url", NOWHERE, "--config.file", str(path))
    assert (status, errors) == (1, f"FAILED: {path} has no signal of that service and name\n")


def test_explain_from_a_bad_file_shows_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.yml"
    path.write_text("nonsense: 1\n")
    status, _, errors = tocsin("explain", "x", "--url", NOWHERE, "--config.file", str(path))
    assert status == 1
    assert errors.startswith(f"FAILED: {path} is not a valid configuration:\n{path}:1:1: nonsense: ")


@pytest.mark.parametrize(
    ("status", "body", "content_type"),
    [
        (404, "404 page not found", "text/plain"),
        (200, "<html>", "text/html"),
        (200, "{}", "application/json"),
        (500, "[]", "application/json"),
    ],
)
def test_explain_asking_something_else_says_that_it_is_no_tocsin(status: int, body: str, content_type: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type)

    async def run() -> str:
        app = web.Application()
        app.router.add_get("/api/v1/explain", answer)
        async with TestServer(app) as server:
            with pytest.raises(Failed) as caught:
                await ask(str(server.make_url("")), {"resource": "x"})
        return caught.value.message

    message = asyncio.run(run())
    assert message.endswith(f" answered {status} with something else than explanations: is that a Tocsin?")


def test_words_cannot_command_a_terminal() -> None:
    assert printable("a\x1b[31mb\n\x07ü🎹\u202e") == r"a\x1b[31mb\n\x07ü🎹\u202e"
    said = words(
        {
            "resource": "\x1b]0;x\x07",
            "service": "s",
            "signal": "g",
            "tier": 4,
            "evaluated_at": "now",
            "sentences": ["\x1b[2J"],
        }
    )
    assert click.unstyle(said) == "\\x1b]0;x\\x07 (s/g): tier 4, Critical at now\n  - \\x1b[2J"


@pytest.mark.parametrize(("tier", "word"), [(-1, "unknown"), (0, "tier 0, Normal"), (4, "tier 4, Critical")])
def test_tiers_have_their_words(tier: int, word: str) -> None:
    assert click.unstyle(tier_word(tier)) == word


# ------------------------------------------------------------------------------------------------ logs and progress


def test_logs_are_one_line_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "logfmt")
    structlog.get_logger().warning("no answer", reason='line\nbreak "quoted" a=b', signal="a/b", ok=True)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("ts=")
    assert r'level=warning msg="no answer" reason="line\nbreak \"quoted\" a=b" signal=a/b ok=true' in line


def test_json_logs_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    structlog.get_logger().info("x", a="\n")
    found = json.loads(capsys.readouterr().err)
    assert (found["msg"], found["level"], found["a"]) == ("x", "info", "\n")


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
def test_levels_hide_what_is_below_them(level: str, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure(level)
    log = structlog.get_logger()
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        log.log(number, "x")
    assert capsys.readouterr().err.count("\n") == count


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tocsin.cli.progress.time.monotonic", lambda: now[0])
    assert not sys.stderr.isatty()
    with structlog.testing.capture_logs() as lines:
        progress = Progress()
        for done in range(101):
            progress("svc/sig", done, 100)
            now[0] += 0.25
        progress("quick", 1, 2)
        progress("quick", 2, 2)
    assert [(line["signal"], line["done"], line["total"]) for line in lines] == [
        ("svc/sig", 20, 100),
        ("svc/sig", 40, 100),
        ("svc/sig", 60, 100),
        ("svc/sig", 80, 100),
    ]
