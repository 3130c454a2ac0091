"""Flags for credentials, in the same words wherever a command asks a server. Secrets come from files alone."""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from tocsin.config.models import Auth
from tocsin.source.errors import SourceError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--username", metavar="NAME", help="User name; its password is in --password-file."),
    click.option("--password-file", type=_FILE, help="File with the password of --username."),
    click.option("--bearer-token-file", type=_FILE, help="File with a bearer token."),
    click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="Header of every request, such as 'X-Scope-OrgID: tenant'; more than once for more.",
    ),
    click.option("--ca-file", type=_FILE, help="File with the certificates to trust; the system's unless given."),
    click.option("--cert-file", type=_FILE, help="File with the client certificate; its key is in --key-file."),
    click.option("--key-file", type=_FILE, help="File with the key of --cert-file."),
    click.option("--insecure-skip-verify", is_flag=True, help="Accept any certificate."),
)
_NAMES = (
    "username",
    "password_file",
    "bearer_token_file",
    "headers",
    "ca_file",
    "cert_file",
    "key_file",
    "insecure_skip_verify",
)
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*)")
#: A command line is seen by everybody on the machine, and kept by the shell.
_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
#: What the configuration calls them, and what a command line does.
_TYPED = (
    ("source.auth.tls", "--ca-file"),
    ("source.auth.headers", "--header"),
    ("source.auth.basic", "--username and --password-file"),
    ("source.auth", "--username and --password-file, or --bearer-token-file"),
    ("source.url", "the URL"),
)


def credentials(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags to a command, which gets them as `auth`, an Auth whose paths are absolute."""

    @functools.wraps(command)
    def with_auth(**given: Any) -> Any:  # noqa: ANN401  click hands options over by name
        flags = {name: given.pop(name) for name in _NAMES}
        return command(**given, auth=_auth(**flags))

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), with_auth)


def typed(error: SourceError) -> str:
    """The message of the error, in the words of the command line."""
    text = error.text
    for key, flag in _TYPED:
        text = text.replace(key, flag)
    return f"{error.where} {text}"


def no_secret_in(url: str, option: str) -> None:
    """Refuse a user or a password in an address; it is not shown again."""
    if "@" in url.partition("?")[0]:
        message = "found credentials in the URL, expected --username and --password-file"
        raise click.BadParameter(message, param_hint=repr(option))


def _auth(
    *,
    username: str | None,
    password_file: Path | None,
    bearer_token_file: Path | None,
    headers: Sequence[str],
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    insecure_skip_verify: bool,
) -> Auth:
    _together("--username", username, "--password-file", password_file)
    _together("--cert-file", cert_file, "--key-file", key_file)
    if username is not None and bearer_token_file is not None:
        raise click.UsageError("found --username and --bearer-token-file, expected at most one of them")
    tls: dict[str, Any] = {"ca_file": _text(ca_file), "cert_file": _text(cert_file), "key_file": _text(key_file)}
    tls["insecure_skip_verify"] = insecure_skip_verify
    basic = None if username is None else {"username": username, "password_file": _text(password_file)}
    auth = {"basic": basic, "bearer_file": _text(bearer_token_file), "headers": dict(map(_header, headers))}
    return Auth.model_validate({**auth, "tls": tls if any(tls.values()) else None})


def _together(one: str, first: object, other: str, second: object) -> None:
    if (first is None) != (second is None):
        have, need = (one, other) if first is not None else (other, one)
        raise click.UsageError(f"found {have} alone, expected {need} beside it")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text.strip())
    if match is None or not match[2].isprintable():
        raise click.BadParameter("expected 'NAME: VALUE', one line of text", param_hint="'--header'")
    if match[1].lower() in _SECRET:
        message = f"found {match[1]}, expected secrets in files: --bearer-token-file, or --username and --password-file"
        raise click.BadParameter(message, param_hint="'--header'")
    return match[1], match[2]
