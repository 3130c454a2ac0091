"""Secrets, which live in files of their own and are read when they are used."""

from pathlib import Path

MAX_BYTES = 65_536


class SecretError(Exception):
    """A secret cannot be read. Trying again helps once the file has been put in order."""


def read_secret(path: str) -> str:
    """Content of the file without the newlines at its end; SecretError when there is none to be read."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SecretError(f"cannot read the secret in {path}: {reason}") from error
    if len(content) > MAX_BYTES:
        raise SecretError(f"cannot read the secret in {path}: it is larger than {MAX_BYTES} bytes")
    if not text:
        raise SecretError(f"cannot read the secret in {path}: it is empty")
    return text
