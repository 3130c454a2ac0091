"""The file of `--web.config.file`: TLS and users of Tocsin's own port, in the words of the Prometheus exporters."""

from pathlib import Path as FilePath
from typing import Annotated, Literal

from pydantic import Field

from tocsin.config.base import Model, Name, Path
from tocsin.config.faults import ConfigError
from tocsin.config.load import read

BcryptHash = Annotated[str, Field(pattern=r"^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$")]


class TlsServer(Model):
    """TLS on Tocsin's own port."""

    cert_file: Path
    """File with the certificate and those between it and its root."""
    key_file: Path
    """File with the key of the certificate."""
    client_ca_file: Path | None = None
    """File with the certificates that must have signed a client's; without it clients need none."""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    """Oldest version of TLS that is spoken."""


class WebFile(Model):
    """The file of `--web.config.file`; the webhook has its own credentials and needs no user."""

    tls_server_config: TlsServer | None = None
    """Certificate and key; without it the port speaks plain HTTP."""
    basic_auth_users: dict[Name, BcryptHash] = {}
    """Users and the bcrypt hashes of their passwords, as `htpasswd -nB` prints them; without any nobody is asked."""


def load_web(path: str | FilePath) -> WebFile:
    """Read the file; ConfigError with every fault."""
    shaped = read(FilePath(path), WebFile, base=str(FilePath(path).parent))
    if shaped.faults or shaped.model is None:
        raise ConfigError(shaped.faults)
    return shaped.model
