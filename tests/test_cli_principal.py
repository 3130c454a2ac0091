"""`tocsin principal new`: what it prints is accepted by the configuration and by the guard, and differs each time."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from signing import Request, head
from tocsin.cli import main
from tocsin.config.load import load
from tocsin.guard.caller import Head, Principal
from tocsin.guard.principals import Principals

T0 = 1_800_000_000.0


def new(*argv: str) -> Result:
    return CliRunner().invoke(main, ["principal", "new", *argv])


async def empty() -> bytes:
    return b""


def known(folder: Path, entries: list[dict[str, object]]) -> Principals:
    """The principals of a process file with these entries."""
    (folder / "service.yml").write_text("service: s\nsignals: {a: {expr: up}}\n")
    process = {"source": {"url": "http://127.0.0.1:9090"}, "services": ["service.yml"], "principals": entries}
    (folder / "tocsin.yml").write_text(yaml.safe_dump(process))
    return Principals(load(folder / "tocsin.yml").process.principals)


def test_the_token_is_printed_once_and_its_hash_is_for_the_file(tmp_path: Path) -> None:
    result = new("alertmanager", "--scope", "webhook", "--scope", "read", "--scope", "read")
    said, token, *lines = result.output.splitlines()
    assert (result.exit_code, said) == (0, "SUCCESS: the token of alertmanager, shown this once")
    assert result.output.count(token) == 1
    entries = yaml.safe_load("\n".join(lines))["principals"]
    token_hash = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
    assert entries == [{"name": "alertmanager", "token_hash": token_hash, "scopes": ["webhook", "read"]}]
    sent = Head("GET", "/", "", [("authorization", f"Bearer {token}")])
    found = asyncio.run(known(tmp_path, entries).authenticate(sent, "read", empty, T0))
    assert found == Principal("alertmanager", frozenset({"webhook", "read"}))


def test_a_signer_gets_a_secret_for_its_file(tmp_path: Path) -> None:
    made = json.loads(new("ops", "--scope", "emergency", "--sigv4", "-o", "json").output)
    assert set(made) == {"secret", "access_key_id", "secret_file", "principal"}
    assert made["secret"] not in json.dumps(made["principal"])
    (tmp_path / made["secret_file"]).write_text(made["secret"])
    sent = head(Request(T0, key=made["access_key_id"], secret=made["secret"]))
    found = asyncio.run(known(tmp_path, [made["principal"]]).authenticate(sent, "emergency", empty, T0))
    assert found == Principal("ops", frozenset({"emergency"}))


@pytest.mark.parametrize("more", [(), ("--sigv4",)])
def test_no_two_are_alike(more: tuple[str, ...]) -> None:
    assert len({new("a", "--scope", "read", *more).output.splitlines()[1] for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("a",), "Missing option '--scope'"),
        (("a", "--scope", "root"), "'root' is not one of 'webhook', 'read', 'admin', 'emergency'"),
        (("", "--scope", "read"), "'NAME': expected 1 to 200 characters that can be printed, without a colon"),
        (("a:b", "--scope", "read"), "'NAME': expected 1 to 200 characters that can be printed, without a colon"),
        (("a\nb", "--scope", "read"), "'NAME': expected 1 to 200 characters that can be printed, without a colon"),
        (("a" * 201, "--scope", "read"), "'NAME': expected 1 to 200 characters that can be printed, without a colon"),
    ],
)
def test_what_does_not_make_a_principal_is_a_wrong_command_line(argv: tuple[str, ...], message: str) -> None:
    result = new(*argv)
    assert (result.exit_code, message in result.output) == (2, True)
