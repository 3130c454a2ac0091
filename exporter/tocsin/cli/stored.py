"""The store that a configuration names, for commands that need it."""

import os
import pwd
from pathlib import Path

from tocsin.cli.failure import Failed
from tocsin.config.faults import ConfigError
from tocsin.config.load import SecretError, load, read_secret
from tocsin.store import Store, StoreError


def open_store(path: Path, now: float, *, migrate: bool = True) -> Store:
    """Open the store of this process file, as Store.open does; Failed with every reason why it cannot be."""
    try:
        process = load(path).process
        password = None if process.store_password_file is None else read_secret(process.store_password_file)
        return Store.open(process.store, now=now, password=password, migrate=migrate)
    except (ConfigError, SecretError) as error:
        raise Failed(str(error)) from error
    except StoreError as error:
        raise failed(error) from error


def failed(error: StoreError) -> Failed:
    """The error as a command says it, with its named reason."""
    hint = "; try again" if error.retry else ""
    return Failed(f"{error} ({error.reason}{hint})")


def local_user() -> str:
    """Who this is, for the audit; not what the environment says, which anybody may set."""
    try:
        return f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"local:uid {os.getuid()}"
