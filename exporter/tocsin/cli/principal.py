"""`tocsin principal`: credentials for somebody who may call what is not open to everybody."""

import hashlib
import json
import secrets
from typing import get_args

import click

from tocsin.config.models import Scope

#: Bytes of randomness: a token cannot be guessed, so that its hash needs no salt.
_BYTES = 32


@click.group()
def principal() -> None:
    """Make credentials for callers of Tocsin's own API."""


@principal.command("new")
@click.argument("name")
@click.option("--scope", "scopes", type=click.Choice(get_args(Scope)), multiple=True, required=True, help="Repeatable.")
@click.option("--sigv4", is_flag=True, help="For one that signs its requests (AWS SigV4) instead of sending a token.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def new(name: str, scopes: tuple[str, ...], sigv4: bool, output: str) -> None:
    """Print a new token for NAME, this once, and the lines for the process file that know it by its hash.

    With --sigv4 a secret is printed: it has to be on both sides, here in a file that only Tocsin can read.
    """
    if not 1 <= len(name) <= 200 or not name.isprintable() or ":" in name:
        message = "expected 1 to 200 characters that can be printed, without a colon"
        raise click.BadParameter(message, param_hint="'NAME'")
    made = _signer() if sigv4 else _token()
    known = {key: value for key, value in made.items() if key not in ("token", "secret")}
    entry = {"name": name, **known, "scopes": list(dict.fromkeys(scopes))}
    if output == "json":
        click.echo(json.dumps({**made, "principal": entry}, indent=2))
        return
    what = "secret" if sigv4 else "token"
    click.echo(f"SUCCESS: the {what} of {name}, shown this once" + (", belongs into the file" if sigv4 else ""))
    click.echo(made[what])
    click.echo(f"principals:\n  - {json.dumps(entry, ensure_ascii=False)}")


def _token() -> dict[str, str]:
    token = f"tocsin_{secrets.token_urlsafe(_BYTES)}"
    return {"token": token, "token_hash": f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"}


def _signer() -> dict[str, str]:
    key = f"TOCSIN{secrets.token_hex(7).upper()}"
    return {"secret": secrets.token_urlsafe(_BYTES), "access_key_id": key, "secret_file": f"{key}.secret"}
